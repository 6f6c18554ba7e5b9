"""Is the event going well? Queue depth, time to drain, freshness, and the burst at the end."""

from grafana_foundation_sdk.builders.dashboard import Row

from panels import board, lines, number, quantiles


def dashboard():
    d = board("gravity-event", "Event Operations", "What an operator looks at while an event runs.")
    d = d.with_row(Row("Now"))
    d = d.with_panel(number(
        "Time to drain", "Until what is accepted now is on the boards.",
        "max(gravity_time_to_drain_seconds{$HERE})", "s", (10, 60)))
    d = d.with_panel(number(
        "Queue", "Durable records that no epoch has yet.",
        "sum(gravity_consumer_lag_records{$HERE})", "short", (10_000, 100_000)))
    d = d.with_panel(number(
        "Freshness p99", "From acceptance of an epoch's oldest record to its publication, boards.",
        'histogram_quantile(0.99, sum by (le) (rate(gravity_freshness_seconds_bucket{$HERE, pipeline="boards"}[5m])))',
        "s", (0.25, 1)))
    d = d.with_panel(number(
        "Accepted", "Records accepted by HTTP.",
        'sum(rate(gravity_records_total{$HERE, outcome="accepted"}[1m]))', "reqps"))
    d = d.with_panel(number(
        "Watching", "Open board streams.", "sum(gravity_stream_subscribers{$HERE})", "short", (20_000, 25_000)))
    d = d.with_panel(number(
        "Not scored", "Teams whose work an operator failed at, and rubrics that are not sound.",
        "sum(gravity_board_errors{$HERE})", "short", (1, 1)))
    d = d.with_row(Row("The queue"))
    d = d.with_panel(lines(
        "Queue by topic", "Durable records that no epoch has yet.",
        ("sum by (topic) (gravity_consumer_lag_records{$HERE})", "{{topic}}"), stacked=True))
    d = d.with_panel(lines(
        "Time to drain", "Lag over the present rate. Over a minute somebody is called.",
        ("max by (topic) (gravity_time_to_drain_seconds{$HERE})", "{{topic}}"), unit="s", bounds=(10, 60)))
    d = d.with_row(Row("The burst"))
    d = d.with_panel(lines(
        "Records by outcome", "Accepted: durable in the log by HTTP. The others: what their pipeline made of them.",
        ("sum by (outcome) (rate(gravity_records_total{$HERE}[$__rate_interval]))", "{{outcome}}"), unit="reqps"))
    d = d.with_panel(lines(
        "Answer to a submission", "From a request's head to its answer's head.",
        *quantiles("gravity_http_request_duration_seconds", "", 0.5, 0.99, of='route="/api/v1/records"'),
        unit="s"))
    d = d.with_panel(lines(
        "Freshness of boards", "From acceptance of an epoch's oldest record to its publication.",
        *quantiles("gravity_freshness_seconds", "", 0.5, 0.99, 0.999, of='pipeline="boards"'),
        unit="s", bounds=(0.25, 1)))
    d = d.with_panel(lines(
        "Refused and repeated", "Dead letters by code; what had been counted before.",
        ("sum by (topic, code) (rate(gravity_dead_letters_total{$HERE}[$__rate_interval]))", "{{topic}} {{code}}"),
        ("sum by (topic) (rate(gravity_duplicates_total{$HERE}[$__rate_interval]))", "{{topic}} repeated"), unit="reqps"))
    return d
