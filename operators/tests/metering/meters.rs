//! Windows of meters, incrementally, against adding up all records again.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use differential_dataflow::VecCollection;
use gravity_events::Id;
use gravity_events::analytics::{MeterValue, MeterWindow};
use gravity_events::body::{Aggregation, METER_DIMENSIONS, METER_NUMBERS, MeterDefined, Span};
use gravity_events::burn::Item;
use gravity_events::calendar::{window_end, window_start};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::oracle::agree;
use gravity_operators::harness::script::Script;
use gravity_operators::metering::meters::meters;
use gravity_operators::metering::usage_cells::{Counted, NUMBERS, UsageCell};
use serde::{Deserialize, Serialize};

/// A record of usage: its cell, time, hash and numbers.
type Used = (UsageCell, i64, u64, [i64; NUMBERS]);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Given {
    /// All records of a cell: what a fold would hold.
    Cell(Vec<Used>),
    Meter(Id, MeterDefined),
}

fn view(given: VecCollection<'_, u64, Given, i64>) -> VecCollection<'_, u64, (MeterWindow, MeterValue), i64> {
    let cells = given.clone().flat_map(|g| match g {
        Given::Cell(used) => {
            let counted = used.iter().map(|(_, at_ms, hash, numbers)| Counted::one(*numbers, *at_ms, *hash));
            Some((used[0].0.clone(), counted.reduce(|a, b| a.with(&b)).expect("a cell has records")))
        }
        Given::Meter(..) => None,
    });
    let definitions = given.flat_map(|g| match g {
        Given::Meter(tenant, meter) => Some((tenant, meter)),
        Given::Cell(_) => None,
    });
    meters(cells, definitions)
}

fn plain(given: &[Given]) -> Vec<(MeterWindow, MeterValue)> {
    let records = || given.iter().flat_map(|g| if let Given::Cell(used) = g { used.clone() } else { Vec::new() });
    let mut windows: BTreeMap<(MeterWindow, MeterDefined), Vec<Used>> = BTreeMap::new();
    for given in given {
        let Given::Meter(tenant, meter) = given else { continue };
        let zone: Tz = meter.time_zone.as_ref().map_or(Tz::UTC, |zone| zone.parse().expect("a known zone"));
        for used in records() {
            let cell = &used.0;
            let is_of = match cell.item {
                Item::Model(_) => "usage.tokens",
                Item::Machine(_) => "usage.vm",
                Item::Hint(_) => "usage.hint",
            };
            if cell.tenant != *tenant || meter.of != is_of {
                continue;
            }
            let start = window_start(cell.minute, meter.window, zone);
            let window = MeterWindow {
                tenant: tenant.clone(),
                meter: meter.meter.clone(),
                start_ms: start * 60_000,
                group: meter.group_by.iter().map(|by| (by.clone(), cell.dimension(by).cloned())).collect(),
                end_ms: window_end(start, meter.window, zone) * 60_000,
            };
            windows.entry((window, meter.clone())).or_default().push(used);
        }
    }
    let value = |meter: &MeterDefined, of: &[Used]| {
        let at = METER_NUMBERS.iter().position(|name| meter.value.as_deref() == Some(*name));
        let numbers = || of.iter().map(|used| used.3[at.expect("it has a number")]);
        match meter.aggregation {
            Aggregation::Sum | Aggregation::Avg => numbers().sum(),
            Aggregation::Count => of.len() as i64,
            Aggregation::Min => numbers().min().expect("a window has records"),
            Aggregation::Max => numbers().max().expect("a window has records"),
            Aggregation::Latest => {
                let latest = of.iter().max_by_key(|used| (used.1, used.2)).expect("a window has records");
                latest.3[at.expect("it has a number")]
            }
            Aggregation::UniqueCount => {
                let by = meter.value.as_ref().expect("it says what is counted");
                let different: BTreeSet<_> = of.iter().filter_map(|used| used.0.dimension(by)).collect();
                different.len() as i64
            }
        }
    };
    let told = windows.iter().map(|((window, meter), of)| {
        (window.clone(), MeterValue { value: value(meter, of), records: of.len() as i64 })
    });
    told.collect()
}

fn maybe(dice: &mut Dice, prefix: &str, n: u64) -> Option<Id> {
    let which = dice.below(n + 1);
    (which > 0).then(|| format!("{prefix}{which}").into())
}

fn cell(dice: &mut Dice) -> UsageCell {
    let name = Id::from(format!("m{}", dice.below(2)));
    UsageCell {
        tenant: format!("t{}", dice.below(2)).into(),
        // Around the hour that comes twice in Berlin, the end of a month, and an ordinary day.
        minute: *dice.pick(&[29_882_400, 29_882_460, 29_891_519, 29_891_520, 29_900_000]) + dice.below(3) as i64 * 30,
        item: match dice.below(10) {
            0 => Item::Hint(name),
            1..3 => Item::Machine(name),
            _ => Item::Model(name),
        },
        event: maybe(dice, "e", 1),
        team: maybe(dice, "team", 2),
        lab: maybe(dice, "lab", 1),
        participant: maybe(dice, "p", 2),
    }
}

fn meter(dice: &mut Dice) -> MeterDefined {
    let aggregation = *dice.pick(&[
        Aggregation::Sum,
        Aggregation::Count,
        Aggregation::Min,
        Aggregation::Max,
        Aggregation::Avg,
        Aggregation::UniqueCount,
        Aggregation::Latest,
    ]);
    let value = match aggregation {
        Aggregation::Count => None,
        Aggregation::UniqueCount => Some((*dice.pick(&METER_DIMENSIONS)).into()),
        _ => Some((*dice.pick(&METER_NUMBERS)).into()),
    };
    MeterDefined {
        meter: format!("meter{}", dice.below(4)).into(),
        of: (*dice.pick(&["usage.tokens", "usage.tokens", "usage.vm", "usage.hint"])).into(),
        aggregation,
        value,
        window: *dice.pick(&[Span::Minute, Span::Hour, Span::Day, Span::Month]),
        time_zone: (*dice.pick(&[None, Some("Europe/Berlin"), Some("Asia/Kolkata")])).map(Into::into),
        group_by: METER_DIMENSIONS.iter().filter(|_| dice.chance(25)).map(|by| (*by).into()).collect(),
        deleted: false,
        revision: 0,
    }
}

/// A script's keys: cells and meters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Cell(UsageCell),
    Meter(Id, Id),
}

