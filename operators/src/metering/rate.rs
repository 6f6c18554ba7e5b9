//! Charges of all cells, kept right while usage and prices change.

use std::collections::{BTreeMap, BTreeSet};

use differential_dataflow::{AsCollection, VecCollection};
use gravity_events::Id;
use gravity_events::burn::{Cell, Charged, Item, Usage};
use gravity_events::record::stable_hash128;
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Concatenate, Exchange};

use super::prices::{Book, PriceList, month_of};
use crate::primitives::complete_times::complete_times;
use crate::primitives::held::Held;
use crate::primitives::reduce::merge_difference;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Fact {
    Cell(Cell, Usage),
    List(Id, PriceList),
}

type Rows<'s, T> = VecCollection<'s, u64, T, i64>;

/// Cells with their charges, and tenants with their currencies.
pub type Rated<'s> = (Rows<'s, (Cell, Charged)>, Rows<'s, (Id, Id)>);

/// What each cell costs, and the currency of each tenant that has prices.
///
/// `cells`: the sums of each cell, once. `lists`: the price lists of tenants. Cost: a change of usage looks at its own cell
/// or, where its item has tiers, at the item's cells of the month; a change of prices at all cells of the tenant. Cells whose
/// charge stays are not said again.
pub fn rate<'s>(cells: Rows<'s, (Cell, Usage)>, lists: Rows<'s, (Id, PriceList)>) -> Rated<'s> {
    let cells = cells.map(|(cell, usage)| Fact::Cell(cell, usage)).inner;
    // An item's cells are together, for tiers; every worker needs the prices.
    let cells = cells.exchange(|(fact, _, _)| match fact {
        Fact::Cell(cell, _) => route(&cell.tenant, &cell.item),
        Fact::List(..) => 0,
    });
    let lists = lists.map(|(tenant, list)| Fact::List(tenant, list)).inner.broadcast();
    let scope = cells.scope();
    let is_first = scope.index() == 0;
    let facts = scope.concatenate([cells, lists]);
    let mut tenants: BTreeMap<Id, Tenant> = BTreeMap::new();
    let mut held = Held::by("Rate");
    let mut rows = 0;
    let (charged, currencies) = complete_times(facts, Pipeline, "Rate", move |_, updates, out| {
        let mut changed: BTreeMap<Id, Changes> = BTreeMap::new();
        for (fact, diff) in updates {
            match fact {
                Fact::Cell(cell, usage) => {
                    let changes = changed.entry(cell.tenant.clone()).or_default();
                    let slot = changes.cells.entry(cell.item.clone()).or_default().entry(cell).or_default();
                    slot.push((usage, diff));
                }
                Fact::List(tenant, list) => changed.entry(tenant).or_default().lists.push((list, diff)),
            }
        }
        for (id, changes) in changed {
            let tenant = tenants.entry(id.clone()).or_default();
            let old_currency = tenant.book.currency().cloned();
            let (came, went) = tenant.take(changes, &mut *out.main);
            rows = rows + came - went;
            let currency = tenant.book.currency();
            if is_first && currency != old_currency.as_ref() {
                old_currency.into_iter().for_each(|old| (out.side)((id.clone(), old), -1));
                currency.into_iter().for_each(|new| (out.side)((id.clone(), new.clone()), 1));
            }
            if tenant.items.is_empty() && tenant.lists.is_empty() {
                tenants.remove(&id);
            }
        }
        held.set(rows);
    });
    (charged.as_collection(), currencies.as_collection())
}

fn route(tenant: &Id, item: &Item) -> u64 {
    let kind: &[u8] = match item {
        Item::Model(_) => b"model",
        Item::Machine(_) => b"machine",
    };
    stable_hash128(&[tenant.as_bytes(), kind, item.name().as_bytes()]) as u64
}

#[derive(Default)]
struct Changes {
    cells: BTreeMap<Item, BTreeMap<Cell, Vec<(Usage, i64)>>>,
    lists: Vec<(PriceList, i64)>,
}

