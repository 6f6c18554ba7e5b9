//! How long an operator for dimensions takes: what `gravity operator bench` prints.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dimension::{InputError, outcomes};
use crate::boards::facts::Outcome;
use crate::scoring::explain::Explain;
use crate::scoring::operator::{Entry, Scorer};

/// Batches that are timed; the middle one counts.
const BATCHES: usize = 31;
/// A batch takes about so long: long beside the clock's own cost, short beside a disturbance.
const BATCH: Duration = Duration::from_millis(5);

/// What it takes, in nanoseconds per score: the middle of 31 batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Different outcomes that were scored.
    pub outcomes: usize,
    /// The operator.
    pub score_ns: f64,
    /// The operator, telling its steps.
    pub explained_ns: f64,
    /// One that does nothing, called the same way.
    pub floor_ns: f64,
}

#[derive(Debug)]
struct Nothing;

impl Scorer for Nothing {
    fn score(&self, _: &Outcome, _: &mut Explain) -> Option<i64> {
        Some(0)
    }
}

/// Scores what was recorded over and over.
pub fn bench(entry: &Entry, parameters: &Value, recorded: &str) -> Result<Measured, InputError> {
    let scorer = (entry.build)(parameters).map_err(|problem| InputError { line: 0, problem })?;
    let outcomes = outcomes(recorded)?;
    if outcomes.is_empty() {
        return Err(InputError { line: 1, problem: "there is no submission with anything measured".into() });
    }
    Ok(Measured {
        outcomes: outcomes.len(),
        score_ns: time(&scorer, &outcomes, Explain::nothing),
        explained_ns: time(&scorer, &outcomes, Explain::steps),
        floor_ns: time(&(Arc::new(Nothing) as Arc<dyn Scorer>), &outcomes, Explain::nothing),
    })
}

fn time(scorer: &Arc<dyn Scorer>, outcomes: &[Outcome], explain: fn() -> Explain) -> f64 {
    let round = || {
        for outcome in outcomes {
            black_box(scorer.score(black_box(outcome), &mut explain()));
        }
    };
    let began = Instant::now();
    let mut rounds = 0_u32;
    while began.elapsed() < BATCH {
        round();
        rounds += 1;
    }
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let began = Instant::now();
            (0..rounds).for_each(|_| round());
            began.elapsed().as_nanos() as f64 / (f64::from(rounds) * outcomes.len() as f64)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[BATCHES / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::dimensions::CATALOGUE;

    #[test]
    fn every_operator_is_timed_on_what_was_recorded() {
        let recorded = r#"{"team":"a","submission":"1","measures":{"x":1}}"#;
        for entry in CATALOGUE {
            let parameters = serde_json::from_str(entry.example).unwrap();
            let measured = bench(entry, &parameters, recorded).unwrap();
            assert_eq!(measured.outcomes, 1);
            assert!(measured.score_ns > 0.0 && measured.explained_ns > 0.0 && measured.floor_ns > 0.0, "{measured:?}");
        }
        let nothing = bench(&CATALOGUE[0], &Value::Null, "\n").unwrap_err();
        assert!(nothing.problem.contains("no submission"), "{nothing}");
    }
}
