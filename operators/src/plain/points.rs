//! Boards of points, once more.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use gravity_events::Id;
use gravity_events::board::{BoardRow, Cell, Points};
use gravity_events::body::{ProblemPublished, Scoring, Selection, Subtasks, TeamRegistered};

use super::{Meaning, Table, Try, natural};
use crate::boards::facts::{Correction, GroupResult};
use crate::scoring::explain::Explain;

fn corrected(corrections: &[&Correction]) -> i64 {
    corrections.iter().map(|c| c.points).sum()
}

/// What the solved problems are worth; the time of the last one decides.
pub(super) fn ctf(row: &mut BoardRow, worths: &BTreeMap<&Id, i64>, corrections: &[&Correction]) {
    let mut score = corrected(corrections);
    for cell in row.cells.iter_mut().filter(|c| c.solved_min.is_some()) {
        cell.score = worths.get(&cell.problem).copied();
        score += cell.score.unwrap_or(0);
    }
    let rank_key = vec![-score, row.last_scored_at_ms];
    row.points = Some(Box::new(Points { score, rank_key, ..Points::default() }));
}

/// What counts of a problem: (score, when it was reached), and the submission that it is of, where it is one.
type Counts<'a> = Option<(i64, i64, Option<&'a Try<'a>>)>;

/// IOI, Kaggle and rubric boards.
pub(super) fn of(
    table: &Table<'_>,
    team: &TeamRegistered,
    row: &mut BoardRow,
    by_problem: &[(&ProblemPublished, &Vec<Try<'_>>)],
    corrections: &[&Correction],
) {
    let mut points = Points { score: corrected(corrections), ..Points::default() };
    let dimensions = table.rubric.map_or(&[][..], |r| &r.dimensions);
    let mut sums: Vec<Option<i64>> = vec![None; dimensions.len()];
    let (mut improved, mut missing, mut reached, mut deciding) = (None, 0, None, None);
    for (problem, tries) in by_problem {
        let judged: Vec<&Try<'_>> =
            tries.iter().filter(|t| matches!(t.meaning, Meaning::Solved | Meaning::Rejected)).collect();
        let pending = tries.iter().filter(|t| t.meaning == Meaning::Pending).count() as u32;
        let solved = judged.iter().find(|t| t.meaning == Meaning::Solved).map(|t| t.ms / 60_000);
        let weight = i64::from(problem.weight.unwrap_or(1));
        let counts: Counts<'_> = match table.config.scoring {
            Scoring::Ioi => ioi(table.config.rules.subtasks, &judged),
            Scoring::Kaggle => kaggle(table, team, &judged),
            _ => {
                let since = stale_since(table, team, &judged);
                points.stale_since_ms = [points.stale_since_ms, since].into_iter().flatten().min();
                rubric(table, team, &judged)
            }
        };
        match counts {
            None => missing += 1,
            Some((score, ms, by)) => {
                points.score += weight * score;
                reached = reached.max(Some(ms));
                if score != 0 {
                    improved = improved.max(Some(ms));
                }
                if let Some(by) = by {
                    if score > 0 {
                        let candidate = (ms, natural(by.id), by.id);
                        if deciding.as_ref().is_none_or(|d| candidate > *d) {
                            deciding = Some(candidate);
                        }
                    }
                    for (sum, score) in sums.iter_mut().zip(scores(table, by)) {
                        if let Some(score) = score {
                            *sum = Some(sum.unwrap_or(0) + weight * score);
                        }
                    }
                }
            }
        }
        row.solved += u32::from(solved.is_some());
        if !judged.is_empty() || pending > 0 {
            row.cells.push(Cell {
                problem: problem.problem.clone(),
                judged: judged.len() as u32,
                pending,
                solved_min: solved,
                score: counts.map(|(score, ..)| score),
            });
        }
    }
    table.scored_at(row, improved);
    match table.config.scoring {
        Scoring::Ioi => points.rank_key = vec![-points.score],
        Scoring::Kaggle => {
            let sign = if table.config.rules.lower_is_better { 1 } else { -1 };
            points.rank_key = vec![missing, sign * points.score, reached.unwrap_or(0)];
        }
        _ => {
            points.dimensions = dimensions.iter().map(|d| d.dimension.clone()).zip(sums).collect();
            let of = |name: &str| {
                let found = points.dimensions.iter().find(|(d, _)| d == name);
                found.and_then(|(_, score)| *score).unwrap_or(0)
            };
            let when = deciding.as_ref().map_or(i64::MAX, |d| d.0);
            points.rank_key = vec![-points.score, -of("correctness"), -of("performance"), -of("security"), when];
            points.tie = deciding.filter(|_| table.config.rules.strict).map(|d| d.2.clone());
        }
    }
    row.points = Some(Box::new(points));
}

fn group_points(group: &GroupResult) -> i64 {
    group.points.unwrap_or(i64::from(group.passed))
}

fn ioi<'a>(subtasks: Subtasks, judged: &[&'a Try<'a>]) -> Counts<'a> {
    let mut best: BTreeMap<&Id, i64> = BTreeMap::new();
    let mut whole = 0;
    let mut reached = judged.first()?.ms;
    for t in judged {
        let groups = t.outcome.as_deref().map_or(&[][..], |o| &o.groups);
        match subtasks {
            Subtasks::Each => {
                for group in groups {
                    let points = group_points(group);
                    if points > best.get(&group.group).copied().unwrap_or(0) {
                        best.insert(&group.group, points);
                        reached = t.ms;
                    }
                }
            }
            Subtasks::Whole => {
                let sum = groups.iter().map(group_points).sum();
                // The first one sets the mark, whatever it got.
                if t.ms == judged[0].ms && t.id == judged[0].id {
                    whole = sum;
                } else if sum > whole {
                    whole = sum;
                    reached = t.ms;
                }
            }
        }
    }
    let score = if subtasks == Subtasks::Each { best.values().sum() } else { whole };
    Some((score, reached, None))
}

fn kaggle<'a>(table: &Table<'_>, team: &TeamRegistered, judged: &[&'a Try<'a>]) -> Counts<'a> {
    let sign = if table.config.rules.lower_is_better { 1 } else { -1 };
    let measure = |t: &Try<'_>, split: &str| t.outcome.as_deref().and_then(|o| o.measures.get(split).copied());
    let best = |of: &[&Try<'_>], split: &str| {
        let scored = of.iter().filter_map(|t| Some((measure(t, split)?, t.ms)));
        // The least key wins, and of equal ones the first.
        scored.min_by_key(|(score, _)| sign * score).map(|(score, ms)| (score, ms, None))
    };
    if table.view == gravity_events::board::View::Public && !table.thawed() {
        return best(judged, "public");
    }
    let most = table.config.rules.selected_max.unwrap_or(2) as usize;
    let chosen = |t: &&&Try<'_>| table.event.selected.contains(&(team.team.clone(), t.id.clone()));
    let mut finals: Vec<&Try<'_>> = judged.iter().filter(chosen).copied().collect();
    finals.reverse();
    finals.truncate(most);
    let mut others: Vec<&Try<'_>> = judged.iter().filter(|t| !chosen(t)).copied().collect();
    others.sort_by_key(|t| (measure(t, "public").is_none(), measure(t, "public").map(|v| sign * v), t.ms));
    others.truncate(most - finals.len());
    finals.extend(others);
    finals.sort_by_key(|t| (t.ms, Reverse(natural(t.id))));
    best(&finals, "private")
}

