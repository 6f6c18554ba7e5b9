//! The rules of ICPC boards, written out once more, as plainly as they are said.

use std::collections::{BTreeMap, BTreeSet};

use gravity_events::board::{BoardHeader, BoardProblem, BoardRow, Cell, Division, FirstSolve, View};
use gravity_events::body::{EventConfigured, TeamRegistered};
use gravity_events::{Id, natural_cmp};

use super::plain::{Event, fold, live};
use super::replay::Counted;
use super::{Board, Boards};

/// Computes every board.
pub fn boards(records: &[Counted]) -> Boards {
    let mut boards = Boards::new();
    for ((_, id), event) in fold(records) {
        if let Some(config) = &event.config {
            for view in [View::Public, View::Jury] {
                boards.insert((id.clone(), view), board(config, &event, view));
            }
        }
    }
    boards
}

struct Times {
    started: Option<i64>,
    duration: Option<i64>,
    freeze: Option<i64>,
    thawed: bool,
}

fn at(event: &Event, moment: &str) -> Option<i64> {
    event.moments.get(moment).and_then(|m| m.at)
}

fn times(config: &EventConfigured, event: &Event) -> Times {
    let duration = event.duration.or(config.duration_ms);
    let frozen = event.moments.get("frozen").filter(|m| m.at.is_some());
    let by_hand = frozen.and_then(|m| m.contest_time_ms);
    let configured = duration.zip(config.freeze_duration_ms).map(|(d, f)| d - f);
    let announced = frozen.and_then(|m| m.at).zip(at(event, "started")).map(|(f, s)| f - s);
    Times {
        started: at(event, "started").or(config.start_at),
        duration,
        freeze: by_hand.or(configured).or(announced),
        thawed: at(event, "thawed").is_some(),
    }
}

fn is_hidden(team: &TeamRegistered, event: &Event) -> bool {
    team.hidden || live(&event.groups).any(|(id, g)| g.hidden && team.groups.contains(id))
}

fn board(config: &EventConfigured, event: &Event, view: View) -> Board {
    let t = times(config, event);
    let mut problems: Vec<_> = live(&event.problems).collect();
    problems
        .sort_by(|(a, x), (b, y)| (x.ordinal, &x.label).cmp(&(y.ordinal, &y.label)).then_with(|| natural_cmp(a, b)));
    let penalty_min = config.penalty_ms.map_or(20, |p| p / 60_000);
    let header = BoardHeader {
        name: config.name.clone(),
        formal_name: config.formal_name.clone(),
        start_at_ms: config.start_at,
        started_at_ms: at(event, "started"),
        duration_ms: t.duration,
        freeze_ms: t.freeze,
        frozen_at_ms: at(event, "frozen"),
        ended_at_ms: at(event, "ended"),
        thawed_at_ms: at(event, "thawed"),
        finalized_at_ms: at(event, "finalized"),
        penalty_min,
        problems: problems
            .iter()
            .map(|(id, p)| BoardProblem {
                problem: (*id).clone(),
                label: p.label.clone(),
                name: p.name.clone(),
                rgb: p.rgb.clone(),
            })
            .collect(),
        divisions: divisions(event),
        ..BoardHeader::default()
    };
    let attempts = attempts(event, &t, view);
    let mut board = Board { header: Some(header), ..Board::default() };
    let mut firsts: BTreeMap<Id, (i64, Id, Id)> = BTreeMap::new();
    for (team_id, team) in live(&event.teams) {
        let hidden = is_hidden(team, event);
        let on_board = config.main_group.as_ref().is_none_or(|g| team.groups.contains(g));
        if !on_board || (hidden && view == View::Public) {
            continue;
        }
        let visible: BTreeSet<&Id> = live(&event.groups).filter(|(_, g)| !g.hidden).map(|(id, _)| id).collect();
        let mut row = BoardRow {
            name: team.display_name.clone().unwrap_or_else(|| team.name.clone()),
            organization: team
                .organization
                .as_ref()
                .and_then(|o| live(&event.organizations).find(|(id, _)| *id == o))
                .map(|(_, o)| o.name.clone()),
            divisions: team
                .groups
                .iter()
                .filter(|g| visible.contains(g))
                .cloned()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            hidden,
            ..BoardRow::default()
        };
        for (problem, _) in &problems {
            let Some(tries) = attempts.get(&(team_id.clone(), (*problem).clone())) else { continue };
            let mut cell = Cell { problem: (*problem).clone(), ..Cell::default() };
            let mut rejected = 0;
            for a in tries {
                match a.outcome {
                    Outcome::Pending => cell.pending += 1,
                    _ if cell.solved_min.is_some() => {}
                    Outcome::Nothing => {}
                    Outcome::Rejected => (cell.judged, rejected) = (cell.judged + 1, rejected + 1),
                    Outcome::Solved => {
                        cell.judged += 1;
                        let minute = a.ms / 60_000;
                        cell.solved_min = Some(minute);
                        row.solved += 1;
                        row.penalty += minute + rejected * penalty_min;
                        row.last_solved_min = row.last_solved_min.max(minute);
                        if let Some(s) = t.started {
                            row.last_scored_at_ms = row.last_scored_at_ms.max(s + a.ms);
                        }
                        let earlier = |f: &(i64, Id, Id)| {
                            (a.ms, &a.id) != (f.0, &f.1)
                                && a.ms.cmp(&f.0).then_with(|| natural_cmp(&a.id, &f.1)).is_lt()
                        };
                        if !hidden && firsts.get(*problem).is_none_or(earlier) {
                            firsts.insert((*problem).clone(), (a.ms, a.id.clone(), team_id.clone()));
                        }
                    }
                }
            }
            if cell.judged > 0 || cell.pending > 0 {
                row.cells.push(cell);
            }
        }
        board.rows.insert(team_id.clone(), row);
    }
    board.firsts = firsts
        .into_iter()
        .map(|(p, (contest_time_ms, submission, team))| (p, FirstSolve { team, submission, contest_time_ms }))
        .collect();
    board
}

