//! How the cost of similar pairs grows with the number of submissions, matches being few:
//! `cargo run --release -p gravity-operators --example similarity_speed`.

use std::time::Instant;

use gravity_operators::boards::facts::{EventKey, Rows};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::run::Run;
use gravity_operators::similarity::pairs::{Limits, Pair, Scope, Source, pairs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fingerprints of a source of some 150 lines.
const FINGERPRINTS: u64 = 150;
const PROBLEMS: u64 = 20;
/// One submission in so many is a copy.
const COPIED: u64 = 200;
/// Submissions that come together.
const BATCH: usize = 200;

fn view(rows: Rows<'_, Source>) -> Rows<'_, Pair> {
    let none = rows.clone().flat_map(|_| None);
    pairs(rows, none, Limits::default())
}

fn sources(n: u64) -> Vec<Vec<(Source, i64)>> {
    let mut dice = Dice::new(n);
    let mut made: Vec<(Source, i64)> = Vec::new();
    for at in 0..n {
        let copy_of = (at > 100 && dice.below(COPIED) == 0).then(|| dice.below(at) as usize);
        let mut set: Vec<u64> = match copy_of {
            Some(original) => made[original].0.fingerprints.iter().copied().collect(),
            None => (0..FINGERPRINTS).map(|_| dice.any()).collect(),
        };
        set.sort_unstable();
        let problem = copy_of.map_or(at % PROBLEMS, |original| original as u64 % PROBLEMS);
        let scope =
            Scope { event: EventKey::new("t", "e"), problem: format!("p{problem}").into(), language: "cpp".into() };
        let (team, submission) = (format!("t{at}").into(), format!("s{at}").into());
        made.push((Source { scope, team, submission, at_ms: at as i64, fingerprints: set.into() }, 1));
    }
    made.chunks(BATCH).map(<[_]>::to_vec).collect()
}

fn main() {
    println!("| submissions | pairs | us per submission | ratio |\n|---|---|---|---|");
    let mut first = None;
    for n in [1_000, 10_000, 100_000] {
        let script = sources(n);
        let began = Instant::now();
        let found: usize = Run { workers: 2, in_flight: 2 }.drive(&script, view).iter().map(Vec::len).sum();
        let us = began.elapsed().as_secs_f64() * 1e6 / n as f64;
        println!("| {n} | {found} | {us:.0} | {:.2} |", us / *first.get_or_insert(us));
    }
}
