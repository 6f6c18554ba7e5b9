//! Boards as they leave the boards pipeline: rows without ranks, the header, first solves.
//!
//! A board is event x division x visibility. The pipeline keeps one row per (event, view, team) with the divisions it
//! is in; ranks are the serving index's work, because one submission can move 20,000 of them.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Id;
use crate::body::{CustomAward, Scoring};

/// Who may see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Everybody: carries no bit of a hidden verdict.
    #[default]
    Public,
    /// Judges: everything.
    Jury,
}

impl View {
    /// `public` or `jury`.
    pub fn name(self) -> &'static str {
        match self {
            View::Public => "public",
            View::Jury => "jury",
        }
    }
}

/// The division that every team is in.
pub const OVERALL: &str = "";

/// What of a board a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BoardKey {
    /// What the event is.
    Header {
        /// Whose event.
        tenant: Id,
        /// Which event.
        event: Id,
    },
    /// A team's row.
    Row {
        /// Whose event.
        tenant: Id,
        /// Which event.
        event: Id,
        /// The team.
        team: Id,
    },
    /// Who solved a problem first.
    First {
        /// Whose event.
        tenant: Id,
        /// Which event.
        event: Id,
        /// The problem.
        problem: Id,
    },
    /// What a problem is worth now, where that depends on who solved it.
    Worth {
        /// Whose event.
        tenant: Id,
        /// Which event.
        event: Id,
        /// The problem.
        problem: Id,
    },
}

impl BoardKey {
    /// (tenant, event).
    pub fn event(&self) -> (&Id, &Id) {
        match self {
            BoardKey::Header { tenant, event }
            | BoardKey::Row { tenant, event, .. }
            | BoardKey::First { tenant, event, .. }
            | BoardKey::Worth { tenant, event, .. } => (tenant, event),
        }
    }
}

/// The value at a [`BoardKey`]. Shared: from the view that computed it to the frame, the index and the topics it is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoardValue {
    /// Of a header.
    Header(Arc<BoardHeader>),
    /// Of a row.
    Row(Arc<BoardRow>),
    /// Of a first solve.
    First(Arc<FirstSolve>),
    /// Of a problem's worth.
    Worth(Arc<Worth>),
}

/// What a board's reader has to know besides the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoardHeader {
    /// Name of the event.
    pub name: String,
    /// Long official name.
    pub formal_name: Option<String>,
    /// How it is ranked.
    #[serde(default)]
    pub scoring: Scoring,
    /// Rubric boards: name and version of the rubric.
    #[serde(default)]
    pub rubric: Option<(Id, u64)>,
    /// Rubric boards: the dimensions, in the rubric's order.
    #[serde(default)]
    pub dimensions: Vec<BoardDimension>,
    /// Planned start.
    pub start_at_ms: Option<i64>,
    /// Start, once it came.
    pub started_at_ms: Option<i64>,
    /// Length.
    pub duration_ms: Option<i64>,
    /// Contest time from which verdicts are hidden from the public, unless thawed.
    pub freeze_ms: Option<i64>,
    /// When the freeze was announced.
    pub frozen_at_ms: Option<i64>,
    /// When it ended.
    pub ended_at_ms: Option<i64>,
    /// When the freeze was lifted.
    pub thawed_at_ms: Option<i64>,
    /// When the results became final.
    pub finalized_at_ms: Option<i64>,
    /// Penalty minutes per rejected submission.
    pub penalty_min: i64,
    /// The problems, in the board's order.
    pub problems: Vec<BoardProblem>,
    /// The divisions: groups that are not hidden, by natural order of id.
    pub divisions: Vec<Division>,
    /// Awards that somebody decided on, once they may be told.
    #[serde(default)]
    pub awards: Vec<CustomAward>,
}

/// A dimension of a rubric board.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoardDimension {
    /// Its name.
    pub dimension: Id,
    /// Its weight in basis points.
    pub weight_bp: u32,
}

/// A column of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoardProblem {
    /// Its id.
    pub problem: Id,
    /// Short label.
    pub label: String,
    /// Name.
    pub name: String,
    /// Colour as `#rrggbb`.
    pub rgb: Option<String>,
}

