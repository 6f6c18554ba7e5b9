//! The boards of all events, public and jury.
//!
//! ```text
//! submissions + judgements --(per submission)--> attempts --+
//! teams, organizations, selections, hints, adjustments -----+
//! votes --(per event)--> places ----------------------------+--(per team)--> rows, errors
//! configuration, moments, problems, ... --(per event)--> rules                 |
//!                                                                              +--> solves --(least)--> first solves
//!                                                                              +--> rows and solves --> worth --> rows
//! ```
//! Rules reach teams by a join through buckets per event, so that one event uses all workers and only a change of
//! reference data pays for it; in a large event over several epochs, behind a gate. A new verdict touches one submission
//! and one team; only where challenges are worth less the more teams solve them does it touch others.

use gravity_events::Id;

use super::attempts::{self, Attempt};
use super::facts::{BoardFacts, Change, EventKey, Rows};
use super::gate::{Slices, gate};
use super::rules::{self, Rules};
use super::score::{Team, TeamScore, score_team};
use super::{panel, teams, worth};
use crate::primitives::natural::NaturalId;

/// What leaves the view. Every (view, key) has at most one row at any time.
pub struct BoardViews<'s> {
    /// Headers, rows and first solves of both views.
    pub changes: Rows<'s, Change>,
    /// Per event the number of judgements whose submission is unknown; no row when there are none.
    pub orphans: Rows<'s, (EventKey, i64)>,
    /// Teams whose scoring panicked, with the message; they have no rows.
    pub errors: Rows<'s, (EventKey, Id, String)>,
    /// Events of which nothing is to be shown for now: [`super::gate`].
    pub open: Rows<'s, EventKey>,
}

/// The boards of all events.
pub fn boards(facts: BoardFacts<'_>) -> BoardViews<'_> {
    boards_with(facts, score_team)
}

/// The same, which takes several epochs for a change of the rules of a large event.
pub fn boards_in_slices(facts: BoardFacts<'_>, slices: Slices) -> BoardViews<'_> {
    boards_in_slices_with(facts, score_team, slices)
}

/// The same with another scoring function. It must be pure. Where it panics, the team has an error instead of rows.
pub fn boards_with<'s, F>(facts: BoardFacts<'s>, score: F) -> BoardViews<'s>
where
    F: Fn(&Rules, Team<'_>, &[&Attempt]) -> TeamScore + 'static,
{
    boards_in_slices_with(facts, score, Slices::default())
}

/// Both.
pub fn boards_in_slices_with<'s, F>(facts: BoardFacts<'s>, score: F, slices: Slices) -> BoardViews<'s>
where
    F: Fn(&Rules, Team<'_>, &[&Attempt]) -> TeamScore + 'static,
{
    let rules = rules::rules(&facts);
    let applied = attempts::applied(facts.configs.clone(), facts.rejudgings);
    let mut rejudging = None;
    let apply = |judgements| {
        let gated = gate(applied, judgements, slices.clone());
        rejudging = Some(gated.open);
        gated.buckets
    };
    let (attempts, orphans) = attempts::attempts(facts.submissions, facts.judgements, apply, teams::Fact::Attempt);
    let rejudging = rejudging.expect("it was called");
    let selected = facts
        .selections
        .map(|((event, submission), team)| (event.hash_of(&team), teams::Fact::Selected(NaturalId(submission))));
    let corrections = facts.corrections.map(|c| (c.event.hash_of(&c.team), teams::Fact::Correction(c)));
    let places = panel::panel(facts.teams.clone(), rules.rules.clone(), facts.votes);
    let of_teams = attempts.concatenate([selected, corrections, places]);
    let buckets = teams::buckets(facts.teams.clone());
    let gated = gate(rules.rules.clone(), buckets.clone().map(|(event, (bucket, _))| (event, bucket)), slices);
    let buckets = buckets.map(|(_, bucket)| bucket);
    let scored = teams::teams(facts.teams, facts.organizations, buckets, gated.buckets, of_teams, score);
    let valued = worth::with_points(scored.unvalued, scored.solves, rules.rules);
    BoardViews {
        changes: scored.rows.concatenate([rules.headers, scored.firsts, valued]),
        orphans,
        errors: scored.errors.concat(rules.faults),
        // Both may be under way: what is shown at the end is the end of both.
        open: gated.open.concat(rejudging).distinct_core::<i64>(),
    }
}