/// A worker's share of a tenant: all its lists, the cells of some of its items.
#[derive(Default)]
struct Tenant {
    lists: BTreeMap<PriceList, i64>,
    book: Book,
    items: BTreeMap<Item, BTreeMap<Cell, Usage>>,
}

/// No month is longer.
const MONTH_MINUTES: i64 = 31 * 1_440;

/// Which cells of an item may cost something else.
enum Affected {
    All,
    /// Months, with a minute of each.
    Months(BTreeMap<i64, i64>),
    Cells(BTreeSet<Cell>),
}

impl Tenant {
    /// Takes in an epoch's changes and says what costs otherwise. How many cells came, and how many went.
    fn take(&mut self, changes: Changes, say: &mut dyn FnMut((Cell, Charged), i64)) -> (usize, usize) {
        let new_prices = !changes.lists.is_empty();
        let mut affected: BTreeMap<Item, Affected> = BTreeMap::new();
        if new_prices {
            affected.extend(self.items.keys().map(|item| (item.clone(), Affected::All)));
        }
        for (item, cells) in &changes.cells {
            let which = match (new_prices, self.book.has_tiers(item)) {
                (true, _) => Affected::All,
                (false, true) => {
                    Affected::Months(cells.keys().map(|cell| (month_of(cell.minute), cell.minute)).collect())
                }
                (false, false) => Affected::Cells(cells.keys().cloned().collect()),
            };
            affected.insert(item.clone(), which);
        }
        let old = self.charges(&affected);
        let counts = self.apply(changes);
        let new = self.charges(&affected);
        merge_difference(&old, &new, say);
        counts
    }

    fn apply(&mut self, changes: Changes) -> (usize, usize) {
        if !changes.lists.is_empty() {
            for (list, diff) in changes.lists {
                *self.lists.entry(list).or_default() += diff;
            }
            self.lists.retain(|_, n| *n != 0);
            self.book = Book::new(self.lists.iter().filter(|(_, n)| **n > 0).map(|(list, _)| list));
        }
        let (mut came, mut went) = (0, 0);
        for (item, cells) in changes.cells {
            let of_item = self.items.entry(item.clone()).or_default();
            for (cell, mut updates) in cells {
                if let Some(was) = of_item.remove(&cell) {
                    updates.push((was, 1));
                    went += 1;
                }
                differential_dataflow::consolidation::consolidate(&mut updates);
                debug_assert!(updates.len() <= 1, "a cell has one sum");
                if let Some((usage, _)) = updates.into_iter().find(|(_, n)| *n > 0) {
                    of_item.insert(cell, usage);
                    came += 1;
                }
            }
            if of_item.is_empty() {
                self.items.remove(&item);
            }
        }
        (came, went)
    }

    /// What these cells cost, in order.
    fn charges(&self, affected: &BTreeMap<Item, Affected>) -> Vec<(Cell, Charged)> {
        let mut all = Vec::new();
        for (item, affected) in affected {
            let Some(cells) = self.items.get(item) else { continue };
            match affected {
                Affected::All => all.extend(self.book.charge(cells)),
                Affected::Months(months) => {
                    let mut rest = cells.range(..);
                    if let (Some(least), Some((any, _))) = (months.keys().next(), cells.first_key_value()) {
                        let from = Cell::first_of(&any.tenant, &any.item, months[least] - MONTH_MINUTES);
                        rest = cells.range(from..);
                    }
                    all.extend(self.book.charge(rest.filter(|(c, _)| months.contains_key(&month_of(c.minute)))))
                }
                Affected::Cells(some) => {
                    all.extend(self.book.charge(some.iter().filter_map(|cell| cells.get_key_value(cell))))
                }
            }
        }
        debug_assert!(all.is_sorted(), "items, and cells of an item, are in order");
        all
    }
}
