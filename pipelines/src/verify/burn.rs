//! Burn, recomputed from the log at once: no folds, no dataflow. It shares the record codec and what prices mean.

use std::collections::BTreeMap;

use gravity_events::burn::{Cell, Charged, Item, MINUTE_MS, PriceListKey, RESERVATIONS_SOURCE, Usage};
use gravity_events::{Body, Id, Topic};
use gravity_ingest::log::{Bound, Log, LogError};
use gravity_operators::metering::prices::{Book, PriceList};

use super::{Report, replay};

/// The burn of a tenant: what a pipeline gives to serving, and what is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Burn {
    /// In which it pays.
    pub currency: Option<Id>,
    /// Cells with their charges.
    pub cells: BTreeMap<Cell, Charged>,
}

/// Topics that burn is made of.
const INPUTS: [Topic; 2] = [Topic::Reference, Topic::Usage];

/// Recomputes the burn of all tenants from the log up to `bound` and compares it with what is shown at `epoch`.
pub fn verify(log: &dyn Log, epoch: u64, bound: &[Bound], shown: &BTreeMap<Id, Burn>) -> Result<Report, LogError> {
    let mut report = Report { epoch, ..Report::default() };
    // Reference data is refused by the boards pipeline, which may be behind.
    let records = replay::replay(log, bound, &INPUTS, &[Topic::Usage], &mut report)?;
    if !report.not_covered.is_empty() {
        report.not_covered.push("burn was not compared, because part of the log is gone".to_owned());
        return Ok(report);
    }
    let computed = compute(&records);
    let nothing = Burn::default();
    for tenant in computed.keys().chain(shown.keys().filter(|t| !computed.contains_key(*t))) {
        let (c, s) = (computed.get(tenant).unwrap_or(&nothing), shown.get(tenant).unwrap_or(&nothing));
        if c.currency != s.currency {
            report.differs(format!("burn of {tenant}: currency: computed {:?}, shown {:?}", c.currency, s.currency));
        }
        for cell in c.cells.keys().chain(s.cells.keys().filter(|cell| !c.cells.contains_key(*cell))) {
            report.cells += 1;
            let (computed, shown) = (c.cells.get(cell), s.cells.get(cell));
            if computed != shown {
                report.differs(format!("burn of {tenant}: {cell:?}: computed {computed:?}, shown {shown:?}"));
            }
        }
    }
    Ok(report)
}

fn compute(records: &[replay::Counted]) -> BTreeMap<Id, Burn> {
    let mut usage: BTreeMap<(Id, Item), BTreeMap<Cell, Usage>> = BTreeMap::new();
    let mut lists: BTreeMap<Id, BTreeMap<PriceListKey, PriceList>> = BTreeMap::new();
    for record in records.iter().map(|counted| &counted.record) {
        let tokens = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (item, team, lab, used) = match &record.body {
            Body::UsageTokens(b) => {
                let used = Usage {
                    records: 1,
                    input_tokens: tokens(b.input_tokens),
                    output_tokens: tokens(b.output_tokens),
                    cached_tokens: tokens(b.cached_tokens),
                    duration_ms: 0,
                };
                (Item::Model(b.model.clone()), &b.team, &b.lab, used)
            }
            Body::UsageVm(b) => {
                let used = Usage { records: 1, duration_ms: tokens(b.duration_ms), ..Usage::default() };
                (Item::Machine(b.machine.clone()), &b.team, &b.lab, used)
            }
            Body::UsageHint(b) => {
                (Item::Hint(b.hint.clone()), &b.team, &b.lab, Usage { records: 1, ..Usage::default() })
            }
            Body::PricePublished(b) => {
                let list = PriceList::of(record.event.as_ref(), b);
                // Records are in the order of the log: the last one of a key holds.
                lists.entry(record.tenant.clone()).or_default().insert(list.key(), list);
                continue;
            }
            _ => continue,
        };
        let cell = Cell {
            tenant: record.tenant.clone(),
            item: item.clone(),
            minute: record.time_ms.unwrap_or(0).div_euclid(MINUTE_MS),
            event: record.event.clone(),
            team: team.clone(),
            lab: lab.clone(),
            reserved: record.source == RESERVATIONS_SOURCE,
        };
        let sum = usage.entry((record.tenant.clone(), item)).or_default().entry(cell).or_default();
        *sum = sum.plus(&used);
    }
    let mut burn: BTreeMap<Id, Burn> = BTreeMap::new();
    let books: BTreeMap<Id, Book> =
        lists.into_iter().map(|(tenant, lists)| (tenant, Book::new(lists.values()))).collect();
    for (tenant, book) in &books {
        burn.entry(tenant.clone()).or_default().currency = book.currency().cloned();
    }
    let no_prices = Book::default();
    for ((tenant, _), cells) in usage {
        let charged = books.get(&tenant).unwrap_or(&no_prices).charge(&cells);
        burn.entry(tenant).or_default().cells.extend(charged);
    }
    burn
}
