//! The labs pipeline: telemetry becomes alerts.
//!
//! The state of a lab's detectors is a scan fold: it takes the points of the log in their order, and is what the journal keeps.
//! Alerts are what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use differential_dataflow::VecCollection;
use gravity_events::body::Alert;
use gravity_events::publish::{LabAlert, LabAlertKey, LabKey, LabPhase, LabSeen, LabsEpoch, LabsSink};
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Id, Record, Topic};
use gravity_ingest::log::Produce;
use gravity_operators::anomaly::alert::Levels;
use gravity_operators::anomaly::lab::{Lab, Told};
use serde::{Deserialize, Serialize};

use crate::runtime::{Committed, Definition, Facts, Folds, Touch, written};

/// The pipeline's name: of its folder, metrics and outputs.
pub const NAME: &str = "labs";
const LABS: u8 = 0;
/// The rule that its alerts name.
pub const RULE: &str = "anomaly";

/// The definition of the labs pipeline.
pub struct Labs {
    sink: Arc<dyn LabsSink>,
}

/// Key of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// What is known of a lab.
    Seen(LabKey),
    /// Its alert.
    Alert(LabAlertKey),
}

/// Value of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Of [`Key::Seen`].
    Seen(LabSeen),
    /// Of [`Key::Alert`].
    Alert(LabAlert),
}

impl Labs {
    /// The pipeline whose epochs go to `sink`.
    pub fn new(sink: Arc<dyn LabsSink>) -> Labs {
        Labs { sink }
    }
}

impl Definition for Labs {
    type Key = Key;
    type Value = Value;
    /// The tenant.
    type Scope = Id;

    fn name(&self) -> &'static str {
        NAME
    }

    fn floor(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Telemetry, Topic::Labs]
    }

    fn folds(&self) -> u8 {
        1
    }

    fn facts(&self, record: &Record, facts: &mut Facts) {
        let (lab, told) = match &record.body {
            Body::LabTelemetry(b) => {
                (&b.lab, Told::Point { metric: b.metric.clone(), at_ms: record.time_ms, value: b.value })
            }
            Body::LabProvisionRequested(b) => (&b.lab, Told::Phase(LabPhase::Requested)),
            Body::LabStepStarted(b) | Body::LabStepSucceeded(b) | Body::LabStepFailed(b) => {
                (&b.lab, Told::Phase(LabPhase::Provisioning))
            }
            Body::LabReady(b) => (&b.lab, Told::Phase(LabPhase::Ready)),
            Body::LabFailed(b) => (&b.lab, Told::Phase(LabPhase::Failed)),
            Body::LabReleased(b) => (&b.lab, Told::Released),
            _ => return,
        };
        let key = LabKey { tenant: record.tenant.clone(), lab: lab.clone() };
        facts.scan(LABS, written(&key), written(&told));
    }

    fn views<'s>(&self, folds: &mut Folds<'s>) -> VecCollection<'s, u64, (Key, Value), i64> {
        let step = |_: &[u8], state: Option<&[u8]>, told: &[u8]| {
            // A state that another build wrote differently is begun anew: detectors learn again, nothing else is lost.
            let mut lab: Lab = state.and_then(|state| postcard::from_bytes(state).ok()).unwrap_or_default();
            if let Ok(told) = postcard::from_bytes(told) {
                lab.take(told, &Levels::default());
            }
            written(&lab)
        };
        let decode = |key: &[u8], state: &[u8]| {
            let (key, lab): (LabKey, Lab) = (postcard::from_bytes(key).ok()?, postcard::from_bytes(state).ok()?);
            Some((key, lab.seen(), lab.alert()))
        };
        folds.scan(LABS, step, decode).flat_map(|(lab, seen, alert)| {
            let seen = seen.map(|seen| (Key::Seen(lab.clone()), Value::Seen(seen)));
            let alert = alert.map(|(since_ms, metric, alert)| {
                (Key::Alert(LabAlertKey { lab, since_ms, metric }), Value::Alert(alert))
            });
            seen.into_iter().chain(alert)
        })
    }

    fn touches(&self, key: &Key, _: &Value, touches: &mut Vec<Touch<Id>>) {
        if let Key::Alert(alert) = key {
            touches.push(Touch::One(alert.lab.tenant.clone()));
        }
    }

    fn related(&self, scope: &Id, other: &Id) -> bool {
        scope == other
    }

    fn output_records(&self, epoch: &Committed<Self>) -> Vec<Produce> {
        let alerts = epoch.changes.iter().filter_map(|change| match (&change.key, &change.value) {
            (Key::Alert(key), Some(Value::Alert(alert))) => Some((key, Some(alert))),
            (Key::Alert(key), None) => Some((key, None)),
            _ => None,
        });
        alerts.map(|(key, alert)| alert_record(epoch, key, alert)).collect()
    }

    fn publish(&self, epoch: Arc<Committed<Self>>) {
        let mut told = LabsEpoch {
            epoch: epoch.epoch,
            bound: epoch.bound.iter().map(|b| (b.topic, b.partition, b.offset)).collect(),
            refused: epoch.refused.clone(),
            snapshot: epoch.snapshot,
            ..LabsEpoch::default()
        };
        for change in &epoch.changes {
            match (&change.key, &change.value) {
                (Key::Seen(key), Some(Value::Seen(seen))) => told.labs.push((key.clone(), Some(seen.clone()))),
                (Key::Seen(key), _) => told.labs.push((key.clone(), None)),
                (Key::Alert(key), Some(Value::Alert(alert))) => told.alerts.push((key.clone(), Some(alert.clone()))),
                (Key::Alert(key), _) => told.alerts.push((key.clone(), None)),
            }
        }
        self.sink.publish_labs(Arc::new(told));
    }
}

/// The id of an alert: of its raising and its clearing.
pub fn alert_id(key: &LabAlertKey) -> String {
    format!("{}/{}/{}", key.lab.lab, key.metric, format_rfc3339_ms(key.since_ms))
}

/// What an alert says to people.
pub fn summary(key: &LabAlertKey, alert: &LabAlert) -> String {
    let since = format_rfc3339_ms(key.since_ms);
    let mut text = format!("{} of {} is unusual since {since}", key.metric, key.lab.lab);
    if !alert.others.is_empty() {
        text.push_str(&format!("; so is {}", alert.others.join(", ")));
    }
    text.push_str(&format!(" (evidence {} nats)", alert.evidence_nats));
    text
}

fn alert_record(epoch: &Committed<Labs>, key: &LabAlertKey, alert: Option<&LabAlert>) -> Produce {
    let id = alert_id(key);
    let body = Alert {
        // Ids are bounded, and so is one that is made of others.
        alert: id.chars().take(200).collect::<String>().into(),
        rule: RULE.into(),
        summary: alert.map_or_else(|| "it is quiet again".to_owned(), |alert| summary(key, alert)),
    };
    let record = Record {
        id: format!("{}/{id}", epoch.epoch).chars().take(200).collect::<String>().into(),
        source: format!("pipeline:{NAME}").into(),
        tenant: key.lab.tenant.clone(),
        event: None,
        subject: Some(key.lab.lab.clone()),
        time_ms: Some(epoch.now_ms),
        backfill: false,
        body: if alert.is_some() { Body::AlertRaised(body) } else { Body::AlertCleared(body) },
    };
    Produce::from(&record)
}