#[test]
fn windows_agree_with_adding_up_again() {
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let mut script: Script<Key, Given> = Script::default();
        for _ in 0..40 {
            for _ in 0..dice.below(8) {
                match dice.below(10) {
                    0 => {
                        let (tenant, meter) = (Id::from(format!("t{}", dice.below(2))), meter(&mut dice));
                        script.put(Key::Meter(tenant.clone(), meter.meter.clone()), Given::Meter(tenant, meter));
                    }
                    1 => {
                        let keys = script.now().keys().cloned().collect::<Vec<_>>();
                        if !keys.is_empty() {
                            script.remove(dice.pick(&keys));
                        }
                    }
                    _ => {
                        let cell = cell(&mut dice);
                        let at = Key::Cell(cell.clone());
                        let mut of = match script.now().get(&at) {
                            Some(Given::Cell(of)) => of.clone(),
                            _ => Vec::new(),
                        };
                        let at_ms = cell.minute * 60_000 + dice.below(3) as i64;
                        let numbers = [0; NUMBERS].map(|_: i64| dice.below(5) as i64);
                        of.push((cell, at_ms, dice.any(), numbers));
                        script.put(at, Given::Cell(of));
                    }
                }
            }
            script.end_epoch();
        }
        assert!(agree(script.epochs(), view, plain).iter().flatten().count() > 100, "seed {seed} says too little");
    }
}

#[test]
fn what_a_cell_comes_to_does_not_depend_on_the_order_of_its_records() {
    let mut dice = Dice::new(3);
    let records: Vec<Counted> = (0..40)
        .map(|_| Counted::one([0; NUMBERS].map(|_: i64| dice.below(9) as i64), dice.below(3) as i64, dice.below(4)))
        .collect();
    let all = |of: Vec<&Counted>| of.into_iter().cloned().reduce(|a, b| a.with(&b)).expect("there are some");
    let forth = all(records.iter().collect());
    // Of equal times and hashes, which no two records have, the first one taken would stay.
    let mut unique = records.clone();
    unique.sort_by_key(|c| c.latest_at);
    unique.dedup_by_key(|c| c.latest_at);
    assert_eq!(all(unique.iter().collect()), all(unique.iter().rev().collect()));
    let halves = all(records[..20].iter().collect()).with(&all(records[20..].iter().collect()));
    assert_eq!(halves, forth);
}