fn scores(table: &Table<'_>, t: &Try<'_>) -> Vec<Option<i64>> {
    let rubric = table.rubric.map_or(&[][..], |r| &r.dimensions);
    // What an operator fails at is pending.
    rubric.iter().map(|d| d.score(t.outcome.as_deref()?, &mut Explain::nothing()).unwrap_or(None)).collect()
}

/// When the first of the submissions that may count came that an operator fails at.
fn stale_since(table: &Table<'_>, team: &TeamRegistered, judged: &[&Try<'_>]) -> Option<i64> {
    let chosen = |t: &&&Try<'_>| table.event.selected.contains(&(team.team.clone(), t.id.clone()));
    let looked_at: Vec<&Try<'_>> = match table.config.rules.selection {
        Selection::Best => judged.to_vec(),
        Selection::Last => judged.last().copied().into_iter().collect(),
        Selection::Chosen => judged.iter().rfind(chosen).copied().into_iter().collect(),
    };
    let fails = |t: &&Try<'_>| {
        let dimensions = &table.rubric?.dimensions;
        t.outcome
            .as_deref()
            .filter(|o| dimensions.iter().any(|d| d.score(o, &mut Explain::nothing()).is_err()))
            .map(|_| t.ms)
    };
    looked_at.iter().filter_map(fails).min()
}

fn rubric<'a>(table: &Table<'_>, team: &TeamRegistered, judged: &[&'a Try<'a>]) -> Counts<'a> {
    let rubric = table.rubric?;
    let total = |t: &Try<'_>| -> i64 {
        let of = scores(table, t);
        rubric.dimensions.iter().zip(of).map(|(d, score)| i64::from(d.weight_bp) * score.unwrap_or(0)).sum()
    };
    let chosen = |t: &&&Try<'_>| table.event.selected.contains(&(team.team.clone(), t.id.clone()));
    let counting: &Try<'_> = match table.config.rules.selection {
        Selection::Best => judged.iter().min_by_key(|t| -total(t)).copied()?,
        Selection::Last => judged.last().copied()?,
        Selection::Chosen => judged.iter().rfind(chosen).copied()?,
    };
    Some((total(counting), counting.ms, Some(counting)))
}
