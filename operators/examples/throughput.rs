//! What a judgement costs: 25,000 teams hand in 20 problems each, then every submission is judged, 20,000 an epoch,
//! and then 2,000 again, one an epoch.
//!
//! `cargo run --release -p gravity-operators --example throughput [workers]`

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use differential_dataflow::input::InputSession;
use gravity_events::Id;
use gravity_events::body::{EventConfigured, JudgementTypePublished, ProblemPublished, TeamRegistered};
use gravity_operators::boards::facts::{BoardFacts, EventKey, Judgement, Submission};
use gravity_operators::boards::view::boards;
use gravity_operators::harness::boards::{Fact, board_facts};
use gravity_operators::harness::run::Run;
use timely::dataflow::ProbeHandle;

/// The platform's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEAMS: u64 = 25_000;
const PROBLEMS: u64 = 20;
const ATTEMPTS: u64 = TEAMS * PROBLEMS;
const EPOCH: u64 = 20_000;
const SINGLE: u64 = 2_000;

fn main() {
    let workers = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(2);
    let barrier = Arc::new(Barrier::new(workers));
    let guards = timely::execute(Run::workers(workers).config(), move |worker| {
        let (reference, submissions, judgements) = (InputSession::new(), InputSession::new(), InputSession::new());
        let mut inputs = Inputs { reference, submissions, judgements };
        let probe = ProbeHandle::new();
        let left = Rc::new(Cell::new(0));
        let counter = left.clone();
        worker.dataflow(|scope| {
            let facts = BoardFacts {
                submissions: inputs.submissions.to_collection(scope),
                judgements: inputs.judgements.to_collection(scope),
                ..board_facts(inputs.reference.to_collection(scope))
            };
            boards(facts).changes.inspect(move |_| counter.set(counter.get() + 1)).probe_with(&probe);
        });
        let event = EventKey::new("arena", "finals");
        for (name, rows, epoch) in [
            ("reference", TEAMS, EPOCH),
            ("submissions", ATTEMPTS, EPOCH),
            ("judgements", ATTEMPTS, EPOCH),
            ("single", SINGLE, 1),
        ] {
            let epochs = rows.div_ceil(epoch);
            let mine = |n: &u64| n % worker.peers() as u64 == worker.index() as u64;
            let of_epoch = |e: u64| (e * epoch..rows.min((e + 1) * epoch)).filter(mine);
            let feed: Vec<Vec<Row>> =
                (0..epochs).map(|e| of_epoch(e).flat_map(|n| rows_of(name, &event, n)).collect()).collect();
            barrier.wait();
            let (start, cpu, before) = (Instant::now(), cpu_us(), left.get());
            for rows in feed {
                inputs.epoch(rows);
                worker.step_or_park_while(None, || probe.less_than(inputs.reference.time()));
            }
            barrier.wait();
            if worker.index() == 0 {
                println!(
                    "{name:<12} {rows:>8} rows: {:>6.2} us CPU, {:>6.2} us wall a row; {} rows left this worker",
                    (cpu_us() - cpu) / rows as f64,
                    start.elapsed().as_micros() as f64 / rows as f64,
                    left.get() - before,
                );
            }
        }
    });
    for result in guards.expect("the worker threads start").join() {
        result.expect("no worker panics");
    }
}

enum Row {
    Reference(Fact),
    Submission(Submission),
    Judgement(Judgement),
}

struct Inputs {
    reference: InputSession<u64, Fact, i64>,
    submissions: InputSession<u64, Submission, i64>,
    judgements: InputSession<u64, Judgement, i64>,
}

impl Inputs {
    fn epoch(&mut self, rows: Vec<Row>) {
        for row in rows {
            match row {
                Row::Reference(fact) => self.reference.update(fact, 1),
                Row::Submission(submission) => self.submissions.update(submission, 1),
                Row::Judgement(judgement) => self.judgements.update(judgement, 1),
            }
        }
        let next = self.reference.time() + 1;
        self.reference.advance_to(next);
        self.reference.flush();
        self.submissions.advance_to(next);
        self.submissions.flush();
        self.judgements.advance_to(next);
        self.judgements.flush();
    }
}

fn rows_of(phase: &str, event: &EventKey, n: u64) -> Vec<Row> {
    match phase {
        "reference" => reference_facts(event, n).into_iter().map(Row::Reference).collect(),
        "submissions" => vec![Row::Submission(submission(event, n))],
        "judgements" => vec![Row::Judgement(judgement(event, n))],
        // Once more, with another verdict: one an epoch.
        _ => {
            let first = judgement(event, n);
            let (end_ms, judgement_type) = (first.end_ms.map(|ms| ms + 1), Some("TLE".into()));
            vec![Row::Judgement(Judgement { judgement: format!("again-{n}").into(), end_ms, judgement_type, ..first })]
        }
    }
}

fn reference_facts(event: &EventKey, n: u64) -> Vec<Fact> {
    let team = TeamRegistered { team: team(n), name: format!("Team {n}"), ..Default::default() };
    let mut facts = vec![Fact::Team(event.clone(), team)];
    if n < PROBLEMS {
        let problem =
            ProblemPublished { problem: problem(n), label: n.to_string(), ordinal: n as i64, ..Default::default() };
        facts.push(Fact::Problem(event.clone(), problem));
    }
    if n == 0 {
        let minutes = |m: i64| Some(m * 60_000);
        let (duration_ms, freeze_duration_ms) = (minutes(300), minutes(60));
        let config = EventConfigured { name: "Finals".into(), duration_ms, freeze_duration_ms, ..Default::default() };
        facts.push(Fact::Config(event.clone(), config));
        for (id, solved) in [("AC", true), ("WA", false)] {
            let t = JudgementTypePublished { judgement_type: id.into(), solved: Some(solved), ..Default::default() };
            facts.push(Fact::JudgementType(event.clone(), t));
        }
    }
    facts
}

fn team(n: u64) -> Id {
    format!("team-{n}").into()
}

fn problem(n: u64) -> Id {
    format!("problem-{n}").into()
}

/// Submissions go round the teams.
fn submission(event: &EventKey, n: u64) -> Submission {
    Submission {
        event: event.clone(),
        submission: format!("s{n}").into(),
        team: team(n % TEAMS),
        problem: problem(n / TEAMS),
        contest_time_ms: Some((n * 36) as i64 % 18_000_000),
        time_ms: None,
        ..Submission::default()
    }
}

/// Judgements come in no order of teams: 7,919 and the number of attempts have no common factor.
fn judgement(event: &EventKey, n: u64) -> Judgement {
    let n = n * 7_919 % ATTEMPTS;
    let at = Some((n * 36) as i64 % 18_000_000);
    Judgement {
        event: event.clone(),
        judgement: format!("j{n}").into(),
        submission: format!("s{n}").into(),
        judgement_type: Some(if n.is_multiple_of(3) { "WA" } else { "AC" }.into()),
        start_ms: at,
        end_ms: at,
        current: true,
        rejudging: None,
        ..Judgement::default()
    }
}

/// CPU time of the process so far; 0 where /proc is not there. In steps of 10 ms.
fn cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() * 10_000.0
}
