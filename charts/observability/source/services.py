"""Are the processes well? Requests, connections, memory, disk."""

from grafana_foundation_sdk.builders.dashboard import Row

from panels import WIDTH, board, lines, number, quantiles, rows


def dashboard():
    d = board("gravity-services", "Services", "HTTP, and what the processes take of their machines.")
    d = d.with_row(Row("Now"))
    d = d.with_panel(number("Up", "Servers that answer.", "sum(up{$HERE})", span=WIDTH // 4))
    d = d.with_panel(number("Failing", "Requests per second that are answered by 5xx.",
                            'sum(rate(gravity_http_request_duration_seconds_count{$HERE, status=~"5.."}[5m])) or vector(0)',
                            "reqps", (0.1, 1), span=WIDTH // 4))
    d = d.with_panel(number("Disk free", "Of the data folder.", "min(gravity_disk_free_bytes{$HERE} / gravity_disk_size_bytes{$HERE})",
                            "percentunit", span=WIDTH // 4))
    d = d.with_panel(number("Broken invariants", "Things that must not be, seen and survived.",
                            "sum(gravity_invariant_violations_total{$HERE})", bounds=(1, 1), span=WIDTH // 4))
    d = d.with_row(Row("HTTP"))
    d = d.with_panel(lines("Requests by status", "",
                           ("sum by (status) (rate(gravity_http_request_duration_seconds_count{$HERE}[$__rate_interval]))", "{{status}}"),
                           unit="reqps", stacked=True))
    d = d.with_panel(lines("Slowest routes", "The 99th percentile, from a request's head to its answer's head.",
                           ("topk(10, " + quantiles("gravity_http_request_duration_seconds", "route", 0.99)[0][0] + ")", "{{route}}"), unit="s"))
    d = d.with_panel(lines("Connections", "Open ones, and board streams among them.",
                           ("sum by (instance) (gravity_http_connections{$HERE})", "{{instance}}"),
                           ("sum by (instance) (gravity_stream_subscribers{$HERE})", "{{instance}} streams")))
    d = d.with_panel(rows("Requests by route", "Per second, over five minutes.",
                          "topk(30, sum by (route, status) (rate(gravity_http_request_duration_seconds_count{$HERE}[5m])))", "reqps"))
    d = d.with_row(Row("Processes"))
    d = d.with_panel(lines("CPU", "Cores.", ("rate(process_cpu_seconds_total{$HERE}[$__rate_interval])", "{{instance}}")))
    d = d.with_panel(lines("Memory", "Resident.", ("process_resident_memory_bytes{$HERE}", "{{instance}}"), unit="bytes"))
    d = d.with_panel(lines("Open files", "And how many may be open.",
                           ("process_open_fds{$HERE}", "{{instance}}"), ("process_max_fds{$HERE}", "{{instance}} at most"), log=True))
    d = d.with_panel(lines("Disk", "Free bytes of the data folder.", ("gravity_disk_free_bytes{$HERE}", "{{instance}}"), unit="bytes"))
    return d
