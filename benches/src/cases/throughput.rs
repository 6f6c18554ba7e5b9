//! A log full of records through the boards pipeline, beside the loop that one would write by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use gravity_api::serving::{Boards, BoardsOptions};
use gravity_events::board::{BoardKey, BoardValue, OVERALL, View};
use gravity_events::body::BoardChanged;
use gravity_events::publish::{BoardsEpoch, BoardsSink};
use gravity_events::{Body, Topic};
use gravity_ingest::log::Log;
use gravity_pipelines::runtime::{Options, Runtime};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::contest::Contest;
use crate::log::{self, Fill};
use crate::peers::{Answer, Task};
use crate::report::{Row, at_most};
use crate::standings::{self, Standing};
use crate::usage::{Meter, Used};
use crate::{Run, part, say};

const EVENT: &str = "finals-2026";
const WORKERS: usize = 2;

/// What the chain is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainTask {
    log: PathBuf,
    dir: PathBuf,
    /// Whether the serving index takes the epochs, or nobody does.
    serving: bool,
}

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainAnswer {
    /// Until all was committed, out topics too.
    used: Used,
    /// Until the last record was visible.
    visible_s: f64,
    epochs: u64,
    /// Output rows that changed, over all epochs.
    changes: u64,
    journal_bytes: u64,
    digests: Vec<String>,
}

/// Runs the chain over a log. Run in a process of its own.
pub fn chain(task: ChainTask) -> anyhow::Result<ChainAnswer> {
    // As the server does; the peers do better with huge pages, and keep them.
    gravity_pipelines::runtime::memory::avoid_huge_pages();
    let log = Arc::new(log::open(&task.log)?);
    let boards = task.serving.then(|| Boards::new(BoardsOptions::new([7; 32])));
    let sink = Arc::new(Watch { boards: boards.clone(), ..Watch::default() });
    let meter = Meter::start();
    let pipeline = start(&task, log.clone(), sink.clone())?;
    sink.bounds.wait(&*log, &log::TOPICS)?;
    let visible_s = meter.used().wall_s;
    let status = pipeline.status();
    // Ends once what was begun is written, to the out topics too.
    pipeline.stop();
    let used = meter.used();
    let (epochs, changes) = {
        let seen = sink.state.lock();
        (seen.epochs, seen.changes)
    };
    let views = [View::Public, View::Jury];
    let digests = match boards {
        Some(boards) => views.map(|v| of_boards(&boards, v)).to_vec(),
        None => views.iter().map(|v| of_topics(&*log, *v)).collect::<anyhow::Result<_>>()?,
    };
    log.close();
    Ok(ChainAnswer { used, visible_s, epochs, changes, journal_bytes: status.journal_bytes, digests })
}

fn start(task: &ChainTask, log: Arc<dyn Log>, sink: Arc<Watch>) -> anyhow::Result<Runtime> {
    let mut options = Options::new(task.dir.clone(), WORKERS);
    let cap = std::env::var("BENCH_ROW_CAP").ok().and_then(|n| n.parse().ok());
    options.row_cap = cap.unwrap_or(options.row_cap);
    let definition = Arc::new(gravity_pipelines::boards::Boards::new(sink));
    Runtime::start(definition, log, options).context("the pipeline does not start")
}

/// Watches how far the epochs are.
#[derive(Default)]
struct Watch {
    boards: Option<Arc<Boards>>,
    state: Mutex<Seen>,
    bounds: Bounds,
}

#[derive(Default)]
struct Seen {
    epochs: u64,
    changes: u64,
}

/// How far epochs are.
#[derive(Default)]
pub struct Bounds {
    reached: Mutex<BTreeMap<(Topic, u32), u64>>,
    told: Condvar,
}

impl Bounds {
    /// An epoch is bound to this.
    pub fn reached(&self, bound: &[(Topic, u32, u64)]) {
        self.reached.lock().extend(bound.iter().map(|(t, p, o)| ((*t, *p), *o)));
        self.told.notify_all();
    }

    /// Waits until epochs hold all that a log has of these topics.
    pub fn wait(&self, log: &dyn Log, topics: &[Topic]) -> anyhow::Result<()> {
        let mut ends = Vec::new();
        for &topic in topics {
            for p in 0..log.partitions(topic) {
                ends.push(((topic, p), log.range(topic, p)?.1));
            }
        }
        let mut reached = self.reached.lock();
        while !ends.iter().all(|(at, end)| reached.get(at).copied().unwrap_or(0) >= *end) {
            let waited = self.told.wait_for(&mut reached, Duration::from_secs(120));
            ensure!(!waited.timed_out(), "no epoch for two minutes; bound: {:?}", *reached);
        }
        Ok(())
    }
}

impl BoardsSink for Watch {
    fn publish(&self, epoch: Arc<BoardsEpoch>) {
        if let Some(boards) = &self.boards {
            boards.publish(epoch.clone());
        }
        {
            let mut seen = self.state.lock();
            seen.epochs += 1;
            seen.changes += epoch.changes.len() as u64;
        }
        self.bounds.reached(&epoch.bound);
    }
}