/// A division that a board can be narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Division {
    /// Id of the group.
    pub division: Id,
    /// Its name.
    pub name: String,
}

/// A team's row, without its rank.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoardRow {
    /// Name to show.
    pub name: String,
    /// Its organization's name.
    pub organization: Option<String>,
    /// Divisions it is ranked in, besides the overall one; sorted.
    pub divisions: Vec<Id>,
    /// Hidden teams are in the jury view only, without a rank.
    pub hidden: bool,
    /// Shown without a rank.
    #[serde(default)]
    pub out_of_competition: bool,
    /// Problems solved.
    pub solved: u32,
    /// Penalty minutes.
    pub penalty: i64,
    /// Minute of the last accepted submission that counts.
    pub last_solved_min: i64,
    /// When its score last rose, milliseconds since 1970 (0: never).
    pub last_scored_at_ms: i64,
    /// Cells that are not empty, in the order of the problems.
    pub cells: Vec<Cell>,
    /// Its points, on boards that do not go by solved problems.
    #[serde(default)]
    pub points: Option<Box<Points>>,
}

/// What a row is ranked by on boards of points.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Points {
    /// The score, in the board's unit: points, or on rubric boards basis points times weight in basis points.
    pub score: i64,
    /// What rows stand in the order of: lexicographically, ascending. Equal keys share a rank.
    pub rank_key: Vec<i64>,
    /// Decides between equal keys where no rank is to be shared.
    pub tie: Option<Id>,
    /// Scores by dimension, in basis points times the problem's weight; none while nothing is known of one.
    pub dimensions: Vec<(Id, Option<i64>)>,
    /// Contest time of the first submission that an operator failed at: the row is what the others give.
    pub stale_since_ms: Option<i64>,
}

impl BoardRow {
    /// Whether it has no rank.
    pub fn unranked(&self) -> bool {
        self.hidden || self.out_of_competition
    }

    /// The score in the board's unit.
    pub fn score(&self) -> i64 {
        self.points.as_ref().map_or(i64::from(self.solved), |p| p.score)
    }

    /// A first part of what [`Self::rank_cmp`] compares: rows whose hints differ stand as these do.
    pub fn rank_hint(&self) -> (bool, bool, bool, i64, i64) {
        let (a, b) = match &self.points {
            // A list that ends sorts before one that goes on.
            Some(points) => {
                let key = |n: usize| points.rank_key.get(n).copied().unwrap_or(i64::MIN);
                (key(0), key(1))
            }
            None => (-i64::from(self.solved), self.penalty),
        };
        (self.hidden, self.out_of_competition, self.points.is_some(), a, b)
    }

    /// The order that a rank is given by: rows without a rank come last; rows that are equal share one.
    pub fn rank_cmp(&self, other: &BoardRow) -> Ordering {
        let key = |r: &BoardRow| (r.hidden, r.out_of_competition);
        key(self).cmp(&key(other)).then_with(|| match (&self.points, &other.points) {
            (Some(a), Some(b)) => a.rank_key.cmp(&b.rank_key).then_with(|| match (&a.tie, &b.tie) {
                (Some(a), Some(b)) => crate::natural_cmp(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            }),
            (None, None) => {
                let key = |r: &BoardRow| (Reverse(r.solved), r.penalty, r.last_solved_min);
                key(self).cmp(&key(other))
            }
            (a, b) => a.is_some().cmp(&b.is_some()),
        })
    }
}

/// What a problem is worth now.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Worth {
    /// Points.
    pub points: i64,
    /// Teams that solved it and count.
    pub solves: u32,
}

/// A team's work on a problem.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The problem.
    pub problem: Id,
    /// Judged submissions that count, up to and with the accepted one.
    pub judged: u32,
    /// Submissions without a visible verdict, also after a solve.
    pub pending: u32,
    /// Minute of the accepted submission.
    pub solved_min: Option<i64>,
    /// Its score, on boards of points; none while nothing is known.
    #[serde(default)]
    pub score: Option<i64>,
}

/// The first accepted submission to a problem among teams that are not hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FirstSolve {
    /// Whose.
    pub team: Id,
    /// Which.
    pub submission: Id,
    /// Its contest time.
    pub contest_time_ms: i64,
}
