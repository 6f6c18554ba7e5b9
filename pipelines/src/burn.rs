//! The burn pipeline: usage and price lists become what each minute's usage costs, and what budgets lose by it.
//!
//! What is folded is sums, not records: one row for all usage of a minute that is charged alike.

mod pricing;

use std::sync::Arc;

use differential_dataflow::VecCollection;
use gravity_events::body::{BudgetSet, BurnAdjusted, BurnChanged, PriceVersion};
use gravity_events::burn::{
    Account, Adjustment, Cell, Charged, Item, MINUTE_MS, PriceListKey, RESERVATIONS_SOURCE, Usage,
};
use gravity_events::codec::MAX_INTEGER;
use gravity_events::publish::{BudgetKey, BurnEpoch, BurnSink};
use gravity_events::{Body, Id, Record, Topic};
use gravity_ingest::log::Produce;
use gravity_operators::metering::accounts::unreserved;
use gravity_operators::metering::minutes::{TenantMinute, minutes};
use gravity_operators::metering::prices::PriceList;
use gravity_operators::metering::rate::{Rated, rate};
use serde::{Deserialize, Serialize};

use crate::runtime::{Change, Committed, Definition, Facts, Folds, Touch, written};

pub use pricing::Prices;

/// The pipeline's name: of its folder, metrics and outputs.
pub const NAME: &str = "burn";
const USAGE: u8 = 0;
const PRICES: u8 = 1;
const BUDGETS: u8 = 2;
const FOLDS: u8 = 3;
/// The meter of all usage of a tenant, by minute.
pub const METER: &str = "total";

/// The definition of the burn pipeline.
pub struct Burn {
    sink: Arc<dyn BurnSink>,
    prices: Arc<Prices>,
}

/// Key of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// What a cell costs.
    Cell(Cell),
    /// In which currency a tenant pays.
    Currency(Id),
    /// A tenant's minute, all together.
    Minute(TenantMinute),
    /// What an account spent without having reserved it.
    Unreserved(Account),
    /// A budget.
    Budget(BudgetKey),
    /// A price list of a tenant.
    List(Id, PriceListKey),
    /// What late prices changed.
    Adjusted(Adjustment),
}

/// Value of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Of a cell.
    Charged(Charged),
    /// Of a tenant.
    Currency(Id),
    /// Of a minute: usage and cost in micro-units.
    Minute(Usage, i64),
    /// Micro-units.
    Unreserved(i64),
    /// A budget or a price list, as JSON: fields may be added.
    Json(String),
    /// Of what is said by its key.
    Said,
}

impl Burn {
    /// The pipeline whose epochs go to `sink`.
    pub fn new(sink: Arc<dyn BurnSink>) -> Burn {
        Burn { sink, prices: Arc::default() }
    }

    /// The prices of the last epoch.
    pub fn prices(&self) -> Arc<Prices> {
        self.prices.clone()
    }
}

impl Definition for Burn {
    type Key = Key;
    type Value = Value;
    /// The tenant.
    type Scope = Id;