fn divisions(event: &Event) -> Vec<Division> {
    let mut groups: Vec<_> = live(&event.groups).filter(|(_, g)| !g.hidden).collect();
    groups.sort_by(|a, b| natural_cmp(a.0, b.0));
    groups.into_iter().map(|(id, g)| Division { division: id.clone(), name: g.name.clone() }).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pending,
    Solved,
    Rejected,
    /// Carries neither penalty nor a solve: not counted at all.
    Nothing,
}

struct Attempt {
    ms: i64,
    id: Id,
    outcome: Outcome,
}

/// Submissions that can count, by (team, problem), in contest order.
fn attempts(event: &Event, t: &Times, view: View) -> BTreeMap<(Id, Id), Vec<Attempt>> {
    let verdicts = verdicts(event);
    let mut by: BTreeMap<(Id, Id), Vec<Attempt>> = BTreeMap::new();
    for (id, (s, time_ms)) in live(&event.submissions) {
        let Some(ms) = s.contest_time_ms.or_else(|| time_ms.zip(t.started).map(|(at, start)| at - start)) else {
            continue;
        };
        if ms < 0 || t.duration.is_some_and(|d| ms >= d) {
            continue;
        }
        let censored = view == View::Public && !t.thawed && t.freeze.is_some_and(|f| ms >= f);
        let verdict = if censored { None } else { verdicts.get(id) };
        let outcome = verdict.map_or(Outcome::Pending, |v| meaning(event, v));
        by.entry((s.team.clone(), s.problem.clone())).or_default().push(Attempt { ms, id: id.clone(), outcome });
    }
    for tries in by.values_mut() {
        tries.sort_by(|a, b| a.ms.cmp(&b.ms).then_with(|| natural_cmp(&a.id, &b.id)));
    }
    by
}

/// The current verdict of every submission that has one.
fn verdicts(event: &Event) -> BTreeMap<Id, Id> {
    let mut best: BTreeMap<Id, (i64, i64, Id, Id)> = BTreeMap::new();
    for (id, j) in live(&event.judgements) {
        let waits = j.rejudging.as_ref().is_some_and(|r| event.applied.get(r) != Some(&true));
        let Some(verdict) = j.judgement_type.clone().filter(|_| j.current != Some(false) && !waits) else { continue };
        let end = j.end_contest_time_ms.unwrap_or(0);
        let start = j.start_contest_time_ms.unwrap_or(end);
        let greater =
            |b: &(i64, i64, Id, Id)| (start, end).cmp(&(b.0, b.1)).then_with(|| natural_cmp(id, &b.2)).is_gt();
        if best.get(&j.submission).is_none_or(greater) {
            best.insert(j.submission.clone(), (start, end, id.clone(), verdict));
        }
    }
    best.into_iter().map(|(s, b)| (s, b.3)).collect()
}

fn meaning(event: &Event, verdict: &Id) -> Outcome {
    if verdict == "JE" {
        return Outcome::Pending;
    }
    let declared = live(&event.types).find(|(id, _)| *id == verdict).map(|(_, t)| t);
    let (solved, penalty) = match (declared, verdict.as_str()) {
        (Some(t), _) => {
            let solved = t.solved.unwrap_or(false);
            (solved, t.penalty.unwrap_or(!solved))
        }
        (None, "AC") => (true, false),
        (None, "CE") => (false, false),
        (None, _) => (false, true),
    };
    match (solved, penalty) {
        (true, _) => Outcome::Solved,
        (false, true) => Outcome::Rejected,
        (false, false) => Outcome::Nothing,
    }
}
