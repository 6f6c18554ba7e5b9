//! The labs and similarity pipelines: what they show and say is what their plain functions make of the log, with failures at
//! every step of a commit, and any number of workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gravity_events::body::*;
use gravity_events::publish::*;
use gravity_events::{Body, Id, Record, Topic};
use gravity_operators::anomaly::alert::Levels;
use gravity_operators::anomaly::lab::{Lab, Told};
use gravity_operators::harness::dice::Dice;
use gravity_operators::similarity::fingerprint::{Fineness, containment_bp, fingerprint};
use gravity_operators::similarity::pairs::Limits;
use gravity_pipelines::labs::{Labs, alert_id};
use gravity_pipelines::runtime::failpoint::{self, Action, Failpoints};
use gravity_pipelines::runtime::{Options, Runtime};
use gravity_pipelines::similarity::Similarity;
use parking_lot::Mutex;

use crate::support::{Shared, record, until};

const MINUTE_MS: i64 = 60_000;

/// What both pipelines showed last.
#[derive(Default)]
struct Shown {
    labs: Mutex<BTreeMap<LabKey, LabSeen>>,
    alerts: Mutex<BTreeMap<LabAlertKey, LabAlert>>,
    pairs: Mutex<BTreeMap<(Id, Id, Id, Id), SimilarityChanged>>,
    read: Mutex<BTreeMap<Topic, u64>>,
}

fn put<K: Ord + Clone, V: Clone>(into: &Mutex<BTreeMap<K, V>>, snapshot: bool, changes: &[(K, Option<V>)]) {
    let mut map = into.lock();
    if snapshot {
        map.clear();
    }
    for (key, value) in changes {
        match value {
            Some(value) => drop(map.insert(key.clone(), value.clone())),
            None => drop(map.remove(key)),
        }
    }
}

impl LabsSink for Shown {
    fn publish_labs(&self, epoch: Arc<LabsEpoch>) {
        put(&self.labs, epoch.snapshot, &epoch.labs);
        put(&self.alerts, epoch.snapshot, &epoch.alerts);
        self.read.lock().extend(epoch.bound.iter().map(|b| (b.0, b.2)));
    }
}

impl SimilaritySink for Shown {
    fn publish_similarity(&self, epoch: Arc<SimilarityEpoch>) {
        let pair = |(tenant, event, pair): &(Id, Id, SimilarityChanged)| {
            let key = (
                Id::from(format!("{tenant}/{event}")),
                pair.problem.clone(),
                pair.left.team.clone(),
                pair.right.team.clone(),
            );
            (key, (pair.share_bp > 0).then(|| pair.clone()))
        };
        put(&self.pairs, epoch.snapshot, &epoch.pairs.iter().map(pair).collect::<Vec<_>>());
        self.read.lock().extend(epoch.bound.iter().map(|b| (b.0, b.2)));
    }
}

fn wait(log: &Shared, shown: &Shown, topic: Topic) {
    use gravity_ingest::log::Log as _;
    let end = log.range(topic, 0).unwrap().1;
    until("all is read", || shown.read.lock().get(&topic).is_some_and(|read| *read >= end));
}

fn telemetry(id: u64, lab: &str, metric: &str, at_ms: i64, value: f64) -> Record {
    let body = Body::LabTelemetry(LabTelemetry { lab: lab.into(), metric: metric.into(), value });
    Record { event: None, time_ms: Some(at_ms), backfill: true, ..record(&format!("t{id}"), body) }
}

/// Points of four labs, with bursts, late ones, and records that come twice.
fn points(seed: u64, minutes: std::ops::Range<i64>) -> Vec<Record> {
    let mut dice = Dice::new(seed ^ minutes.start as u64);
    let mut records = Vec::new();
    for minute in minutes {
        for lab in 0..4u64 {
            for (n, metric) in ["cpu", "memory"].into_iter().enumerate() {
                let id = (minute as u64 * 4 + lab) * 2 + n as u64;
                let burst = (minute + 37 * lab as i64) % 311 > 305;
                let value = if burst { 95.0 } else { 30.0 + dice.below(100) as f64 / 25.0 };
                let at_ms = (10 + minute - if dice.chance(2) { 5 } else { 0 }) * MINUTE_MS;
                records.push(telemetry(id, &format!("lab-{lab}"), metric, at_ms, value));
                if dice.chance(3) {
                    records.push(records[records.len() - 1].clone());
                }
            }
        }
    }
    records
}

/// From the log alone: the last state of each lab, and every state that its alert had.
fn plain(records: &[Record]) -> (BTreeMap<LabKey, LabSeen>, BTreeMap<LabAlertKey, LabAlert>, usize) {
    let (mut seen, mut labs, mut raised) = (BTreeSet::new(), BTreeMap::<LabKey, Lab>::new(), BTreeSet::new());
    for record in records.iter().filter(|r| seen.insert(r.id.clone())) {
        let Body::LabTelemetry(b) = &record.body else { continue };
        let key = LabKey { tenant: record.tenant.clone(), lab: b.lab.clone() };
        let lab = labs.entry(key.clone()).or_default();
        lab.take(Told::Point { metric: b.metric.clone(), at_ms: record.time_ms, value: b.value }, &Levels::default());
        raised.extend(lab.alert().map(|(since_ms, metric, _)| (key, since_ms, metric)));
    }
    let alert = |(key, lab): (&LabKey, &Lab)| {
        let (since_ms, metric, alert) = lab.alert()?;
        Some((LabAlertKey { lab: key.clone(), since_ms, metric }, alert))
    };
    let alerts = labs.iter().filter_map(alert).collect();
    (labs.iter().filter_map(|(key, lab)| Some((key.clone(), lab.seen()?))).collect(), alerts, raised.len())
}

