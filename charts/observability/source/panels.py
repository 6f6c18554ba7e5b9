"""What the dashboards are made of: one look for all, on the typed builders of Grafana's own schema."""

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# What every query is about: one job, the chosen servers.
HERE = 'job="gravity", instance=~"$instance"'
WIDTH = 24


def board(uid, title, description):
    """An empty dashboard with the choice of Prometheus and of servers."""
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    instance = (
        dashboard.QueryVariable("instance")
        .label("Server")
        .datasource(SOURCE)
        .query('label_values(up{job="gravity"}, instance)')
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )
    links = dashboard.DashboardLink("Gravity Labs").type(models.DashboardLinkType.DASHBOARDS).tags(["gravity"]).keep_time(True)
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["gravity"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(links)
        .with_variable(source)
        .with_variable(instance)
    )


def _fill(panel, title, description, queries, span, height, unit):
    panel = panel.title(title).description(description).datasource(SOURCE).span(span).height(height).unit(unit)
    for n, (expr, legend) in enumerate(queries):
        query = prometheus.Dataquery().expr(expr.replace("$HERE", HERE)).legend_format(legend).ref_id("ABCDEF"[n])
        panel = panel.with_target(query)
    return panel


def _steps(bounds):
    """Green below the first bound, then orange, then red."""
    colours = ["green", "orange", "red"]
    steps = [models.Threshold(value=None, color=colours[0])]
    steps += [models.Threshold(value=bound, color=colour) for bound, colour in zip(bounds, colours[1:])]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def lines(title, description, *queries, unit="short", span=WIDTH // 2, bounds=(), stacked=False, log=False):
    """Series over time."""
    panel = _fill(timeseries.Panel(), title, description, queries, span, 8, unit).min(0).line_width(1)
    legend = common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.TABLE).placement(kinds.LegendPlacement.BOTTOM)
    panel = panel.legend(legend.calcs(["lastNotNull", "max"]).show_legend(True))
    panel = panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    if bounds:
        panel = panel.thresholds(_steps(bounds))
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A")).fill_opacity(30)
    if log:
        panel = panel.scale_distribution(common.ScaleDistributionConfig().type(kinds.ScaleDistribution.LOG).log(10))
    return panel


def number(title, description, expr, unit="short", bounds=(), span=WIDTH // 6):
    """One number, with its recent course."""
    panel = _fill(stat.Panel(), title, description, [(expr, "")], span, 4, unit).graph_mode(kinds.BigValueGraphMode.AREA)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    return panel.thresholds(_steps(bounds)) if bounds else panel


def rows(title, description, expr, unit="short", span=WIDTH // 2):
    """A table of what is the case now, the most first."""
    query = prometheus.Dataquery().expr(expr.replace("$HERE", HERE)).instant().format(PromQueryFormat.TABLE).ref_id("A")
    panel = table.Panel().title(title).description(description).datasource(SOURCE).span(span).height(8).unit(unit)
    return panel.with_target(query).show_header(True)


def quantiles(metric, by, *shares, of=""):
    """Queries for quantiles of a histogram: `by` names the label that the lines are for, or is empty; `of` matches more labels."""
    here = f"$HERE, {of}" if of else "$HERE"
    labels = f"le, {by}" if by else "le"
    legend = "{{" + by + "}} " if by else ""
    return [
        (f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{here}}}[$__rate_interval])))", f"{legend}p{share * 100:g}")
        for share in shares
    ]
