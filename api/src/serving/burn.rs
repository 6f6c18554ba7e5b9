//! What tenants use and pay, in memory, as the last epochs said: cells, and their sums by minute.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use gravity_events::burn::{Account, Cell, Charged, Item, Usage};
use gravity_events::publish::{BurnEpoch, BurnSink};
use gravity_events::{Id, Topic};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::adjustments::Adjustments;
use crate::metrics::count_tokens;

/// Usage with what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// What was used.
    pub usage: Usage,
    /// What it costs, in micro-units.
    pub cost_micro: i64,
    /// Records of cells in which something has no price.
    pub unpriced_records: i64,
}

impl Sum {
    fn of(charged: &Charged) -> Sum {
        let unpriced_records = if charged.unpriced { charged.usage.records } else { 0 };
        Sum { usage: charged.usage, cost_micro: charged.cost_micro, unpriced_records }
    }

    fn add(&mut self, other: &Sum) {
        self.usage = self.usage.plus(&other.usage);
        self.cost_micro = self.cost_micro.saturating_add(other.cost_micro);
        self.unpriced_records = self.unpriced_records.saturating_add(other.unpriced_records);
    }

    fn take_away(&mut self, other: &Sum) {
        self.usage = self.usage.minus(&other.usage);
        self.cost_micro = self.cost_micro.saturating_sub(other.cost_micro);
        self.unpriced_records = self.unpriced_records.saturating_sub(other.unpriced_records);
    }
}

/// What rows are told apart by, besides their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The event.
    Event,
    /// The team, of an event.
    Team,
    /// The lab.
    Lab,
    /// The model or machine type.
    Item,
}

impl Group {
    fn of(self, cell: &Cell) -> Option<Id> {
        match self {
            Group::Event => cell.event.clone(),
            // Teams are named within their event.
            Group::Team => cell.team.as_ref().map(|team| match &cell.event {
                Some(event) => format!("{event}/{team}").into(),
                None => team.clone(),
            }),
            Group::Lab => cell.lab.clone(),
            Group::Item => Some(cell.item.name().clone()),
        }
    }
}

/// Sums by item and by price list and version.
pub type ByPrice = BTreeMap<(Item, Option<(Id, u64)>), Sum>;

/// One row of an answer: the window's start (minutes since 1970), the group where one was asked for, and the sum.
pub type Row = (i64, Option<Id>, Sum);

/// A tenant's burn at a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Version of the tenant's burn; 0: there is none yet.
    pub version: u64,
    /// In which it pays, where there are prices.
    pub currency: Option<Id>,
    /// Of all rows.
    pub totals: Sum,
    /// By window, then group.
    pub rows: Vec<Row>,
}

#[derive(Default)]
struct Tenant {
    version: u64,
    currency: Option<Id>,
    cells: BTreeMap<Cell, Charged>,
    /// All cells of a minute together.
    minutes: BTreeMap<i64, Sum>,
    news: watch::Sender<u64>,
}

/// An epoch, and what it is bound to.
type Bound = (u64, Vec<(Topic, u32, u64)>);

/// The burn of all tenants.
#[derive(Default)]
pub struct Burn {
    tenants: RwLock<BTreeMap<Id, Tenant>>,
    /// The epoch that is shown and its bound; changed while `tenants` is.
    bound: Mutex<Bound>,
    /// What late prices changed.
    pub adjustments: Adjustments,
}

/// All as it is shown at an epoch.
#[derive(Clone, Debug, Default)]
pub struct BurnSnapshot {
    /// The epoch.
    pub epoch: u64,
    /// What it is bound to.
    pub bound: Vec<(Topic, u32, u64)>,
    /// Each tenant with its currency and cells.
    pub tenants: Vec<(Id, Option<Id>, BTreeMap<Cell, Charged>)>,
}

impl Burn {
    /// A tenant's burn in a range of minutes, in windows: `window` says in which a minute is. None: more rows than `rows_max`.
    pub fn query(
        &self,
        tenant: &Id,
        minutes: Range<i64>,
        group: Option<Group>,
        window: impl Fn(i64) -> i64,
        rows_max: usize,
    ) -> Option<Answer> {
        let tenants = self.tenants.read();
        let Some(tenant) = tenants.get(tenant) else { return Some(Answer::default()) };
        let mut rows: BTreeMap<(i64, Option<Id>), Sum> = BTreeMap::new();
        let mut totals = Sum::default();
        let mut add = |minute: i64, group: Option<Id>, sum: &Sum| {
            rows.entry((window(minute), group)).or_default().add(sum);
            totals.add(sum);
            rows.len() <= rows_max
        };
        let fits = match group {
            _ if minutes.is_empty() => true,
            None => tenant.minutes.range(minutes).all(|(minute, sum)| add(*minute, None, sum)),
            Some(group) => {
                let mut cells = tenant.cells.iter().filter(|(cell, _)| minutes.contains(&cell.minute));
                cells.all(|(cell, charged)| add(cell.minute, group.of(cell), &Sum::of(charged)))
            }
        };
        let rows = rows.into_iter().map(|((start, group), sum)| (start, group, sum)).collect();
        fits.then(|| Answer { version: tenant.version, currency: tenant.currency.clone(), totals, rows })
    }