fn options(dir: &std::path::Path, workers: usize, failpoints: &Failpoints) -> Options {
    let mut options = Options::new(dir.to_owned(), workers);
    (options.merge_bytes, options.row_cap, options.failpoints) = (20_000, 64, failpoints.clone());
    options
}

/// What stands on the alerts topic, taken together.
fn open_alerts(log: &Shared) -> (BTreeMap<Id, String>, usize) {
    let (mut open, mut raised) = (BTreeMap::new(), BTreeSet::new());
    for produced in log.0.epochs().iter().flat_map(|epoch| &epoch.records).filter(|p| p.topic == Topic::Alerts) {
        match gravity_events::codec::decode(&produced.value).unwrap().body {
            Body::AlertRaised(alert) => {
                raised.insert(alert.alert.clone());
                open.insert(alert.alert, alert.summary);
            }
            Body::AlertCleared(alert) => {
                assert!(open.remove(&alert.alert).is_some(), "{} was cleared without having been raised", alert.alert);
            }
            other => panic!("{other:?}"),
        }
    }
    (open, raised.len())
}

#[test]
fn alerts_are_what_the_points_say_with_a_failure_at_every_step() {
    for (n, point) in failpoint::ALL.iter().enumerate() {
        let (log, dir, shown) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Shown::default()));
        let failpoints = Failpoints::arm(point, 1, Action::Fail);
        let (mut all, mut minute) = (Vec::new(), 0);
        for run in 0..3 {
            let workers = 1 + (n + run) % 3;
            let labs = Arc::new(Labs::new(shown.clone()));
            let options = options(dir.path(), workers, &failpoints);
            let pipeline = Runtime::start(labs, Arc::new(log.clone()), options).unwrap();
            for round in 0.. {
                // Merges go on beside the epochs.
                if round >= 4 && (run < 2 || round >= 40 || failpoints.acted()) {
                    break;
                }
                let some = points(n as u64, minute..minute + 90);
                minute += 90;
                log.0.put(&some);
                all.extend(some);
                wait(&log, &shown, Topic::Telemetry);
            }
            pipeline.stop();
            let (labs, alerts, raised) = plain(&all);
            assert_eq!(*shown.labs.lock(), labs, "{point}, {workers} workers");
            assert_eq!(*shown.alerts.lock(), alerts, "{point}, {workers} workers");
            let (open, told) = open_alerts(&log);
            let ids: BTreeSet<Id> = alerts.keys().map(|key| alert_id(key).into()).collect();
            assert_eq!(open.keys().cloned().collect::<BTreeSet<_>>(), ids, "{point}: on the topic");
            // An alert that is raised and cleared within one epoch is not told.
            assert!(told <= raised && (run < 2 || told > 0), "{point}: {told} of {raised}");
        }
        assert!(failpoints.acted(), "{point} was not reached");
    }
}

#[test]
fn a_released_lab_has_no_alert() {
    let (log, dir, shown) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Shown::default()));
    let labs = Arc::new(Labs::new(shown.clone()));
    let pipeline = Runtime::start(labs, Arc::new(log.clone()), options(dir.path(), 2, &Failpoints::default())).unwrap();
    let calm = (0..400).map(|n| telemetry(n, "lab-1", "cpu", n as i64 * MINUTE_MS, (n % 7) as f64));
    let burst = (400..403).map(|n| telemetry(n, "lab-1", "cpu", n as i64 * MINUTE_MS, 99.0));
    log.0.put(&calm.chain(burst).collect::<Vec<_>>());
    wait(&log, &shown, Topic::Telemetry);
    assert_eq!(shown.alerts.lock().len(), 1);
    let released = Body::LabReleased(LabState { lab: "lab-1".into(), reason: None });
    log.0.put(&[Record { event: None, ..record("released", released) }]);
    wait(&log, &shown, Topic::Labs);
    assert_eq!((shown.alerts.lock().len(), shown.labs.lock().len()), (0, 0));
    // What is shown comes to the topics a little later.
    pipeline.stop();
    assert_eq!(open_alerts(&log).0, BTreeMap::new());
}

