//! The analytics pipeline: usage becomes the windows of meters, and what teams do becomes views of their events.
//!
//! It judges no record: what counts is the other pipelines' to say. Meters are reference data, and usage is folded into cells
//! that any meter can be made of, so that a new meter has all of the past in the epoch that defines it.

use std::sync::Arc;
use std::time::Duration;

use differential_dataflow::VecCollection;
use gravity_events::analytics::{MeterValue, MeterWindow, Minutes, ViewKey, ViewRow};
use gravity_events::body::{AnalyticsChanged, MeterChanged, MeterDefined};
use gravity_events::burn::{Item, MINUTE_MS};
use gravity_events::codec::MAX_INTEGER;
use gravity_events::publish::{AnalyticsEpoch, AnalyticsSink};
use gravity_events::record::stable_hash128;
use gravity_events::{Body, Id, Record, Topic};
use gravity_ingest::log::Produce;
use gravity_operators::analytics::{self, Inputs, judged, tries};
use gravity_operators::boards::facts::EventKey;
use gravity_operators::metering::meters::meters;
use gravity_operators::metering::usage_cells::{Counted, NUMBERS, UsageCell};
use serde::{Deserialize, Serialize};

use crate::boards::facts;
use crate::runtime::{Committed, Definition, Facts, Folds, Touch, written};

/// The pipeline's name: of its folder, metrics and outputs.
pub const NAME: &str = "analytics";
const CELLS: u8 = facts::FOLDS;
const METERS: u8 = facts::FOLDS + 1;
const ACTIVITY: u8 = facts::FOLDS + 2;
const FOLDS: u8 = facts::FOLDS + 3;

/// The definition of the analytics pipeline.
pub struct Analytics {
    sink: Arc<dyn AnalyticsSink>,
}

/// Key of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// A row of a view of an event.
    View(ViewKey),
    /// A meter of a tenant.
    Meter(Id, Id),
    /// A window of a meter.
    Window(MeterWindow),
}

/// Value of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Of a view.
    View(ViewRow),
    /// A definition, as JSON: fields may be added.
    Json(String),
    /// Of a window.
    Window(MeterValue),
}

impl Analytics {
    /// The pipeline whose epochs go to `sink`.
    pub fn new(sink: Arc<dyn AnalyticsSink>) -> Analytics {
        Analytics { sink }
    }
}

impl Definition for Analytics {
    type Key = Key;
    type Value = Value;
    /// The tenant.
    type Scope = Id;

