//! A pipeline of one sum: how many submissions a team has made. Small enough to be broken on purpose.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use differential_dataflow::VecCollection;
use gravity_events::{Body, Record, Topic};
use gravity_ingest::log::Produce;
use gravity_pipelines::runtime::{Committed, Definition, Facts, Folds, Options, Runtime, Touch};
use parking_lot::Mutex;

use crate::support::Shared;

/// What it showed: (epoch, rows, versions), of each epoch.
pub type Shown = Vec<(u64, BTreeMap<String, (i64, i64)>, BTreeMap<String, u64>)>;

#[derive(Default)]
pub struct Toy {
    /// Part of every row: another build computes other views.
    pub build: i64,
    /// Whether rows of team `bomb` panic.
    pub armed: Arc<AtomicBool>,
    /// Whether showing an epoch panics.
    pub unshowable: Arc<AtomicBool>,
    pub shown: Arc<Mutex<Shown>>,
}

impl Definition for Toy {
    type Key = String;
    type Value = (i64, i64);
    type Scope = String;

    fn name(&self) -> &'static str {
        "toy"
    }
    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Reference, Topic::Submissions]
    }
    fn folds(&self) -> u8 {
        1
    }
    fn facts(&self, record: &Record, facts: &mut Facts) {
        if let Body::SubmissionReceived(s) = &record.body {
            facts.sum(0, s.team.as_bytes().to_vec(), &[1]);
        }
    }
    fn views<'s>(&self, folds: &mut Folds<'s>) -> VecCollection<'s, u64, (String, (i64, i64)), i64> {
        let (build, armed) = (self.build, self.armed.clone());
        let sums = folds.sum(0, |team, n| Some((String::from_utf8_lossy(team).into_owned(), *n.first()?)));
        sums.map(move |(team, n)| {
            assert!(team != "bomb" || !armed.load(Ordering::SeqCst), "the bomb went off");
            // The first build's rows are the same in every later one for team `same`.
            let build = if team == "same" { 0 } else { build };
            (team, (n, build))
        })
    }
    fn touches(&self, key: &String, _: &(i64, i64), touches: &mut Vec<Touch<String>>) {
        touches.push(Touch::One(key.clone()));
    }
    fn related(&self, _: &String, _: &String) -> bool {
        false
    }
    fn output_records(&self, epoch: &Committed<Self>) -> Vec<Produce> {
        let versions: BTreeMap<_, _> = epoch.versions.iter().cloned().collect();
        let record = |team: &String, value: &Option<(i64, i64)>| Produce {
            topic: Topic::Scores,
            key: team.clone().into(),
            partition: None,
            value: format!("{team} {value:?} version {:?}", versions.get(team)).into(),
        };
        epoch.changes.iter().map(|c| record(&c.key, &c.value)).collect()
    }
    fn publish(&self, epoch: Arc<Committed<Self>>) {
        assert!(!self.unshowable.load(Ordering::SeqCst), "this cannot be shown");
        let mut shown = self.shown.lock();
        let (_, mut rows, mut versions) = shown.last().cloned().unwrap_or_default();
        if epoch.snapshot {
            rows.clear();
        }
        for c in &epoch.changes {
            match c.value {
                Some(v) => rows.insert(c.key.clone(), v),
                None => rows.remove(&c.key),
            };
        }
        versions.extend(epoch.versions.iter().cloned());
        shown.push((epoch.epoch, rows, versions));
    }
}

impl Toy {
    /// The next run's definition, showing to the same list.
    pub fn again(&self, build: i64) -> Toy {
        Toy { build, armed: self.armed.clone(), unshowable: self.unshowable.clone(), shown: self.shown.clone() }
    }

    /// How many submissions a team has, as shown.
    pub fn count(&self, team: &str) -> i64 {
        self.shown.lock().last().and_then(|(_, rows, _)| rows.get(team).map(|r| r.0)).unwrap_or(0)
    }
}

pub fn start_toy(log: &Shared, toy: Toy, dir: &Path, change: impl FnOnce(&mut Options)) -> Runtime {
    let mut options = Options::new(dir.to_owned(), 2);
    change(&mut options);
    Runtime::start(Arc::new(toy), Arc::new(log.clone()), options).unwrap()
}

/// Submission `n` of a team.
pub fn submit(team: &str, n: u32) -> Record {
    let mut record = crate::support::attempt(n, 0, 0, 1, "AC")[0].clone();
    record.id = format!("{team}{n}").into();
    if let Body::SubmissionReceived(s) = &mut record.body {
        (s.team, s.submission) = (team.into(), record.id.clone());
    }
    record
}