    fn name(&self) -> &'static str {
        NAME
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Reference, Topic::Usage]
    }

    /// Reference data is the boards pipeline's to refuse.
    fn refuses(&self, topic: Topic) -> bool {
        topic == Topic::Usage
    }

    fn folds(&self) -> u8 {
        FOLDS
    }

    fn facts(&self, record: &Record, facts: &mut Facts) {
        match &record.body {
            Body::UsageTokens(b) => {
                let numbers = [1, b.input_tokens, b.output_tokens, b.cached_tokens, 0];
                used(record, Item::Model(b.model.clone()), &b.team, &b.lab, numbers, facts);
            }
            Body::UsageVm(b) => {
                let numbers = [1, 0, 0, 0, b.duration_ms];
                used(record, Item::Machine(b.machine.clone()), &b.team, &b.lab, numbers, facts);
            }
            Body::UsageHint(b) => {
                used(record, Item::Hint(b.hint.clone()), &b.team, &b.lab, [1, 0, 0, 0, 0], facts);
            }
            Body::PricePublished(b) => {
                let list = PriceList::of(record.event.as_ref(), b);
                let key = (&record.tenant, &record.event, &b.price_list, b.version);
                // As JSON: fields may be added.
                let value = serde_json::to_vec(&list).expect("a price list in memory can be written");
                facts.upsert(PRICES, written(&key), 0, Some(value));
            }
            Body::BudgetSet(b) => {
                let key: BudgetKey = (record.tenant.clone(), record.event.clone(), b.budget.clone());
                let value = serde_json::to_vec(b).expect("a budget in memory can be written");
                facts.upsert(BUDGETS, written(&key), 0, Some(value));
            }
            _ => {}
        }
    }

    fn views<'s>(&self, folds: &mut Folds<'s>) -> VecCollection<'s, u64, (Key, Value), i64> {
        let cells = folds.sum(USAGE, |key, numbers| {
            let at = |n: usize| numbers.get(n).copied().unwrap_or(0);
            let usage = Usage {
                records: at(0),
                input_tokens: at(1),
                output_tokens: at(2),
                cached_tokens: at(3),
                duration_ms: at(4),
            };
            Some((postcard::from_bytes::<Cell>(key).ok()?, usage))
        });
        let lists = folds.upsert(PRICES, |key, value| {
            let (tenant, ..): (Id, Option<Id>, Id, u64) = postcard::from_bytes(key).ok()?;
            Some((tenant, serde_json::from_slice::<PriceList>(value).ok()?))
        });
        let budgets = folds.upsert(BUDGETS, |key, value| {
            Some((postcard::from_bytes::<BudgetKey>(key).ok()?, String::from_utf8(value.to_vec()).ok()?))
        });
        let Rated { charged, currencies, adjustments } = rate(cells, lists.clone());
        let minutes = minutes(charged.clone());
        let unreserved = unreserved(charged.clone());
        let charged = charged.map(|(cell, charged)| (Key::Cell(cell), Value::Charged(charged)));
        let currencies = currencies.map(|(tenant, currency)| (Key::Currency(tenant), Value::Currency(currency)));
        let minutes =
            minutes.map(|(minute, usage, cost_micro)| (Key::Minute(minute), Value::Minute(usage, cost_micro)));
        let unreserved =
            unreserved.map(|(account, cost_micro)| (Key::Unreserved(account), Value::Unreserved(cost_micro)));
        let budgets = budgets.map(|(key, json)| (Key::Budget(key), Value::Json(json)));
        let lists = lists.map(|(tenant, list)| {
            let json = serde_json::to_string(&list).expect("a price list in memory can be written");
            (Key::List(tenant, (list.event, list.list, list.version)), Value::Json(json))
        });
        let adjustments = adjustments.map(|adjustment| (Key::Adjusted(adjustment), Value::Said));
        charged.concat(currencies).concat(minutes).concat(unreserved).concat(budgets).concat(lists).concat(adjustments)
    }

    fn touches(&self, key: &Key, _: &Value, touches: &mut Vec<Touch<Id>>) {
        touches.push(Touch::One(match key {
            Key::Cell(cell) => cell.tenant.clone(),
            Key::Currency(tenant) => tenant.clone(),
            Key::Minute(minute) => minute.tenant.clone(),
            // They are no part of what a tenant's burn shows, or follow from its cells.
            Key::Unreserved(_) | Key::Budget(_) | Key::List(..) | Key::Adjusted(_) => return,
        }));
    }

    fn related(&self, scope: &Id, other: &Id) -> bool {
        scope == other
    }

    fn output_records(&self, epoch: &Committed<Self>) -> Vec<Produce> {
        let minutes = epoch.changes.iter().filter_map(|change| match &change.key {
            Key::Minute(minute) => Some(minute_record(epoch, minute, change)),
            Key::Adjusted(adjustment) => Some(adjusted_record(epoch, adjustment)),
            _ => None,
        });
        minutes.collect()
    }

    fn publish(&self, epoch: Arc<Committed<Self>>) {
        let mut told = BurnEpoch {
            epoch: epoch.epoch,
            now_ms: epoch.now_ms,
            versions: epoch.versions.clone(),
            bound: epoch.bound.iter().map(|b| (b.topic, b.partition, b.offset)).collect(),
            refused: epoch.refused.clone(),
            snapshot: epoch.snapshot,
            ..BurnEpoch::default()
        };
        let mut lists = Vec::new();
        for change in &epoch.changes {
            match (&change.key, &change.value) {
                (Key::Cell(cell), Some(Value::Charged(charged))) => {
                    told.cells.push((cell.clone(), Some(charged.clone())));
                }
                (Key::Cell(cell), _) => told.cells.push((cell.clone(), None)),
                (Key::Currency(tenant), Some(Value::Currency(currency))) => {
                    told.currencies.push((tenant.clone(), Some(currency.clone())));
                }
                (Key::Currency(tenant), _) => told.currencies.push((tenant.clone(), None)),
                // Serving adds up cells itself, by whatever it is asked for; adjustments it reads in the topic.
                (Key::Minute(_) | Key::Adjusted(_), _) => {}
                (Key::Unreserved(account), Some(Value::Unreserved(cost_micro))) => {
                    told.unreserved.push((account.clone(), Some(*cost_micro)));
                }
                (Key::Unreserved(account), _) => told.unreserved.push((account.clone(), None)),
                (Key::Budget(key), value) => told.budgets.push((key.clone(), of_json::<BudgetSet>(value))),
                (Key::List(tenant, key), value) => lists.push((tenant.clone(), key.clone(), of_json(value))),
            }
        }
        self.prices.apply(epoch.snapshot, lists);
        self.sink.publish_burn(Arc::new(told));
    }
}

