"""Where does the time go? Lag, epochs, commits, and what each operator costs."""

from grafana_foundation_sdk.builders.dashboard import Row

from panels import WIDTH, board, lines, quantiles, rows


def dashboard():
    d = board("gravity-streams", "Streams", "Topics, pipelines and operators.")
    d = d.with_row(Row("Topics"))
    d = d.with_panel(lines(
        "Lag by partition", "Durable records that no epoch has yet.",
        ("topk(20, gravity_consumer_lag_records{$HERE})", "{{topic}} {{partition}}")))
    d = d.with_panel(lines(
        "Waiting for what they refer to", "Judgements of submissions that did not come yet, and the like.",
        ("sum by (topic) (gravity_orphans{$HERE})", "{{topic}}")))
    d = d.with_row(Row("Pipelines"))
    d = d.with_panel(lines(
        "Epochs", "Committed per second.",
        ("sum by (pipeline) (rate(gravity_epoch{$HERE}[$__rate_interval]))", "{{pipeline}}"), unit="ops"))
    d = d.with_panel(lines(
        "Epoch", "From the cut of an epoch to its publication.",
        *quantiles("gravity_epoch_duration_seconds", "pipeline", 0.5, 0.99), unit="s"))
    d = d.with_panel(lines(
        "Commit", "Appending and syncing a frame: the disk's part of an epoch.",
        *quantiles("gravity_commit_duration_seconds", "pipeline", 0.5, 0.99), unit="s"))
    d = d.with_panel(lines(
        "Freshness", "From acceptance of an epoch's oldest record to its publication.",
        *quantiles("gravity_freshness_seconds", "pipeline", 0.5, 0.99), unit="s"))
    d = d.with_panel(lines(
        "Restarts and overruns", "Restarts after an error; calls of operators that did not come back.",
        ("sum by (pipeline) (increase(gravity_pipeline_restarts_total{$HERE}[$__rate_interval]))", "{{pipeline}} restarts"),
        ("sum by (pipeline) (increase(gravity_operator_overruns_total{$HERE}[$__rate_interval]))", "{{pipeline}} overruns")))
    d = d.with_row(Row("Operators"))
    d = d.with_panel(lines(
        "Cost of operators", "Cores that each keeps busy, by timely's own log.",
        ("topk(15, sum by (pipeline, operator) (rate(gravity_operator_busy_seconds_total{$HERE}[$__rate_interval])))",
         "{{pipeline}} {{operator}}"), stacked=True))
    d = d.with_panel(lines(
        "Rows in memory", "Fold rows and groups of views.",
        ("topk(15, sum by (operator) (gravity_operator_records{$HERE}))", "{{operator}}")))
    d = d.with_panel(rows(
        "Busiest since the start", "Seconds of a core, by timely's own log.",
        "topk(25, sum by (pipeline, operator) (gravity_operator_busy_seconds_total{$HERE}))", "s", span=WIDTH))
    return d
