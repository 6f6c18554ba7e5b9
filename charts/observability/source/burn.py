"""What is used, by whom, and do budgets hold?"""

from grafana_foundation_sdk.builders.dashboard import Row

from panels import WIDTH, board, lines, number, rows


def dashboard():
    d = board("gravity-burn", "Burn", "Tokens, budgets, and the lake that keeps them.")
    d = d.with_row(Row("Now"))
    d = d.with_panel(number("Tokens", "Per second, cached ones within the input.",
                            'sum(rate(gravity_tokens_total{$HERE, kind!="cached"}[5m]))', "ops", span=WIDTH // 4))
    d = d.with_panel(number("Budgets spent whole", "In the last day.",
                            'sum(increase(gravity_budget_alerts_total{$HERE, mark_bp="10000"}[1d]))', bounds=(1, 5), span=WIDTH // 4))
    d = d.with_panel(number("Usage behind", "Durable records of usage that no epoch has yet.",
                            'sum(gravity_consumer_lag_records{$HERE, topic=~"gravity.usage.*"})', bounds=(10_000, 100_000), span=WIDTH // 4))
    d = d.with_panel(number("Lake errors", "Failures after which the writer began again, in the last day.",
                            "sum(increase(gravity_lake_errors_total{$HERE}[1d]))", bounds=(1, 5), span=WIDTH // 4))
    d = d.with_row(Row("Tokens"))
    d = d.with_panel(lines("By kind", "Cached ones are part of the input.",
                           ("sum by (kind) (rate(gravity_tokens_total{$HERE}[$__rate_interval]))", "{{kind}}"), unit="ops"))
    d = d.with_panel(lines("By model", "Input and output.",
                           ('sum by (model) (rate(gravity_tokens_total{$HERE, kind!="cached"}[$__rate_interval]))', "{{model}}"),
                           unit="ops", stacked=True))
    d = d.with_panel(lines("By tenant", "The ten that use most.",
                           ('topk(10, sum by (tenant) (rate(gravity_tokens_total{$HERE, kind!="cached"}[$__rate_interval])))', "{{tenant}}"),
                           unit="ops"))
    d = d.with_panel(rows("Since the start", "Tokens by tenant and model.",
                          'topk(50, sum by (tenant, model) (gravity_tokens_total{$HERE, kind!="cached"}))'))
    d = d.with_row(Row("Budgets and the lake"))
    d = d.with_panel(lines("Marks passed", "By the share of the limit, in basis points.",
                           ("sum by (mark_bp) (increase(gravity_budget_alerts_total{$HERE}[$__rate_interval]))", "{{mark_bp}}")))
    d = d.with_panel(lines("Rows into the lake", "Committed.",
                           ("sum by (table) (rate(gravity_lake_rows_total{$HERE}[$__rate_interval]))", "{{table}}"), unit="rowsps"))
    d = d.with_panel(lines("Commits", "Of the lake's tables.",
                           ("sum by (table) (rate(gravity_lake_commits_total{$HERE}[$__rate_interval]))", "{{table}}"), unit="ops"))
    d = d.with_panel(lines("Files", "That hold a table's rows: compaction keeps them few.",
                           ("sum by (table) (gravity_lake_files{$HERE})", "{{table}}")))
    return d
