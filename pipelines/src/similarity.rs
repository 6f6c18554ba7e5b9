//! The similarity pipeline: sources become pairs of teams whose newest sources are alike.
//!
//! What is folded is fingerprints, not text: the newest ones of each team and problem.

use std::sync::Arc;
use std::time::Duration;

use differential_dataflow::VecCollection;
use gravity_events::body::{Alike, SimilarityChanged};
use gravity_events::publish::{SimilarityEpoch, SimilaritySink};
use gravity_events::{Body, Id, Record, Topic};
use gravity_ingest::log::Produce;
use gravity_operators::boards::facts::EventKey;
use gravity_operators::similarity::fingerprint::{Fineness, fingerprint};
use gravity_operators::similarity::pairs::{Limits, Scope, Source, Template, pairs};
use gravity_operators::similarity::tokens::Family;
use serde::{Deserialize, Serialize};

use crate::runtime::{Committed, Definition, Facts, Folds, Touch, written};

/// The pipeline's name: of its folder, metrics and outputs.
pub const NAME: &str = "similarity";
const SOURCES: u8 = 0;
const TEMPLATES: u8 = 1;

/// The definition of the similarity pipeline.
pub struct Similarity {
    sink: Arc<dyn SimilaritySink>,
}

/// Key of an output row: two teams, the lesser id first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    scope: Scope,
    left: Id,
    right: Id,
}

/// Value of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Value {
    left: Id,
    right: Id,
    shared: u32,
    share_bp: u32,
}

impl Similarity {
    /// The pipeline whose epochs go to `sink`.
    pub fn new(sink: Arc<dyn SimilaritySink>) -> Similarity {
        Similarity { sink }
    }
}

impl Definition for Similarity {
    type Key = Key;
    type Value = Value;
    type Scope = EventKey;

    fn name(&self) -> &'static str {
        NAME
    }

    fn floor(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Sources]
    }

    fn folds(&self) -> u8 {
        2
    }

    fn facts(&self, record: &Record, facts: &mut Facts) {
        let Some(event) = &record.event else { return };
        let scope = |problem: &Id, language: &Id| Scope {
            event: EventKey::new(record.tenant.clone(), event.clone()),
            problem: problem.clone(),
            language: Family::of(language).name().into(),
        };
        // The newest by the clock of whoever handed it in; equal ones go by their place in the log.
        let revision = record.time_ms.map_or(0, |ms| u64::try_from(ms).unwrap_or(0));
        match &record.body {
            Body::SourcePublished(b) => {
                let key = (scope(&b.problem, &b.language), &b.team);
                let prints = fingerprint(&b.language, &b.text, Fineness::default());
                let value = written(&(&b.submission, record.time_ms.unwrap_or(0), prints));
                facts.upsert(SOURCES, written(&key), revision, Some(value));
            }
            Body::TemplatePublished(b) => {
                let key = (scope(&b.problem, &b.language), &b.template);
                let prints = fingerprint(&b.language, &b.text, Fineness::default());
                facts.upsert(TEMPLATES, written(&key), revision, Some(written(&prints)));
            }
            _ => {}
        }
    }

    fn views<'s>(&self, folds: &mut Folds<'s>) -> VecCollection<'s, u64, (Key, Value), i64> {
        let sources = folds.upsert(SOURCES, |key, value| {
            let (scope, team) = postcard::from_bytes(key).ok()?;
            let (submission, at_ms, prints): (Id, i64, Vec<u64>) = postcard::from_bytes(value).ok()?;
            Some(Source { scope, team, submission, at_ms, fingerprints: prints.into() })
        });
        let templates = folds.upsert(TEMPLATES, |key, value| {
            let (scope, template) = postcard::from_bytes(key).ok()?;
            let prints: Vec<u64> = postcard::from_bytes(value).ok()?;
            Some(Template { scope, template, fingerprints: prints.into() })
        });
        pairs(sources, templates, Limits::default()).map(|pair| {
            let value =
                Value { left: pair.left.1, right: pair.right.1, shared: pair.shared, share_bp: pair.containment_bp };
            (Key { scope: pair.scope, left: pair.left.0, right: pair.right.0 }, value)
        })
    }

    fn touches(&self, key: &Key, _: &Value, touches: &mut Vec<Touch<EventKey>>) {
        touches.push(Touch::One(key.scope.event.clone()));
    }

    fn related(&self, scope: &EventKey, other: &EventKey) -> bool {
        scope == other
    }

    fn output_records(&self, epoch: &Committed<Self>) -> Vec<Produce> {
        let record = |(n, change): (usize, &crate::runtime::Change<Key, Value>)| {
            let record = Record {
                id: format!("{}/{n}", epoch.epoch).into(),
                source: format!("pipeline:{NAME}").into(),
                tenant: change.key.scope.event.tenant.clone(),
                event: Some(change.key.scope.event.event.clone()),
                subject: None,
                time_ms: Some(epoch.now_ms),
                backfill: false,
                body: Body::SimilarityChanged(changed(&change.key, change.value.as_ref())),
            };
            Produce::from(&record)
        };
        epoch.changes.iter().enumerate().map(record).collect()
    }

    fn publish(&self, epoch: Arc<Committed<Self>>) {
        let pair = |change: &crate::runtime::Change<Key, Value>| {
            let event = &change.key.scope.event;
            (event.tenant.clone(), event.event.clone(), changed(&change.key, change.value.as_ref()))
        };
        self.sink.publish_similarity(Arc::new(SimilarityEpoch {
            epoch: epoch.epoch,
            pairs: epoch.changes.iter().map(pair).collect(),
            bound: epoch.bound.iter().map(|b| (b.topic, b.partition, b.offset)).collect(),
            refused: epoch.refused.clone(),
            snapshot: epoch.snapshot,
        }));
    }
}

/// What is told of a pair; of one that went, only which.
fn changed(key: &Key, value: Option<&Value>) -> SimilarityChanged {
    let none = Id::from("-");
    let alike = |team: &Id, submission: Option<&Id>| Alike {
        team: team.clone(),
        submission: submission.unwrap_or(&none).clone(),
    };
    SimilarityChanged {
        problem: key.scope.problem.clone(),
        language: key.scope.language.clone(),
        left: alike(&key.left, value.map(|v| &v.left)),
        right: alike(&key.right, value.map(|v| &v.right)),
        shared: value.map_or(0, |v| v.shared),
        share_bp: value.map_or(0, |v| v.share_bp),
    }
}