    fn name(&self) -> &'static str {
        NAME
    }

    fn floor(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Reference, Topic::Submissions, Topic::Judgements, Topic::Usage]
    }

    fn refuses(&self, _: Topic) -> bool {
        false
    }

    fn folds(&self) -> u8 {
        FOLDS
    }

    fn facts(&self, record: &Record, out: &mut Facts) {
        match &record.body {
            Body::UsageTokens(b) => {
                let total = b.input_tokens.saturating_add(b.output_tokens);
                let numbers = [b.input_tokens, b.output_tokens, b.cached_tokens, total, 0];
                used(record, Item::Model(b.model.clone()), &b.team, &b.lab, numbers, out);
            }
            Body::UsageVm(b) => {
                used(record, Item::Machine(b.machine.clone()), &b.team, &b.lab, [0, 0, 0, 0, b.duration_ms], out);
            }
            Body::UsageHint(b) => {
                used(record, Item::Hint(b.hint.clone()), &b.team, &b.lab, [0; NUMBERS], out);
            }
            Body::MeterDefined(b) => {
                let value = (!b.deleted).then(|| serde_json::to_vec(b).expect("a definition in memory can be written"));
                out.upsert(METERS, written(&(&record.tenant, &b.meter)), b.revision, value);
            }
            Body::JudgementRecorded(b) if !b.groups.is_empty() || !b.measures.is_empty() => {
                // What was measured is the boards': it would be kept here for nothing.
                let mut slim = b.clone();
                (slim.groups, slim.measures) = Default::default();
                facts::collect(&Record { body: Body::JudgementRecorded(slim), ..record.clone() }, out);
            }
            Body::EventConfigured(_)
            | Body::EventStarted(_)
            | Body::JudgementTypePublished(_)
            | Body::SubmissionWithdrawn(_)
            | Body::JudgementRecorded(_)
            | Body::RejudgingOpened(_)
            | Body::RejudgingApplied(_)
            | Body::RejudgingCancelled(_) => facts::collect(record, out),
            Body::SubmissionReceived(b) => {
                facts::collect(record, out);
                active(record, &b.team, out);
            }
            Body::SubmissionSelected(b) => active(record, &b.team, out),
            Body::HintRevealed(b) => active(record, &b.team, out),
            Body::VoteRecorded(b) => active(record, &b.voter, out),
            _ => {}
        }
    }

    fn views<'s>(&self, folds: &mut Folds<'s>) -> VecCollection<'s, u64, (Key, Value), i64> {
        let boards = facts::collections(folds);
        let merge = |_: &[u8], state: Option<&[u8]>, one: &[u8]| {
            let counted = |bytes: &[u8]| postcard::from_bytes::<Counted>(bytes).ok();
            match (state.and_then(counted), counted(one)) {
                (Some(state), Some(one)) => written(&state.with(&one)),
                _ => one.to_vec(),
            }
        };
        let cells = folds.scan(CELLS, merge, |key, state| {
            Some((postcard::from_bytes::<UsageCell>(key).ok()?, postcard::from_bytes::<Counted>(state).ok()?))
        });
        let definitions = folds.upsert(METERS, |key, value| {
            let (tenant, _): (Id, Id) = postcard::from_bytes(key).ok()?;
            Some((tenant, serde_json::from_slice::<MeterDefined>(value).ok()?))
        });
        let activity = folds.sum(ACTIVITY, |key, _| postcard::from_bytes::<(EventKey, i64, Id)>(key).ok());
        let judged = judged::judged(&boards);
        let inputs = Inputs { tries: tries::tries(judged.clone()), judged, activity };
        let views = analytics::views(&inputs).map(|(key, row)| (Key::View(key), Value::View(row)));
        let windows =
            meters(cells, definitions.clone()).map(|(window, value)| (Key::Window(window), Value::Window(value)));
        let definitions = definitions.map(|(tenant, defined)| {
            let json = serde_json::to_string(&defined).expect("a definition in memory can be written");
            (Key::Meter(tenant, defined.meter), Value::Json(json))
        });
        views.concat(windows).concat(definitions)
    }

    fn touches(&self, key: &Key, _: &Value, touches: &mut Vec<Touch<Id>>) {
        touches.push(Touch::One(match key {
            Key::View(key) => key.tenant.clone(),
            Key::Meter(tenant, _) => tenant.clone(),
            Key::Window(window) => window.tenant.clone(),
        }));
    }

    fn related(&self, scope: &Id, other: &Id) -> bool {
        scope == other
    }

    fn output_records(&self, epoch: &Committed<Self>) -> Vec<Produce> {
        let told = told(epoch);
        let views = told.views.iter().map(|(key, row)| {
            (key.tenant.clone(), Some(key.event.clone()), Body::AnalyticsChanged(view_changed(key, row.as_ref())))
        });
        let windows = told.windows.iter().map(|(window, value)| {
            let changed = window_changed(window, value.as_ref(), told.is_correction(window));
            (window.tenant.clone(), None, Body::MeterChanged(changed))
        });
        let record = |(n, (tenant, event, body)): (usize, (Id, Option<Id>, Body))| {
            let record = Record {
                id: format!("{}/{n}", epoch.epoch).into(),
                source: format!("pipeline:{NAME}").into(),
                tenant,
                event,
                subject: None,
                time_ms: Some(epoch.now_ms),
                backfill: false,
                body,
            };
            Produce::from(&record)
        };
        views.chain(windows).enumerate().map(record).collect()
    }

    fn publish(&self, epoch: Arc<Committed<Self>>) {
        self.sink.publish_analytics(Arc::new(told(&epoch)));
    }
}