/// What is kept as JSON; None: gone, or of a build that wrote it otherwise.
fn of_json<T: serde::de::DeserializeOwned>(value: &Option<Value>) -> Option<T> {
    match value {
        Some(Value::Json(json)) => serde_json::from_str(json).ok(),
        _ => None,
    }
}

/// Usage belongs to the minute of its time; without one it would not have been decoded.
fn used(record: &Record, item: Item, team: &Option<Id>, lab: &Option<Id>, numbers: [u64; 5], facts: &mut Facts) {
    let Some(time_ms) = record.time_ms else { return };
    let cell = Cell {
        tenant: record.tenant.clone(),
        item,
        minute: time_ms.div_euclid(MINUTE_MS),
        event: record.event.clone(),
        team: team.clone(),
        lab: lab.clone(),
        reserved: record.source == RESERVATIONS_SOURCE,
    };
    facts.sum(USAGE, written(&cell), &numbers.map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
}

fn minute_record(epoch: &Committed<Burn>, minute: &TenantMinute, change: &Change<Key, Value>) -> Produce {
    let (usage, cost_micro) = match &change.value {
        Some(Value::Minute(usage, cost_micro)) => (*usage, *cost_micro),
        _ => (Usage::default(), 0),
    };
    let start_ms = minute.minute.saturating_mul(MINUTE_MS);
    // Readers of JSON lose digits beyond this.
    let told = |number: i64| number.min(MAX_INTEGER);
    let record = Record {
        id: format!("{}/{}/{METER}", epoch.epoch, minute.minute).into(),
        source: format!("pipeline:{NAME}").into(),
        tenant: minute.tenant.clone(),
        event: None,
        subject: None,
        time_ms: Some(epoch.now_ms),
        backfill: false,
        body: Body::BurnChanged(BurnChanged {
            meter: METER.into(),
            window_start: start_ms,
            records: told(usage.records),
            input_tokens: told(usage.input_tokens),
            output_tokens: told(usage.output_tokens),
            cached_tokens: told(usage.cached_tokens),
            cost_micro: told(cost_micro),
        }),
    };
    Produce::from(&record)
}

/// What late prices changed, as it is told. Readers of JSON lose digits beyond [`MAX_INTEGER`].
fn adjusted(epoch: &Committed<Burn>, adjustment: &Adjustment) -> BurnAdjusted {
    let told = |number: i64| number.clamp(-MAX_INTEGER, MAX_INTEGER);
    let version = |(event, list, version): &PriceListKey| PriceVersion {
        price_list: list.clone(),
        version: *version,
        event: event.clone(),
    };
    BurnAdjusted {
        at: epoch.now_ms,
        month: adjustment.month.saturating_mul(MINUTE_MS),
        kind: Id::const_new(adjustment.item.kind()),
        item: adjustment.item.name().clone(),
        prices: adjustment.prices.iter().map(version).collect(),
        records: told(adjustment.records),
        before_micro: told(adjustment.before_micro),
        after_micro: told(adjustment.after_micro),
    }
}

fn adjusted_record(epoch: &Committed<Burn>, adjustment: &Adjustment) -> Produce {
    let Adjustment { tenant, item, month, .. } = adjustment;
    let record = Record {
        id: format!("{}/{month}/{}/{}", epoch.epoch, item.kind(), item.name()).into(),
        source: format!("pipeline:{NAME}").into(),
        tenant: tenant.clone(),
        event: None,
        subject: None,
        time_ms: Some(epoch.now_ms),
        backfill: false,
        body: Body::BurnAdjusted(adjusted(epoch, adjustment)),
    };
    Produce::from(&record)
}
