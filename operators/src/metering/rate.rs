//! Charges of all cells, kept right while usage and prices change.

use std::collections::{BTreeMap, BTreeSet};

use differential_dataflow::{AsCollection, VecCollection};
use gravity_events::Id;
use gravity_events::burn::{Adjustment, Cell, Charged, Item, PriceListKey, Usage};
use gravity_events::record::stable_hash128;
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Concatenate, Exchange};

use super::prices::{Book, PriceList, first_minute_of, month_of};
use crate::primitives::complete_times::complete_times;
use crate::primitives::held::Held;
use crate::primitives::reduce::merge_difference;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Fact {
    Cell(Cell, Usage),
    List(Id, PriceList),
}

type Rows<'s, T> = VecCollection<'s, u64, T, i64>;

/// What usage costs.
pub struct Rated<'s> {
    /// Cells with their charges.
    pub charged: Rows<'s, (Cell, Charged)>,
    /// Tenants with their currencies.
    pub currencies: Rows<'s, (Id, Id)>,
    /// What prices made of usage that had been charged by others, in the epoch in which they came: said once, and never taken back.
    /// It is history, and no state: who starts from facts does not hear of it again.
    pub adjustments: Rows<'s, Adjustment>,
}

/// What is said besides charges.
#[derive(Clone)]
enum Aside {
    Currency(Id, Id),
    Adjusted(Adjustment),
}

/// What each cell costs, the currency of each tenant that has prices, and what late prices changed.
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
    let (charged, asides) = complete_times(facts, Pipeline, "Rate", move |epoch, updates, out| {
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
            let (came, went, adjusted) = tenant.take((&id, epoch), changes, &mut *out.main);
            rows = rows + came - went;
            for adjustment in adjusted {
                (out.side)(Aside::Adjusted(adjustment), 1);
            }
            let currency = tenant.book.currency();
            if is_first && currency != old_currency.as_ref() {
                old_currency.into_iter().for_each(|old| (out.side)(Aside::Currency(id.clone(), old), -1));
                currency.into_iter().for_each(|new| (out.side)(Aside::Currency(id.clone(), new.clone()), 1));
            }
            if tenant.items.is_empty() && tenant.lists.is_empty() {
                tenants.remove(&id);
            }
        }
        held.set(rows);
    });
    let asides = asides.as_collection();
    let currencies = asides.clone().flat_map(|aside| match aside {
        Aside::Currency(tenant, currency) => Some((tenant, currency)),
        Aside::Adjusted(_) => None,
    });
    let adjustments = asides.flat_map(|aside| match aside {
        Aside::Adjusted(adjustment) => Some(adjustment),
        Aside::Currency(..) => None,
    });
    Rated { charged: charged.as_collection(), currencies, adjustments }
}

fn route(tenant: &Id, item: &Item) -> u64 {
    stable_hash128(&[tenant.as_bytes(), item.kind().as_bytes(), item.name().as_bytes()]) as u64
}

/// A tenant, and the epoch in which something changes for it.
type At<'a> = (&'a Id, u64);

/// What the same cells cost by other prices, by item and month.
fn adjustments(
    (tenant, epoch): At<'_>,
    prices: &[PriceListKey],
    old: &[(Cell, Charged)],
    new: &[(Cell, Charged)],
) -> Vec<Adjustment> {
    debug_assert!(old.iter().map(|(cell, _)| cell).eq(new.iter().map(|(cell, _)| cell)), "usage is the same");
    let mut sums: BTreeMap<(&Item, i64), Adjustment> = BTreeMap::new();
    for ((cell, was), (_, is)) in old.iter().zip(new).filter(|((_, was), (_, is))| was.cost_micro != is.cost_micro) {
        let month = month_of(cell.minute);
        let sum = sums.entry((&cell.item, month)).or_insert_with(|| Adjustment {
            tenant: tenant.clone(),
            epoch,
            item: cell.item.clone(),
            month: first_minute_of(month),
            prices: prices.to_vec(),
            records: 0,
            before_micro: 0,
            after_micro: 0,
        });
        sum.records = sum.records.saturating_add(was.usage.records);
        sum.before_micro = sum.before_micro.saturating_add(was.cost_micro);
        sum.after_micro = sum.after_micro.saturating_add(is.cost_micro);
    }
    sums.into_values().collect()
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
    /// Takes in an epoch's changes and says what costs otherwise. How many cells came, how many went, and what other prices made
    /// of those that were there.
    fn take(
        &mut self,
        at: At<'_>,
        changes: Changes,
        say: &mut dyn FnMut((Cell, Charged), i64),
    ) -> (usize, usize, Vec<Adjustment>) {
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
        let mut adjusted = Vec::new();
        if new_prices {
            let prices = self.apply_lists(changes.lists);
            if !old.is_empty() {
                adjusted = adjustments(at, &prices, &old, &self.charges(&affected));
            }
        }
        let (came, went) = self.apply_cells(changes.cells);
        let new = self.charges(&affected);
        merge_difference(&old, &new, say);
        (came, went, adjusted)
    }

    /// The lists that came or changed.
    fn apply_lists(&mut self, lists: Vec<(PriceList, i64)>) -> Vec<PriceListKey> {
        let mut keys: Vec<PriceListKey> = lists.iter().map(|(list, _)| list.key()).collect();
        keys.sort();
        keys.dedup();
        for (list, diff) in lists {
            *self.lists.entry(list).or_default() += diff;
        }
        self.lists.retain(|_, n| *n != 0);
        self.book = Book::new(self.lists.iter().filter(|(_, n)| **n > 0).map(|(list, _)| list));
        keys
    }

    fn apply_cells(&mut self, cells: BTreeMap<Item, BTreeMap<Cell, Vec<(Usage, i64)>>>) -> (usize, usize) {
        let (mut came, mut went) = (0, 0);
        for (item, cells) in cells {
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
