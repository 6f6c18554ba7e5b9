//! The price lists of the last epoch, for those who ask what usage will cost before it is on the log.

use std::collections::{BTreeMap, BTreeSet};

use gravity_events::Id;
use gravity_events::body::PricePublished;
use gravity_events::burn::{Cell, Charged, PriceListKey, Usage};
use gravity_events::publish::Pricing;
use gravity_operators::metering::prices::{Book, PriceList};
use parking_lot::RwLock;

#[derive(Default)]
struct Tenant {
    lists: BTreeMap<PriceListKey, PriceList>,
    book: Book,
}

/// The prices of all tenants.
#[derive(Default)]
pub struct Prices(RwLock<BTreeMap<Id, Tenant>>);

impl Prices {
    /// Takes what changed; `whole`: it is all there is.
    pub(super) fn apply(&self, whole: bool, changes: Vec<(Id, PriceListKey, Option<PriceList>)>) {
        if changes.is_empty() && !whole {
            return;
        }
        let mut tenants = self.0.write();
        if whole {
            tenants.clear();
        }
        let mut changed = BTreeSet::new();
        for (tenant, key, list) in changes {
            let lists = &mut tenants.entry(tenant.clone()).or_default().lists;
            match list {
                Some(list) => lists.insert(key, list),
                None => lists.remove(&key),
            };
            changed.insert(tenant);
        }
        for (_, tenant) in tenants.iter_mut().filter(|(tenant, _)| changed.contains(*tenant)) {
            tenant.book = Book::new(tenant.lists.values());
        }
    }

    fn with<T>(&self, tenant: &Id, ask: impl FnOnce(&Book) -> T) -> T {
        match self.0.read().get(tenant) {
            Some(tenant) => ask(&tenant.book),
            None => ask(&Book::default()),
        }
    }
}

impl Pricing for Prices {
    fn currency(&self, tenant: &Id) -> Option<Id> {
        self.with(tenant, |book| book.currency().cloned())
    }

    fn charge(&self, cell: &Cell, usage: &Usage, before: &Usage) -> Charged {
        self.with(&cell.tenant, |book| book.charge_after(cell, usage, before))
    }

    fn charge_at_most(&self, cell: &Cell, usage: &Usage) -> Charged {
        self.with(&cell.tenant, |book| book.charge_at_most(cell, usage))
    }

    fn preview(
        &self,
        tenant: &Id,
        event: Option<&Id>,
        list: &PricePublished,
        cells: BTreeMap<Cell, Usage>,
    ) -> (Option<Id>, BTreeMap<Cell, Charged>) {
        let mut lists = self.0.read().get(tenant).map(|tenant| tenant.lists.clone()).unwrap_or_default();
        let list = PriceList::of(event, list);
        lists.insert(list.key(), list);
        let book = Book::new(lists.values());
        // Cells are in the order of their items, whose tiers count by themselves.
        let mut charged = BTreeMap::new();
        let cells: Vec<(Cell, Usage)> = cells.into_iter().collect();
        for of_item in cells.chunk_by(|a, b| a.0.item == b.0.item) {
            charged.extend(book.charge(of_item.iter().map(|(cell, usage)| (cell, usage))));
        }
        (book.currency().cloned(), charged)
    }
}
