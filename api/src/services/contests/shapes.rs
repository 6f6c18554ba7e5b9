//! CLICS objects made of a board. Times are absolute or whole minutes; no wall clock is in any of them.

use gravity_events::Id;
use gravity_events::board::{BoardHeader, BoardProblem, View};
use gravity_events::body::Scoring;
use gravity_events::time::format_rfc3339_ms;
use serde::Serialize;
use utoipa::ToSchema;

use crate::services::events::duration::format_reltime;
use crate::services::events::preview::medal as medal_of;
use crate::serving::{HeaderState, RankedRow};

/// A contest.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Contest {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Long name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formal_name: Option<String>,
    /// Start, or when it is planned; null while nobody knows.
    pub start_time: Option<String>,
    /// Length as H:MM:SS.mmm; absent without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// How long before the end the scoreboard freezes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scoreboard_freeze_duration: Option<String>,
    /// `pass-fail`, or `score` on boards of points.
    pub scoreboard_type: &'static str,
    /// Penalty minutes per rejected submission.
    pub penalty_time: i64,
}

impl Contest {
    pub(super) fn of(head: &HeaderState) -> Contest {
        let h = &head.header;
        let freeze = h.duration_ms.zip(h.freeze_ms).map(|(duration, from)| (duration - from).max(0));
        Contest {
            id: head.event.to_string(),
            name: h.name.clone(),
            formal_name: h.formal_name.clone(),
            start_time: h.started_at_ms.or(h.start_at_ms).map(format_rfc3339_ms),
            duration: h.duration_ms.map(format_reltime),
            scoreboard_freeze_duration: freeze.map(format_reltime),
            scoreboard_type: if h.scoring == Scoring::Icpc { "pass-fail" } else { "score" },
            penalty_time: h.penalty_min,
        }
    }
}

/// The moments of a contest that have come; null: not yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContestState {
    /// It started.
    pub started: Option<String>,
    /// The scoreboard froze.
    pub frozen: Option<String>,
    /// It ended.
    pub ended: Option<String>,
    /// The freeze was lifted.
    pub thawed: Option<String>,
    /// The results became final.
    pub finalized: Option<String>,
    /// Nothing changes any more: final, and nothing is hidden.
    pub end_of_updates: Option<String>,
}

impl ContestState {
    pub(super) fn of(h: &BoardHeader) -> ContestState {
        let hides = h.freeze_ms.is_some() || h.frozen_at_ms.is_some();
        let last = match (h.finalized_at_ms, h.thawed_at_ms) {
            (Some(finalized), Some(thawed)) => Some(finalized.max(thawed)),
            (Some(finalized), None) if !hides => Some(finalized),
            _ => None,
        };
        let text = |at: Option<i64>| at.map(format_rfc3339_ms);
        ContestState {
            started: text(h.started_at_ms),
            frozen: text(h.frozen_at_ms),
            ended: text(h.ended_at_ms),
            thawed: text(h.thawed_at_ms),
            finalized: text(h.finalized_at_ms),
            end_of_updates: text(last),
        }
    }
}

/// A scoreboard.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Scoreboard {
    /// The contest's state.
    pub state: ContestState,
    /// Teams by rank.
    pub rows: Vec<ScoreboardRow>,
}

/// A team on it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScoreboardRow {
    /// Shared by equals.
    pub rank: u32,
    /// Team.
    pub team_id: String,
    /// Score.
    pub score: Score,
    /// Every problem of the contest.
    pub problems: Vec<ScoreboardProblem>,
}

/// A team's score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Score {
    /// Problems solved.
    pub num_solved: u32,
    /// On boards of points: the points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// Penalty minutes.
    pub total_time: i64,
    /// Minute of the last accepted submission; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
}

/// A team's work on a problem.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScoreboardProblem {
    /// Problem.
    pub problem_id: String,
    /// Judged submissions, up to and with the accepted one.
    pub num_judged: u32,
    /// Submissions without a visible verdict.
    pub num_pending: u32,
    /// Whether it is solved.
    pub solved: bool,
    /// Minute of the accepted submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// On boards of points: its points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
}