/// What followers of the out topics have in the end.
fn of_topics(log: &dyn Log, view: View) -> anyhow::Result<String> {
    let topic = if view == View::Public { Topic::BoardsPublic } else { Topic::BoardsJury };
    let mut rows = BTreeMap::new();
    log::for_each(log, &[topic], |entry| {
        let record = gravity_events::codec::decode(&entry.value)?;
        if let Body::BoardChanged(BoardChanged { key: BoardKey::Row { team, .. }, value, .. }) = record.body {
            match value {
                Some(BoardValue::Row(row)) => drop(rows.insert(team, row)),
                _ => drop(rows.remove(&team)),
            }
        }
        Ok(())
    })?;
    Ok(standings::digest(rows.into_iter().map(|(team, row)| Standing::of(team, &row)).collect()))
}

fn of_boards(boards: &Boards, view: View) -> String {
    let Ok((_, _, rows)) = boards.rows(EVENT, view, OVERALL) else { return "no such board".into() };
    standings::digest(rows.iter().map(|r| Standing::of(r.row.team.clone(), &r.row.row)).collect())
}

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    let records = run.records.unwrap_or(run.scaled(if run.full { 2_000_000 } else { 1_000_000 }));
    let contest = Contest { event: EVENT.into(), teams: 25_000, problems: 20, seed: 1 };
    let (log, dir) = (run.dir.join("log"), run.dir.clone());
    let fill = Fill { dir: log.clone(), contest, reference: true, records, rejudges: records / 20 };
    let all: u64 = part::call("fill", &fill)?;
    say(format!("throughput: a log of {all} records"));

    let task = Task { log: log.clone(), dir: dir.clone() };
    let floor: Answer = middle("reading and decoding", |f: &Answer| &f.used, || part::call("decode", &task))?;
    let a: Answer = middle("peer A, plain", |a: &Answer| &a.used, || part::call("plain", &task))?;
    let b: Answer = middle("peer B, keyed", |b: &Answer| &b.used, || part::call("keyed", &task))?;
    let mut rows = Vec::new();
    let load = format!("{} k records, 25,000 teams x 20 problems, the middle one of 3 runs", all / 1_000);
    let per_million = |used: &Used| used.cpu_s * 1e6 / all as f64;
    for (serving, what) in [(false, "chain, nobody listening"), (true, "chain with the serving index")] {
        // Its outputs go to the log: each run has one of its own, which is made by filling again.
        let c: ChainAnswer = middle(
            what,
            |c: &ChainAnswer| &c.used,
            || {
                let (log, dir) = (dir.join("log-chain"), dir.join("chain"));
                part::call::<u64>("fill", &Fill { dir: log.clone(), ..fill.clone() })?;
                let answer = part::call("chain", &ChainTask { log: log.clone(), dir: dir.clone(), serving });
                std::fs::remove_dir_all(log)?;
                std::fs::remove_dir_all(dir)?;
                answer
            },
        )?;
        for digest in c.digests.iter().chain([&b.digest]) {
            ensure!(*digest == a.digest, "the standings differ: {digest} and {}", a.digest);
        }
        let row = |figure: String, peer: String, ratio: f64, target: String| Row {
            case: "throughput",
            load: format!("{load}; {what}"),
            figure,
            peer,
            ratio: format!("{ratio:.2}"),
            target,
        };
        let wall = c.used.wall_s / a.used.wall_s;
        rows.push(row(
            format!("{:.1} s, {:.0} k records/s, all durable", c.used.wall_s, all as f64 / c.used.wall_s / 1e3),
            format!("hand-written loop, nothing durable: {:.1} s", a.used.wall_s),
            wall,
            at_most((wall * 100.0).round() / 100.0, 2.0, ""),
        ));
        let cpu = c.used.cpu_s / a.used.cpu_s;
        rows.push(row(
            format!("{:.2} CPU s per million", per_million(&c.used)),
            format!(
                "hand-written loop: {:.2} (reading and decoding alone: {:.2})",
                per_million(&a.used),
                per_million(&floor.used)
            ),
            cpu,
            at_most((cpu * 100.0).round() / 100.0, 3.5, ""),
        ));
        let durable = c.used.wall_s / b.used.wall_s;
        rows.push(row(
            format!("{:.1} s", c.used.wall_s),
            format!(
                "loop with a key-value row per record: {:.1} s, {:.2} CPU s per million",
                b.used.wall_s,
                per_million(&b.used)
            ),
            durable,
            at_most((durable * 100.0).round() / 100.0, 1.0, ""),
        ));
        rows.push(row(
            format!(
                "{} epochs, {:.2} output rows per record, journal {:.0} bytes per record, peak memory {:.0} MB",
                c.epochs,
                c.changes as f64 / all as f64,
                c.journal_bytes as f64 / all as f64,
                c.used.peak_bytes as f64 / 1e6
            ),
            format!("loop: peak memory {:.0} MB", a.used.peak_bytes as f64 / 1e6),
            c.used.peak_bytes as f64 / a.used.peak_bytes as f64,
            format!("same standings in all (digest {}): met", a.digest),
        ));
    }
    Ok(rows)
}

/// The run with the middle CPU time of three.
pub fn middle<T>(
    what: &str,
    used: impl Fn(&T) -> &Used,
    mut measure: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = measure()?;
        say(format!("{what}: {:.2} s, {:.2} CPU s", used(&answer).wall_s, used(&answer).cpu_s));
        answers.push(answer);
    }
    answers.sort_by(|a, b| used(a).cpu_s.total_cmp(&used(b).cpu_s));
    Ok(answers.swap_remove(1))
}
