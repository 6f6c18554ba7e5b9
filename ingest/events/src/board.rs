//! Boards as they leave the boards pipeline: rows without ranks, the header, first solves.
//!
//! A board is event x division x visibility. The pipeline keeps one row per (event, view, team) with the divisions it
//! is in; ranks are the serving index's work, because one submission can move 20,000 of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Id;

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
}

impl BoardKey {
    /// (tenant, event).
    pub fn event(&self) -> (&Id, &Id) {
        match self {
            BoardKey::Header { tenant, event }
            | BoardKey::Row { tenant, event, .. }
            | BoardKey::First { tenant, event, .. } => (tenant, event),
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
}

/// What a board's reader has to know besides the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoardHeader {
    /// Name of the event.
    pub name: String,
    /// Long official name.
    pub formal_name: Option<String>,
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