impl Scoreboard {
    pub(super) fn of(head: &HeaderState, rows: &[RankedRow]) -> Scoreboard {
        let row = |r: &RankedRow| {
            let b = &r.row.row;
            let problem = |p: &BoardProblem| {
                let cell = b.cells.iter().find(|c| c.problem == p.problem);
                let time = cell.and_then(|c| c.solved_min);
                ScoreboardProblem {
                    problem_id: p.problem.to_string(),
                    num_judged: cell.map_or(0, |c| c.judged),
                    num_pending: cell.map_or(0, |c| c.pending),
                    solved: time.is_some(),
                    time,
                    score: cell.and_then(|c| c.score),
                }
            };
            Some(ScoreboardRow {
                rank: r.rank?,
                team_id: r.row.team.to_string(),
                score: Score {
                    num_solved: b.solved,
                    score: b.points.as_ref().map(|p| p.score),
                    total_time: b.penalty,
                    time: (b.solved > 0).then_some(b.last_solved_min),
                },
                problems: head.header.problems.iter().map(problem).collect(),
            })
        };
        Scoreboard { state: ContestState::of(&head.header), rows: rows.iter().filter_map(row).collect() }
    }
}

/// An award.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Award {
    /// `winner`, `gold-medal`, `silver-medal`, `bronze-medal`, `group-winner-<group>`, `first-to-solve-<problem>`, or one
    /// that somebody decided on.
    pub id: String,
    /// For people.
    pub citation: String,
    /// Who has it.
    pub team_ids: Vec<String>,
}

/// The awards that this view tells. While it hides something, it names no winner: the visible first may not be.
pub(super) fn awards(head: &HeaderState, rows: &[RankedRow]) -> Vec<Award> {
    let h = &head.header;
    let mut awards = Vec::new();
    let hides =
        head.view == View::Public && h.thawed_at_ms.is_none() && (h.freeze_ms.is_some() || h.frozen_at_ms.is_some());
    if h.finalized_at_ms.is_some() && !hides {
        let winners: Vec<String> = rows
            .iter()
            .take_while(|r| r.rank == Some(1))
            .filter(|r| r.row.row.score() > 0)
            .map(|r| r.row.team.to_string())
            .collect();
        if !winners.is_empty() {
            awards.push(Award { id: "winner".into(), citation: "Contest winner".into(), team_ids: winners });
        }
        for (medal, name) in [("gold", "Gold"), ("silver", "Silver"), ("bronze", "Bronze")] {
            let has = |r: &&RankedRow| r.rank.and_then(medal_of) == Some(medal) && r.row.row.score() > 0;
            let team_ids: Vec<String> = rows.iter().filter(has).map(|r| r.row.team.to_string()).collect();
            if !team_ids.is_empty() {
                awards.push(Award { id: format!("{medal}-medal"), citation: format!("{name} medal winner"), team_ids });
            }
        }
        for division in &h.divisions {
            let mut of_division =
                rows.iter().filter(|r| r.rank.is_some() && r.row.row.divisions.contains(&division.division));
            let Some(best) = of_division.clone().next().filter(|r| r.row.row.score() > 0) else { continue };
            let team_ids = of_division
                .by_ref()
                .take_while(|r| r.row.score_cmp(&best.row).is_eq())
                .map(|r| r.row.team.to_string())
                .collect();
            let citation = format!("Winner of {}", division.name);
            awards.push(Award { id: format!("group-winner-{}", division.division), citation, team_ids });
        }
    }
    for problem in &h.problems {
        let Some(first) = head.firsts.get(&problem.problem) else {
            continue;
        };
        // On a division's board, only of its own teams.
        if !rows.iter().any(|r| r.row.team == first.team) {
            continue;
        }
        awards.push(Award {
            id: format!("first-to-solve-{}", problem.problem),
            citation: format!("First to solve problem {}", problem.label),
            team_ids: vec![first.team.to_string()],
        });
    }
    // What somebody decided takes the place of what follows from the board.
    for decided in &h.awards {
        let of_board = |team: &&Id| rows.iter().any(|r| r.row.team == **team);
        let team_ids: Vec<String> = decided.teams.iter().filter(of_board).map(Id::to_string).collect();
        let award = Award { id: decided.award.to_string(), citation: decided.citation.clone(), team_ids };
        let place = awards.iter().position(|a| a.id == award.id);
        match (place, award.team_ids.is_empty()) {
            (Some(at), false) => awards[at] = award,
            (Some(at), true) => drop(awards.remove(at)),
            (None, false) => awards.push(award),
            (None, true) => {}
        }
    }
    awards
}
