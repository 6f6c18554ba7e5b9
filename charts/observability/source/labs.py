"""Do people get their labs, and are the labs well?"""

from grafana_foundation_sdk.builders.dashboard import Row

from panels import board, lines, number


def dashboard():
    d = board("gravity-labs", "Labs", "Provisioning, states, and the health of what runs.")
    d = d.with_row(Row("Now"))
    for state, means, bounds in [
        ("requested", "Somebody waits for them: the queue of provisioning.", (10, 20)),
        ("provisioning", "A step was begun.", ()),
        ("ready", "They can be used.", ()),
        ("failed", "They will never be ready.", (1, 10)),
        ("unknown", "Only measurements came of them.", ()),
    ]:
        d = d.with_panel(number(state.capitalize(), means, f'sum(gravity_labs{{$HERE, state="{state}"}})', bounds=bounds))
    d = d.with_panel(number(
        "Unusual", "Labs whose measurements are unusual now.", "sum(gravity_lab_alerts{$HERE})", bounds=(1, 5)))
    d = d.with_row(Row("Over time"))
    d = d.with_panel(lines("States", "Labs that are not released.", ("sum by (state) (gravity_labs{$HERE})", "{{state}}"), stacked=True))
    d = d.with_panel(lines("Alerts", "Labs whose measurements are unusual.", ("sum(gravity_lab_alerts{$HERE})", "alerts"), bounds=(1, 5)))
    d = d.with_panel(lines(
        "Records of labs", "Steps of their lives, and measurements.",
        ('sum by (topic, outcome) (rate(gravity_records_total{$HERE, topic=~"gravity.(labs|telemetry).*"}[$__rate_interval]))',
         "{{topic}} {{outcome}}"), unit="reqps"))
    d = d.with_panel(lines(
        "Behind", "Durable measurements and steps that no epoch has yet.",
        ('sum by (topic) (gravity_consumer_lag_records{$HERE, topic=~"gravity.(labs|telemetry).*"})', "{{topic}}")))
    return d
