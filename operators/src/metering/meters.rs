//! Meters: what their definitions make of usage. A pure function of the cells of usage and of the definitions, so that a new
//! meter has its past at once.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use differential_dataflow::{AsCollection, VecCollection};
use gravity_events::Id;
use gravity_events::analytics::{MeterValue, MeterWindow};
use gravity_events::body::{Aggregation, METER_NUMBERS, MeterDefined};
use gravity_events::burn::{Item, MINUTE_MS};
use gravity_events::calendar::{window_end, window_start};
use gravity_events::record::stable_hash128;
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Concatenate, Exchange};

use super::aggregate::{Given, Window, aggregate};

use super::usage_cells::{Counted, UsageCell};
use crate::primitives::complete_times::{Out, complete_times};
use crate::primitives::held::Held;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Fact {
    Cell(UsageCell, Counted),
    Meter(Id, MeterDefined),
}

/// The windows of all meters. `definitions`: by tenant, each meter once.
///
/// Cost: a change of usage looks at its cell once per meter of the tenant; a change of a definition at all cells of the
/// tenant. Memory: the cells, and one row per window, or per different number of a window where a meter wants the least, the
/// greatest, the latest or how many there are.
pub fn meters<'s>(
    cells: VecCollection<'s, u64, (UsageCell, Counted), i64>,
    definitions: VecCollection<'s, u64, (Id, MeterDefined), i64>,
) -> VecCollection<'s, u64, (MeterWindow, MeterValue), i64> {
    let cells = cells.map(|(cell, counted)| Fact::Cell(cell, counted)).inner;
    let cells = cells.exchange(|(fact, _, _)| match fact {
        Fact::Cell(cell, _) => route(cell),
        Fact::Meter(..) => 0,
    });
    let definitions = definitions.map(|(tenant, meter)| Fact::Meter(tenant, meter)).inner.broadcast();
    let facts = cells.scope().concatenate([cells, definitions]);
    let mut tenants: BTreeMap<Id, Tenant> = BTreeMap::new();
    let mut held = Held::by("Meters");
    let mut held_cells = 0_i64;
    let step = move |_, updates: &mut dyn Iterator<Item = (Fact, i64)>, out: Out<'_, (Window, Given), ()>| {
        let mut of_cells: Vec<(UsageCell, Counted, i64)> = Vec::new();
        let mut of_meters: Vec<(Id, MeterDefined, i64)> = Vec::new();
        for (fact, diff) in updates {
            match fact {
                Fact::Cell(cell, counted) => of_cells.push((cell, counted, diff)),
                Fact::Meter(tenant, meter) => of_meters.push((tenant, meter, diff)),
            }
        }
        // A meter that changes is taken from the cells as they were and given to them; then cells change.
        of_meters.sort_by_key(|(.., diff)| *diff);
        for (id, defined, diff) in of_meters {
            let tenant = tenants.entry(id).or_default();
            let meter = Meter::new(defined);
            for (cell, counted) in tenant.cells.iter().flat_map(|(cell, all)| all.iter().map(move |c| (cell, c))) {
                let (counted, n) = counted;
                meter.give(cell, counted).into_iter().for_each(|given| (out.main)(given, diff * n));
            }
            let at = meter.defined.clone();
            match diff > 0 {
                true => drop(tenant.meters.insert(at, meter)),
                false => drop(tenant.meters.remove(&at)),
            }
        }
        for (cell, counted, diff) in of_cells {
            let tenant = tenants.entry(cell.tenant.clone()).or_default();
            for meter in tenant.meters.values() {
                meter.give(&cell, &counted).into_iter().for_each(|given| (out.main)(given, diff));
            }
            let all = tenant.cells.entry(cell.clone()).or_default();
            held_cells -= i64::from(!all.is_empty());
            crate::primitives::counts::add(all, counted, diff);
            held_cells += i64::from(!all.is_empty());
            if all.is_empty() {
                tenant.cells.remove(&cell);
            }
        }
        tenants.retain(|_, tenant| !tenant.cells.is_empty() || !tenant.meters.is_empty());
        held.set(usize::try_from(held_cells).unwrap_or(0));
    };
    let (given, _) = complete_times(facts, Pipeline, "Meters", step);
    aggregate(given.as_collection())
}

fn route(cell: &UsageCell) -> u64 {
    let part = |id: &Option<Id>| id.clone().unwrap_or_default();
    let who = part(&cell.participant);
    stable_hash128(&[cell.tenant.as_bytes(), cell.item.name().as_bytes(), part(&cell.team).as_bytes(), who.as_bytes()])
        as u64
}

#[derive(Default)]
struct Tenant {
    meters: BTreeMap<MeterDefined, Meter>,
    /// What a cell comes to; within an epoch the old and the new may be there together.
    cells: BTreeMap<UsageCell, BTreeMap<Counted, i64>>,
}

/// A definition, ready to be applied.
struct Meter {
    defined: MeterDefined,
    zone: Tz,
    /// The place of its number; of records that are only counted any.
    number: usize,
}

impl Meter {
    fn new(defined: MeterDefined) -> Meter {
        // Definitions are checked when they are decoded.
        let zone = defined.time_zone.as_ref().and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
        let number = METER_NUMBERS.iter().position(|name| defined.value.as_deref() == Some(*name)).unwrap_or(0);
        Meter { defined, zone, number }
    }

    /// What a cell gives to one of its windows.
    fn give(&self, cell: &UsageCell, counted: &Counted) -> Option<(Window, Given)> {
        let MeterDefined { meter, of, aggregation, value, window, group_by, .. } = &self.defined;
        let is_of = match cell.item {
            Item::Model(_) => "usage.tokens",
            Item::Machine(_) => "usage.vm",
            Item::Hint(_) => "usage.hint",
        };
        if of != is_of {
            return None;
        }
        let n = self.number;
        let (number, of) = match aggregation {
            Aggregation::Sum | Aggregation::Avg => (counted.sums[n], None),
            Aggregation::Count => (counted.records, None),
            Aggregation::Min => (counted.least[n], None),
            Aggregation::Max => (counted.greatest[n], None),
            Aggregation::Latest => (counted.latest[n], None),
            // What is not said is not counted, and a window of nothing else has none of it.
            Aggregation::UniqueCount => (0, value.as_ref().and_then(|name| cell.dimension(name)).cloned()),
        };
        let start = window_start(cell.minute, *window, self.zone);
        let window = MeterWindow {
            tenant: cell.tenant.clone(),
            meter: meter.clone(),
            start_ms: start.saturating_mul(MINUTE_MS),
            group: group_by.iter().map(|name| (name.clone(), cell.dimension(name).cloned())).collect(),
            end_ms: window_end(start, *window, self.zone).saturating_mul(MINUTE_MS),
        };
        let latest_at = if *aggregation == Aggregation::Latest { counted.latest_at } else { (0, 0) };
        Some((Window { window, aggregation: *aggregation }, Given { number, latest_at, of, records: counted.records }))
    }
}
