//! The ICPC board: solved problems, then penalty (CLICS 2026-01, "Scoring Data Generation"), public and jury.
//!
//! ```text
//! submissions + judgements --(per submission)--> attempts --+
//! teams, organizations -------------------------------------+--(per team)--> rows, errors
//! configuration, moments, problems, ... --(per event)--> rules                 +--> solves --(least)--> first solves
//! ```
//! Rules reach teams by a join through 64 buckets per event, so that one event uses all workers and only a change of
//! reference data pays for it. A new verdict touches one submission and one team.

pub mod attempts;
pub mod rules;
pub mod score;
mod teams;
pub mod visible;

use gravity_events::Id;

use super::facts::{BoardFacts, Change, EventKey, Rows};
use attempts::Attempt;
use rules::Rules;
use score::{Team, TeamScore, score_team};

/// What leaves the view. Every (view, key) has at most one row at any time.
pub struct BoardViews<'s> {
    /// Headers, rows and first solves of both views.
    pub changes: Rows<'s, Change>,
    /// Per event the number of judgements whose submission is unknown; no row when there are none.
    pub orphans: Rows<'s, (EventKey, i64)>,
    /// Teams whose scoring panicked, with the message; they have no rows.
    pub errors: Rows<'s, (EventKey, Id, String)>,
}

/// The ICPC boards of all events.
pub fn icpc<'s>(facts: BoardFacts<'s>) -> BoardViews<'s> {
    icpc_with(facts, score_team)
}

/// The same with another scoring function. It must be pure. Where it panics, the team has an error instead of rows.
pub fn icpc_with<'s, F>(facts: BoardFacts<'s>, score: F) -> BoardViews<'s>
where
    F: Fn(&Rules, Team<'_>, &[&Attempt]) -> TeamScore + 'static,
{
    let (rules, headers) = rules::rules(&facts);
    let (attempts, orphans) =
        attempts::attempts(facts.submissions, facts.judgements, facts.rejudgings, teams::Fact::Attempt);
    let scored = teams::teams(facts.teams, facts.organizations, rules, attempts, score);
    BoardViews { changes: scored.rows.concatenate([headers, scored.firsts]), orphans, errors: scored.errors }
}
