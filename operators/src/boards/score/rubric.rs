//! Dimensions weighted by a rubric: per problem the submission that counts, its dimensions, and their weighted sum.

use std::borrow::Cow;
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::board::BoardRow;
use gravity_events::body::Selection;
use smallvec::SmallVec;

use super::points::{Judged, Sum, by_problem};
use super::{Counted, Fault, Sight, Team, ViewScore};
use crate::boards::attempts::Attempt;
use crate::boards::facts::Outcome;
use crate::boards::panel::{Place, measure};
use crate::boards::rules::Rules;
use crate::primitives::natural::NaturalId;
use crate::scoring::explain::Explain;
use crate::scoring::rubric::{Dimension, Failed, Rubric};

/// Dimensions that decide between equal totals, in this order.
const TIES: [&str; 3] = ["correctness", "performance", "security"];

/// A dimension's score as it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The dimension.
    pub dimension: Id,
    /// Its weight in basis points.
    pub weight_bp: u32,
    /// The operator that computed it.
    pub operator: Id,
    /// Basis points; none: pending.
    pub score_bp: Option<i64>,
    /// How, step by step.
    pub steps: Vec<String>,
}

/// An outcome with the team's places as measures, so that operators find them there.
pub fn with_places<'a>(outcome: Option<&'a Outcome>, places: &[&Place]) -> Option<Cow<'a, Outcome>> {
    if places.is_empty() {
        return outcome.map(Cow::Borrowed);
    }
    let mut outcome = outcome.cloned().unwrap_or_default();
    outcome.measures.extend(places.iter().map(|place| (measure(&place.dimension), place.score_bp)));
    Some(Cow::Owned(outcome))
}

/// The places that a view knows.
fn known<'a>(sight: Sight<'_>, places: &[&'a Place]) -> SmallVec<[&'a Place; 4]> {
    places.iter().copied().filter(|place| place.view == sight.places_of()).collect()
}

/// Scores one outcome by a rubric, with every step.
pub fn explain(rubric: &Rubric, outcome: &Outcome) -> Vec<Explained> {
    let one = |d: &Dimension| {
        let mut explain = Explain::steps();
        let score_bp = d.score(outcome, &mut explain).unwrap_or_else(|failed| {
            explain.step(|| format!("`{}`: {failed}; the dimension is pending", d.operator));
            None
        });
        let (dimension, operator) = (d.dimension.clone(), d.operator.clone());
        Explained { dimension, weight_bp: d.weight_bp, operator, score_bp, steps: explain.into_steps() }
    };
    rubric.dimensions.iter().map(one).collect()
}

/// Scores by dimension, in the rubric's order.
type Scores = SmallVec<[Option<i64>; 8]>;

/// A submission that counts, with its scores.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// Contest time.
    pub at_ms: i64,
    /// The submission.
    pub attempt: &'a Attempt,
    /// By dimension.
    pub scores: Scores,
    /// Sum of weight times score.
    pub total: i64,
}

fn scored<'a>(rubric: &Rubric, places: &[&Place], j: &Judged<'a>, faults: &mut Vec<Fault>) -> Choice<'a> {
    let outcome = with_places(j.outcome, places);
    let mut score = |d: &Dimension| {
        let outcome = outcome.as_deref()?;
        d.score(outcome, &mut Explain::nothing()).unwrap_or_else(|failed| {
            let (submission, operator) = (j.attempt.submission.0.clone(), d.operator.clone());
            let panic = match failed {
                Failed::Panicked(message) => Some((message, serde_json::to_string(outcome).unwrap_or_default())),
                Failed::Quarantined(_) => None,
            };
            faults.push(Fault { at_ms: j.at_ms, submission, operator, panic });
            None
        })
    };
    let scores: Scores = rubric.dimensions.iter().map(&mut score).collect();
    let weighted = rubric.dimensions.iter().zip(&scores).map(|(d, s)| i64::from(d.weight_bp) * s.unwrap_or(0));
    let total = weighted.sum();
    Choice { at_ms: j.at_ms, attempt: j.attempt, scores, total }
}