/// A program of some statements; programs of one family are copies with other names.
fn program(family: u64, variant: u64) -> String {
    let mut dice = Dice::new(family);
    let mut text = format!("int main() {{ int v{variant} = 0;\n");
    for _ in 0..60 {
        let (a, b) = (dice.below(9), dice.below(9));
        text.push_str(&match dice.below(5) {
            0 => format!("for (int i = {a}; i < n{variant}; i++) v{variant} += i * {b};\n"),
            1 => format!("if (v{variant} % {a} == {b}) v{variant}++; else v{variant} -= {a};\n"),
            2 => format!("while (v{variant} > {a} && x[{b}] != v{variant}) v{variant} /= 2;\n"),
            3 => format!("x[{a}] = f(v{variant}, x[{b}]) + g(x[v{variant}]);\n"),
            _ => format!("std::swap(x[{a}], y[{b}]); // swap {variant}\n"),
        });
    }
    text + "}\n"
}

fn source(n: u64, team: u64, problem: u64, at_ms: i64, text: String) -> Record {
    let body = SourcePublished {
        submission: format!("s{n}").into(),
        team: format!("team-{team}").into(),
        problem: format!("p{problem}").into(),
        language: "cpp17".into(),
        text,
    };
    Record { time_ms: Some(at_ms), backfill: true, ..record(&format!("source{n}"), Body::SourcePublished(body)) }
}

/// Every pair of newest sources, compared directly.
fn plain_pairs(records: &[Record]) -> BTreeMap<(Id, Id, Id), (u32, Id, Id)> {
    /// Its time, its place, the submission, its fingerprints.
    type Newest = (i64, usize, Id, Vec<u64>);
    let mut newest: BTreeMap<(Id, Id), Newest> = BTreeMap::new();
    let mut templates: BTreeMap<Id, Vec<u64>> = BTreeMap::new();
    for (n, record) in records.iter().enumerate() {
        match &record.body {
            Body::SourcePublished(b) => {
                let prints = fingerprint(&b.language, &b.text, Fineness::default());
                let this = (record.time_ms.unwrap(), n, b.submission.clone(), prints);
                let kept = newest.entry((b.problem.clone(), b.team.clone())).or_insert_with(|| this.clone());
                if (this.0, this.1) > (kept.0, kept.1) {
                    *kept = this;
                }
            }
            Body::TemplatePublished(b) => {
                templates.insert(b.problem.clone(), fingerprint(&b.language, &b.text, Fineness::default()));
            }
            _ => {}
        }
    }
    let mut pairs = BTreeMap::new();
    for ((problem, left), one) in &newest {
        for ((other_problem, right), other) in &newest {
            let template = templates.get(problem).map(Vec::as_slice).unwrap_or_default();
            let share_bp = containment_bp(&one.3, &other.3, template);
            let shared = one.3.iter().filter(|p| other.3.contains(p) && !template.contains(p)).count();
            let enough = share_bp >= Limits::default().containment_bp && shared >= Limits::default().shared as usize;
            if problem == other_problem && left < right && enough {
                pairs
                    .insert((problem.clone(), left.clone(), right.clone()), (share_bp, one.2.clone(), other.2.clone()));
            }
        }
    }
    pairs
}

#[test]
fn pairs_are_those_of_the_newest_sources_with_a_failure_at_every_step() {
    for (n, point) in failpoint::ALL.iter().enumerate() {
        let (log, dir, shown) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Shown::default()));
        let failpoints = Failpoints::arm(point, 1, Action::Fail);
        let mut dice = Dice::new(n as u64);
        let (mut all, mut sent, mut most) = (Vec::new(), 0, 0);
        for run in 0..3 {
            let workers = 1 + (n + run) % 3;
            let similarity = Arc::new(Similarity::new(shown.clone()));
            let options = options(dir.path(), workers, &failpoints);
            let pipeline = Runtime::start(similarity, Arc::new(log.clone()), options).unwrap();
            for round in 0.. {
                if round >= 4 && (run < 2 || round >= 40 || failpoints.acted()) {
                    break;
                }
                let some: Vec<Record> = (0..12)
                    .map(|_| {
                        sent += 1;
                        // Few programs, so that some are copies; fewer than the number from which on they are common.
                        let text = program(dice.below(14), sent);
                        source(sent, dice.below(9), dice.below(2), dice.below(50) as i64 * 1_000, text)
                    })
                    .collect();
                log.0.put(&some);
                all.extend(some);
                wait(&log, &shown, Topic::Sources);
            }
            if run == 1 {
                let body = TemplatePublished {
                    template: "given".into(),
                    problem: "p0".into(),
                    language: "cpp17".into(),
                    text: program(3, 0),
                };
                all.push(Record { time_ms: Some(0), ..record("template", Body::TemplatePublished(body)) });
                log.0.put(&all[all.len() - 1..]);
                wait(&log, &shown, Topic::Sources);
            }
            pipeline.stop();
            let shown: BTreeMap<_, _> = shown
                .pairs
                .lock()
                .iter()
                .map(|((_, problem, left, right), p)| {
                    let submissions = (p.share_bp, p.left.submission.clone(), p.right.submission.clone());
                    ((problem.clone(), left.clone(), right.clone()), submissions)
                })
                .collect();
            most = most.max(shown.len());
            assert_eq!(shown, plain_pairs(&all), "{point}, {workers} workers");
        }
        assert!(failpoints.acted(), "{point} was not reached");
        assert!(most > 0, "there was a copy");
    }
}
