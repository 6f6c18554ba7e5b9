//! What challenges are worth, and the rows of the teams that solved them (CTF boards).
//!
//! ```text
//! solves of teams that count --(per problem)--> worth --+
//! solves of all teams ----------------------------------+--(per problem)--> points of a team --+
//! rows that lack it ---------------------------------------------------------------------------+--(per team)--> rows
//! ```
//! One more solve touches a problem and every team that solved it, in the epoch of that solve.

use std::sync::Arc;

use differential_dataflow::Hashable;
use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardRow, BoardValue, View, Worth};
use gravity_events::body::{Scoring, ValueFunction};
use serde::{Deserialize, Serialize};

use super::facts::{Change, EventKey, Rows};
use super::rules::SharedRules;
use super::score::with_worth;
use super::value::value;
use crate::primitives::complete_times::Out;
use crate::primitives::reduce::{Group, GroupKey, Memory, reduce_states, reduce_total};

/// A problem of an event, in one view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProblemKey {
    /// Public or jury.
    pub view: View,
    /// Which problem.
    pub problem: Id,
    /// Of which event.
    pub event: EventKey,
}

impl GroupKey for ProblemKey {
    fn route(&self) -> u64 {
        self.hashed()
    }
}

/// A row that lacks what its solves are worth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unvalued {
    /// Public or jury.
    pub view: View,
    /// In which event.
    pub event: EventKey,
    /// Whose.
    pub team: Id,
    /// The row.
    pub row: Arc<BoardRow>,
}

impl Unvalued {
    fn key(&self) -> (View, u128) {
        (self.view, self.event.hash_of(&self.team))
    }
}

impl GroupKey for (View, u128) {
    fn route(&self) -> u64 {
        self.1.route().wrapping_add(self.0 as u64)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum ProblemFact {
    Function(ValueFunction),
    Solves(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum TeamFact {
    Row(Unvalued),
    Points(Id, i64),
}

/// The rows with what their solves are worth, and what problems are worth. `solves`: per solve the problem, the team's
/// hash, and whether it counts for the worth.
pub fn with_points<'s>(
    rows: Rows<'s, Unvalued>,
    solves: Rows<'s, (ProblemKey, u128, bool)>,
    rules: Rows<'s, (EventKey, SharedRules)>,
) -> Rows<'s, Change> {
    let functions = rules.flat_map(|(event, rules)| {
        let is_ctf = rules.header.scoring == Scoring::Ctf;
        let functions: Vec<_> = rules.values().filter(|_| is_ctf).map(|(p, f)| (p.clone(), f.clone())).collect();
        functions.into_iter().flat_map(move |(problem, function)| {
            [View::Public, View::Jury].map(|view| {
                let key = ProblemKey { view, problem: problem.clone(), event: event.clone() };
                (key, ProblemFact::Function(function.clone()))
            })
        })
    });
    let counting = solves.clone().filter(|(_, _, counts)| *counts).map(|(key, ..)| key);
    let counts = counting.count_core::<i64>().map(|(key, n)| (key, ProblemFact::Solves(n)));
    let worth = reduce_total(functions.concat(counts), "Worth", Memory::Keep, |key: &ProblemKey, group, said| {
        let (mut function, mut solves) = (None, 0);
        for fact in group.iter() {
            match fact {
                ProblemFact::Function(f) => function = Some(f),
                ProblemFact::Solves(n) => solves = u32::try_from(*n).unwrap_or(0),
            }
        }
        said.extend(function.map(|f| (key.clone(), Worth { points: value(f, solves), solves })));
    });
    let points = worth
        .clone()
        .map(|(key, worth)| (key, worth.points))
        .join_map(solves.map(|(key, team, _)| (key, team)), |key, points, team| {
            ((key.view, *team), TeamFact::Points(key.problem.clone(), *points))
        });
    let facts = rows.map(|row| (row.key(), TeamFact::Row(row))).concat(points);
    let (rows, _) = reduce_states(facts, "PointsOfTeams", Memory::Keep, valued, differ);
    rows.concat(worth.map(|(ProblemKey { view, problem, event: EventKey { tenant, event } }, worth)| {
        ((view, BoardKey::Worth { tenant, event, problem }), BoardValue::Worth(Arc::new(worth)))
    }))
}

fn valued(_: &(View, u128), group: Group<'_, TeamFact>) -> Option<Unvalued> {
    let (mut unvalued, mut points) = (None, Vec::new());
    for fact in group.iter() {
        match fact {
            TeamFact::Row(row) => unvalued = Some(row),
            TeamFact::Points(problem, value) => points.push((problem, *value)),
        }
    }
    let unvalued = unvalued?;
    // Sorted, as the group is.
    let worth = |problem: &str| points.binary_search_by(|(p, _)| p.as_str().cmp(problem)).map_or(0, |at| points[at].1);
    let row = Arc::new(with_worth(&unvalued.row, worth));
    Some(Unvalued { row, ..unvalued.clone() })
}

fn differ(old: Option<Unvalued>, new: &Option<Unvalued>, out: Out<'_, Change, ()>) {
    if old == *new {
        return;
    }
    for (row, diff) in [(&old, -1), (new, 1)] {
        let Some(Unvalued { view, event, team, row }) = row else { continue };
        let EventKey { tenant, event } = event.clone();
        let key = BoardKey::Row { tenant, event, team: team.clone() };
        (out.main)(((*view, key), BoardValue::Row(row.clone())), diff);
    }
}