/// Usage belongs to the minute of its time; without one it would not have been decoded.
fn used(record: &Record, item: Item, team: &Option<Id>, lab: &Option<Id>, numbers: [u64; NUMBERS], out: &mut Facts) {
    let Some(time_ms) = record.time_ms else { return };
    let cell = UsageCell {
        tenant: record.tenant.clone(),
        minute: time_ms.div_euclid(MINUTE_MS),
        item,
        event: record.event.clone(),
        team: team.clone(),
        lab: lab.clone(),
        participant: record.subject.clone(),
    };
    let which = stable_hash128(&[record.source.as_bytes(), record.id.as_bytes()]) as u64;
    let one = Counted::one(numbers.map(|n| i64::try_from(n).unwrap_or(i64::MAX)), time_ms, which);
    out.scan(CELLS, written(&cell), written(&one));
    if let Some(who) = record.subject.as_ref().or(team.as_ref()) {
        active(record, who, out);
    }
}

/// Somebody of an event did something. `team`: who, where the record names nobody.
fn active(record: &Record, team: &Id, out: &mut Facts) {
    let (Some(event), Some(time_ms)) = (&record.event, record.time_ms) else { return };
    let event = EventKey::new(record.tenant.clone(), event.clone());
    let minute_ms = time_ms.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
    out.sum(ACTIVITY, written(&(event, minute_ms, record.subject.as_ref().unwrap_or(team))), &[1]);
}

/// What is handed to serving.
fn told(epoch: &Committed<Analytics>) -> AnalyticsEpoch {
    let mut told = AnalyticsEpoch {
        epoch: epoch.epoch,
        now_ms: epoch.now_ms,
        bound: epoch.bound.iter().map(|b| (b.topic, b.partition, b.offset)).collect(),
        snapshot: epoch.snapshot,
        ..AnalyticsEpoch::default()
    };
    for change in &epoch.changes {
        match (&change.key, &change.value) {
            (Key::View(key), Some(Value::View(row))) => told.views.push((key.clone(), Some(row.clone()))),
            (Key::View(key), _) => told.views.push((key.clone(), None)),
            (Key::Meter(tenant, meter), value) => {
                let defined = match value {
                    Some(Value::Json(json)) => serde_json::from_str(json).ok(),
                    _ => None,
                };
                told.meters.push((tenant.clone(), meter.clone(), defined));
            }
            (Key::Window(window), Some(Value::Window(value))) => told.windows.push((window.clone(), Some(*value))),
            (Key::Window(window), _) => told.windows.push((window.clone(), None)),
        }
    }
    told
}

/// Readers of JSON lose digits beyond this.
fn exact(number: i64) -> i64 {
    number.clamp(-MAX_INTEGER, MAX_INTEGER)
}

fn window_changed(window: &MeterWindow, value: Option<&MeterValue>, correction: bool) -> MeterChanged {
    MeterChanged {
        meter: window.meter.clone(),
        window_start: window.start_ms,
        window_end: window.end_ms,
        group: window.group.iter().filter_map(|(by, of)| Some((by.clone(), of.clone()?))).collect(),
        value: value.map(|v| exact(v.value)),
        records: value.map_or(0, |v| exact(v.records)),
        correction,
    }
}

fn view_changed(key: &ViewKey, row: Option<&ViewRow>) -> AnalyticsChanged {
    let spec = analytics::spec(&key.view);
    let minutes = spec.map_or(Minutes::None, |spec| spec.minutes);
    let named = spec.into_iter().flat_map(|spec| spec.numbers).zip(row.into_iter().flat_map(|row| &row.numbers));
    AnalyticsChanged {
        view: key.view.clone(),
        window_start: key.minute_ms.filter(|_| minutes == Minutes::Clock),
        contest_minute_ms: key.minute_ms.filter(|_| minutes == Minutes::Contest),
        by: key.by.clone(),
        team: row.and_then(|row| row.team.clone()),
        numbers: named.filter_map(|((name, _), number)| Some((Id::const_new(name), exact((*number)?)))).collect(),
    }
}