    /// What an account, and those below it, cost in a range of minutes, in micro-units.
    pub fn spent(&self, account: &Account, minutes: Range<i64>) -> i64 {
        let tenants = self.tenants.read();
        let Some(tenant) = tenants.get(&account.tenant) else { return 0 };
        if account.event.is_none() && account.team.is_none() {
            let costs = tenant.minutes.range(minutes).map(|(_, sum)| sum.cost_micro);
            return costs.fold(0, i64::saturating_add);
        }
        let is_of = |cell: &Cell| {
            cell.event == account.event && account.team.as_ref().is_none_or(|team| cell.team.as_ref() == Some(team))
        };
        let cells = tenant.cells.iter().filter(|(cell, _)| minutes.contains(&cell.minute) && is_of(cell));
        cells.map(|(_, charged)| charged.cost_micro).fold(0, i64::saturating_add)
    }

    /// What was used and charged in a range of minutes, by item and by the version of the price list that charged it.
    pub fn by_price(&self, tenant: &Id, minutes: Range<i64>) -> (Option<Id>, ByPrice) {
        let tenants = self.tenants.read();
        let Some(tenant) = tenants.get(tenant) else { return (None, ByPrice::new()) };
        let mut sums = ByPrice::new();
        for (cell, charged) in tenant.cells.iter().filter(|(cell, _)| minutes.contains(&cell.minute)) {
            sums.entry((cell.item.clone(), charged.prices.clone())).or_default().add(&Sum::of(charged));
        }
        (tenant.currency.clone(), sums)
    }

    /// The currency a tenant pays in; None: it has no prices.
    pub fn currency(&self, tenant: &Id) -> Option<Id> {
        self.tenants.read().get(tenant)?.currency.clone()
    }

    /// All cells of a tenant.
    pub fn cells(&self, tenant: &Id) -> BTreeMap<Cell, Charged> {
        self.tenants.read().get(tenant).map(|tenant| tenant.cells.clone()).unwrap_or_default()
    }

    /// What was used of a cell's item from a minute on to the cell's, as far as it is shown.
    pub fn used_since(&self, first_minute: i64, cell: &Cell) -> Usage {
        let tenants = self.tenants.read();
        let Some(tenant) = tenants.get(&cell.tenant) else { return Usage::default() };
        let cells = tenant.cells.range(Cell::first_of(&cell.tenant, &cell.item, first_minute)..);
        let of_item = cells.take_while(|(other, _)| other.item == cell.item && other.minute <= cell.minute);
        of_item.fold(Usage::default(), |sum, (_, charged)| sum.plus(&charged.usage))
    }

    /// Tells of each new version of a tenant's burn.
    pub fn watch(&self, tenant: &Id) -> watch::Receiver<u64> {
        if let Some(known) = self.tenants.read().get(tenant) {
            return known.news.subscribe();
        }
        self.tenants.write().entry(tenant.clone()).or_default().news.subscribe()
    }

    /// All as it is shown now, and what it is bound to.
    pub fn snapshot(&self) -> BurnSnapshot {
        let tenants = self.tenants.read();
        let (epoch, bound) = self.bound.lock().clone();
        let tenants = tenants.iter().map(|(id, t)| (id.clone(), t.currency.clone(), t.cells.clone())).collect();
        BurnSnapshot { epoch, bound, tenants }
    }
}

impl Tenant {
    /// Takes what a cell has now. What it had before.
    fn put(&mut self, cell: &Cell, charged: Option<&Charged>) -> Usage {
        let old = match charged {
            Some(charged) => self.cells.insert(cell.clone(), charged.clone()),
            None => self.cells.remove(cell),
        };
        let before = old.as_ref().map(|old| old.usage).unwrap_or_default();
        let minute = self.minutes.entry(cell.minute).or_default();
        if let Some(old) = old {
            minute.take_away(&Sum::of(&old));
        }
        if let Some(new) = charged {
            minute.add(&Sum::of(new));
        }
        if *minute == Sum::default() {
            self.minutes.remove(&cell.minute);
        }
        before
    }
}

