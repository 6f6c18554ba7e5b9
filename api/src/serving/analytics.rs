//! What the analytics pipeline says: views of events and windows of meters. In memory, as the last epochs said.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::analytics::{MeterValue, MeterWindow, ViewKey, ViewRow, ViewSpec};
use gravity_events::body::MeterDefined;
use gravity_events::publish::{AnalyticsEpoch, AnalyticsSink};
use parking_lot::RwLock;

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct Analytics {
    specs: Vec<&'static ViewSpec>,
    shown: RwLock<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    views: BTreeMap<ViewKey, ViewRow>,
    meters: BTreeMap<(Id, Id), MeterDefined>,
    windows: BTreeMap<MeterWindow, WindowShown>,
}

/// A window as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowShown {
    /// What it holds.
    pub value: MeterValue,
    /// When usage that came late changed it last, since this process started.
    pub corrected_at_ms: Option<i64>,
}

impl Analytics {
    /// With the views that the pipeline has.
    pub fn new(specs: impl IntoIterator<Item = &'static ViewSpec>) -> Analytics {
        Analytics { specs: specs.into_iter().collect(), ..Analytics::default() }
    }

    /// The views that there are.
    pub fn specs(&self) -> &[&'static ViewSpec] {
        &self.specs
    }

    /// The rows of a view of an event, in order.
    pub fn view(&self, tenant: &Id, event: &Id, view: &str) -> Vec<(ViewKey, ViewRow)> {
        let from = ViewKey { tenant: tenant.clone(), event: event.clone(), view: view.into(), ..ViewKey::default() };
        let shown = self.shown.read();
        let rows = shown.views.range(from..);
        let rows = rows.take_while(|(key, _)| key.tenant == *tenant && key.event == *event && key.view == view);
        rows.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// The rows of a view of all events of a tenant, or of all tenants.
    pub fn view_everywhere(&self, tenant: Option<&Id>, view: &str) -> Vec<(ViewKey, ViewRow)> {
        let shown = self.shown.read();
        let rows = shown.views.iter();
        let sees = |key: &ViewKey| key.view == view && tenant.is_none_or(|own| *own == key.tenant);
        rows.filter(|(key, _)| sees(key)).map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// The meters of a tenant, by name.
    pub fn meters(&self, tenant: &Id) -> Vec<MeterDefined> {
        let shown = self.shown.read();
        let meters = shown.meters.range((tenant.clone(), Id::default())..);
        meters.take_while(|((of, _), _)| of == tenant).map(|(_, defined)| defined.clone()).collect()
    }

    /// A meter of a tenant.
    pub fn meter(&self, tenant: &Id, meter: &Id) -> Option<MeterDefined> {
        self.shown.read().meters.get(&(tenant.clone(), meter.clone())).cloned()
    }

    /// Windows of a meter that begin in a span of time and whose group is wanted, in order: at most `limit`, but all of a
    /// start or none, unless it is the first. And the start of the first one that is left out.
    pub fn windows(
        &self,
        tenant: &Id,
        meter: &Id,
        start_ms: Range<i64>,
        wanted: impl Fn(&[(Id, Option<Id>)]) -> bool,
        limit: usize,
    ) -> (Vec<(MeterWindow, WindowShown)>, Option<i64>) {
        let from = MeterWindow {
            tenant: tenant.clone(),
            meter: meter.clone(),
            start_ms: start_ms.start,
            ..MeterWindow::default()
        };
        let shown = self.shown.read();
        let rows = shown.windows.range(from..).take_while(|(window, _)| {
            window.tenant == *tenant && window.meter == *meter && window.start_ms < start_ms.end
        });
        let mut found: Vec<(MeterWindow, WindowShown)> = Vec::new();
        for (window, shown) in rows.filter(|(window, _)| wanted(&window.group)) {
            let begins = found.last().is_none_or(|(last, _)| last.start_ms != window.start_ms);
            if begins && found.len() >= limit {
                return (found, Some(window.start_ms));
            }
            if found.len() >= limit && found[0].0.start_ms != window.start_ms {
                // The start that is under way does not fit: it is the next page's.
                let cut = window.start_ms;
                found.retain(|(window, _)| window.start_ms < cut);
                return (found, Some(cut));
            }
            found.push((window.clone(), *shown));
        }
        (found, None)
    }

    /// All windows of a tenant's meters, or of all tenants'.
    pub fn windows_everywhere(&self, tenant: Option<&Id>) -> Vec<(MeterWindow, WindowShown)> {
        let shown = self.shown.read();
        let rows = shown.windows.iter().filter(|(window, _)| tenant.is_none_or(|own| *own == window.tenant));
        rows.map(|(window, shown)| (window.clone(), *shown)).collect()
    }
}

impl AnalyticsSink for Analytics {
    fn publish_analytics(&self, epoch: Arc<AnalyticsEpoch>) {
        let mut shown = self.shown.write();
        if epoch.snapshot {
            *shown = Shown::default();
        }
        for (key, row) in &epoch.views {
            match row {
                Some(row) => drop(shown.views.insert(key.clone(), row.clone())),
                None => drop(shown.views.remove(key)),
            }
        }
        for (tenant, meter, defined) in &epoch.meters {
            let at = (tenant.clone(), meter.clone());
            match defined {
                Some(defined) => drop(shown.meters.insert(at, defined.clone())),
                None => drop(shown.meters.remove(&at)),
            }
        }
        for (window, value) in &epoch.windows {
            let Some(value) = value else {
                shown.windows.remove(window);
                continue;
            };
            let before = shown.windows.get(window).and_then(|shown| shown.corrected_at_ms);
            let corrected_at_ms = if epoch.is_correction(window) { Some(epoch.now_ms) } else { before };
            shown.windows.insert(window.clone(), WindowShown { value: *value, corrected_at_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_between_starts() {
        let analytics = Analytics::default();
        let window = |start_ms, of: &str| MeterWindow {
            tenant: "t".into(),
            meter: "m".into(),
            start_ms,
            group: vec![("team".into(), Some(of.into()))],
            end_ms: start_ms + 10,
        };
        let windows = [(0, "a"), (0, "b"), (0, "c"), (10, "a"), (10, "b"), (20, "a")];
        let value = Some(MeterValue { value: 1, records: 1 });
        let windows = windows.map(|(start_ms, of)| (window(start_ms, of), value));
        let epoch = AnalyticsEpoch { now_ms: 30, windows: windows.to_vec(), ..AnalyticsEpoch::default() };
        analytics.publish_analytics(Arc::new(epoch));
        let page = |from: i64, limit: usize| {
            let (found, next) = analytics.windows(&"t".into(), &"m".into(), from..100, |_| true, limit);
            (found.len(), next)
        };
        assert_eq!(page(0, 1), (3, Some(10)), "a start is not cut, however large");
        assert_eq!(page(0, 4), (3, Some(10)));
        assert_eq!(page(0, 5), (5, Some(20)));
        assert_eq!((page(0, 6), page(10, 100), page(30, 1)), ((6, None), (3, None), (0, None)));
        let of_b = |group: &[(Id, Option<Id>)]| group[0].1.as_deref() == Some("b");
        assert_eq!(analytics.windows(&"t".into(), &"m".into(), 0..100, of_b, 9).0.len(), 2);
    }

    #[test]
    fn only_what_changes_after_its_end_is_a_correction() {
        let analytics = Analytics::default();
        let window =
            MeterWindow { tenant: "t".into(), meter: "m".into(), start_ms: 0, end_ms: 1_000, ..MeterWindow::default() };
        let defined = MeterDefined {
            meter: "m".into(),
            of: "usage.vm".into(),
            aggregation: gravity_events::body::Aggregation::Count,
            value: None,
            window: Default::default(),
            time_zone: None,
            group_by: Vec::new(),
            deleted: false,
            revision: 0,
        };
        let publish = |now_ms, value, meters: Vec<_>| {
            let windows = vec![(window.clone(), Some(MeterValue { value, records: 1 }))];
            analytics.publish_analytics(Arc::new(AnalyticsEpoch { now_ms, windows, meters, ..Default::default() }));
            analytics.windows_everywhere(None)[0].1.corrected_at_ms
        };
        let new = vec![("t".into(), "m".into(), Some(defined))];
        assert_eq!(publish(1_000_000, 1, new), None, "it is defined after the window's end");
        assert_eq!(publish(61_000, 2, Vec::new()), Some(61_000));
        assert_eq!(publish(60_999, 3, Vec::new()), Some(61_000), "it was corrected once");
    }
}