/// The submission that counts, of those to one problem.
fn choose<'a>(
    rubric: &Rubric,
    selection: Selection,
    (selected, places): (&[&NaturalId], &[&Place]),
    judged: &[Judged<'a>],
    faults: &mut Vec<Fault>,
) -> Option<Choice<'a>> {
    match selection {
        Selection::Best => {
            let all = judged.iter().map(|j| scored(rubric, places, j, faults));
            all.reduce(|best, next| if next.total > best.total { next } else { best })
        }
        Selection::Last => judged.last().map(|j| scored(rubric, places, j, faults)),
        Selection::Chosen => judged
            .iter()
            .rfind(|j| selected.contains(&&j.attempt.submission))
            .map(|j| scored(rubric, places, j, faults)),
    }
}

/// Of a team's submissions those that count, by problem: for whoever wants to know why a row is what it is.
pub fn chosen<'a>(
    rules: &'a Rules,
    sight: Sight<'a>,
    (selected, places): (&[&NaturalId], &[&Place]),
    counted: &[Counted<'a>],
) -> Vec<(Id, Choice<'a>)> {
    let Some(rubric) = &rules.rubric else { return Vec::new() };
    let places = known(sight, places);
    let tries = by_problem(sight, counted);
    let chosen = rules.header.problems.iter().zip(&tries).filter_map(|(p, tries)| {
        Some((
            p.problem.clone(),
            choose(rubric, rules.board.selection, (selected, &places), &tries.judged, &mut Vec::new())?,
        ))
    });
    chosen.collect()
}

pub(super) fn score(sight: Sight<'_>, team: Team<'_>, row: BoardRow, counted: &[Counted<'_>]) -> ViewScore {
    let rules = sight.rules();
    let empty = Vec::new();
    let dimensions = rules.rubric.as_ref().map_or(&empty, |r| &r.dimensions);
    let mut sum = Sum::new(sight, team, row);
    let mut sums: Scores = dimensions.iter().map(|_| None).collect();
    let (mut last, mut faults): (Option<(i64, &NaturalId)>, _) = (None, Vec::new());
    let places = known(sight, team.places);
    for (place, tries) in by_problem(sight, counted).iter().enumerate() {
        let choice = rules.rubric.as_ref().and_then(|rubric| {
            choose(rubric, rules.board.selection, (team.selected, &places), &tries.judged, &mut faults)
        });
        if let Some(choice) = &choice {
            for (sum, score) in sums.iter_mut().zip(&choice.scores) {
                if let Some(score) = score {
                    *sum = Some(sum.unwrap_or(0).saturating_add(score.saturating_mul(rules.weight(place))));
                }
            }
            // What scored nothing improved nothing.
            if choice.total > 0 {
                last = last.max(Some((choice.at_ms, &choice.attempt.submission)));
            }
        }
        sum.cell(place, tries, choice.map(|c| (c.total, c.at_ms)));
    }
    let row = sum.row(|points| {
        points.dimensions = dimensions.iter().map(|d| d.dimension.clone()).zip(sums).collect();
        let by_name = |name: &str| points.dimensions.iter().find(|(d, _)| d == name).and_then(|(_, s)| *s).unwrap_or(0);
        points.rank_key = vec![points.score.saturating_neg()];
        points.rank_key.extend(TIES.map(|name| by_name(name).saturating_neg()));
        // A team that never improved comes after those who got as much by a submission.
        points.rank_key.push(last.map_or(i64::MAX, |(at_ms, _)| at_ms));
        points.stale_since_ms = faults.iter().map(|fault| fault.at_ms).min();
        points.tie = last.filter(|_| rules.board.strict).map(|(_, submission)| submission.0.clone());
    });
    ViewScore { row: Arc::new(row), solves: Vec::new(), lacks_worth: false, faults }
}