impl BurnSink for Burn {
    fn publish_burn(&self, epoch: Arc<BurnEpoch>) {
        let mut tenants = self.tenants.write();
        *self.bound.lock() = (epoch.epoch, epoch.bound.clone());
        // A pipeline that began again in this process tells again what was counted.
        let is_new = !epoch.snapshot || tenants.values().all(|tenant| tenant.cells.is_empty());
        if epoch.snapshot {
            for tenant in tenants.values_mut() {
                // Who watches stays.
                *tenant = Tenant { news: std::mem::take(&mut tenant.news), ..Tenant::default() };
            }
        }
        let mut used: BTreeMap<(&Id, &Id), Usage> = BTreeMap::new();
        for (cell, charged) in &epoch.cells {
            let tenant = match tenants.get_mut(&cell.tenant) {
                Some(tenant) => tenant,
                None => tenants.entry(cell.tenant.clone()).or_default(),
            };
            let before = tenant.put(cell, charged.as_ref());
            if let (Item::Model(model), Some(now), true) = (&cell.item, charged, is_new) {
                let sum = used.entry((&cell.tenant, model)).or_default();
                *sum = sum.plus(&now.usage.minus(&before));
            }
        }
        count_tokens(&used);
        for (tenant, currency) in &epoch.currencies {
            tenants.entry(tenant.clone()).or_default().currency.clone_from(currency);
        }
        for (id, version) in &epoch.versions {
            let tenant = tenants.entry(id.clone()).or_default();
            tenant.version = *version;
            tenant.news.send_replace(*version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(minute: i64, event: &str, model: &str) -> Cell {
        let item = Item::Model(model.into());
        Cell {
            tenant: "t".into(),
            item,
            minute,
            event: Some(event.into()),
            team: Some("1".into()),
            lab: None,
            reserved: false,
        }
    }

    fn charged(records: i64, cost_micro: i64) -> Option<Charged> {
        Some(Charged { usage: Usage { records, ..Usage::default() }, cost_micro, ..Charged::default() })
    }

    fn epoch(cells: Vec<(Cell, Option<Charged>)>, version: u64) -> Arc<BurnEpoch> {
        Arc::new(BurnEpoch { cells, versions: vec![("t".into(), version)], ..BurnEpoch::default() })
    }

    #[test]
    fn windows_and_groups_add_up() {
        let burn = Burn::default();
        let cells = vec![
            (cell(59, "a", "m"), charged(1, 10)),
            (cell(60, "a", "m"), charged(2, 20)),
            (cell(60, "b", "n"), charged(3, 30)),
        ];
        burn.publish_burn(epoch(cells, 1));
        let rows = |group, window: i64| -> Vec<(i64, Option<String>, i64)> {
            let answer = burn.query(&"t".into(), 0..1_000, group, |m| m - m.rem_euclid(window), 100).unwrap();
            assert_eq!((answer.totals.usage.records, answer.totals.cost_micro), (6, 60));
            answer.rows.into_iter().map(|(at, group, sum)| (at, group.map(|g| g.to_string()), sum.cost_micro)).collect()
        };
        assert_eq!(rows(None, 1), [(59, None, 10), (60, None, 50)]);
        assert_eq!(rows(None, 1_440), [(0, None, 60)]);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(rows(Some(Group::Event), 60), [(0, some("a"), 10), (60, some("a"), 20), (60, some("b"), 30)]);
        assert_eq!(rows(Some(Group::Team), 1_440), [(0, some("a/1"), 30), (0, some("b/1"), 30)]);
        assert_eq!(rows(Some(Group::Item), 1_440), [(0, some("m"), 30), (0, some("n"), 30)]);
        assert_eq!(burn.query(&"t".into(), 0..1_000, None, |m| m, 1), None, "too many rows");
        assert_eq!(burn.query(&"u".into(), 0..9, None, |m| m, 1), Some(Answer::default()));
    }

    #[test]
    fn cells_change_and_go_and_a_snapshot_replaces_all() {
        let burn = Burn::default();
        let mut news = burn.watch(&"t".into());
        burn.publish_burn(epoch(vec![(cell(1, "a", "m"), charged(1, 10)), (cell(2, "a", "m"), charged(1, 5))], 1));
        burn.publish_burn(epoch(vec![(cell(1, "a", "m"), charged(2, 30)), (cell(2, "a", "m"), None)], 2));
        let all = || burn.query(&"t".into(), 0..9, None, |m| m, 9).unwrap();
        assert_eq!(all().rows.len(), 1);
        assert_eq!((all().version, all().totals.usage.records, all().totals.cost_micro), (2, 2, 30));
        assert_eq!(*news.borrow_and_update(), 2);
        let snapshot = BurnEpoch {
            snapshot: true,
            currencies: vec![("t".into(), Some("EUR".into()))],
            ..(*epoch(vec![(cell(5, "a", "m"), charged(1, 1))], 3)).clone()
        };
        burn.publish_burn(Arc::new(snapshot));
        assert_eq!((all().rows[0].0, all().currency), (5, Some("EUR".into())));
        assert!(news.has_changed().unwrap());
    }
}
