//! What became of a team's work on a problem.

use gravity_events::Id;
use gravity_events::record::stable_hash128;
use serde::{Deserialize, Serialize};

use super::judged::{Judged, Verdict};
use crate::boards::facts::{EventKey, Rows};
use crate::primitives::reduce::{Group, GroupKey, Memory, reduce_total};

/// A team's submissions to a problem.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tries {
    /// In which event.
    pub event: EventKey,
    /// The problem.
    pub problem: Id,
    /// The team.
    pub team: Id,
    /// Submissions up to the first that solves it, that one included; all where none does.
    pub attempts: i64,
    /// Of these, those without a verdict.
    pub pending: i64,
    /// Whether one solves it.
    pub is_solved: bool,
    /// Contest time of the first that does, where it is known.
    pub solved_at_ms: Option<i64>,
}

/// Whose work on what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Work(EventKey, Id, Id);

impl GroupKey for Work {
    fn route(&self) -> u64 {
        let Work(event, problem, team) = self;
        let parts = [event.tenant.as_bytes(), event.event.as_bytes(), problem.as_bytes(), team.as_bytes()];
        stable_hash128(&parts) as u64
    }
}

/// What became of each team's work on each problem that it handed something in for.
///
/// Cost: a change looks at the team's submissions to the problem.
pub fn tries(judged: Rows<'_, Judged>) -> Rows<'_, Tries> {
    let each = judged.map(|of| {
        // Times that nobody knows come last.
        let order = (of.at_ms.is_none(), of.at_ms, of.submission, of.verdict);
        (Work(of.event, of.problem, of.team), order)
    });
    let of_work = |work: &Work, group: Group<'_, (bool, Option<i64>, Id, Verdict)>, said: &mut Vec<Tries>| {
        let solved = group.iter().position(|(.., verdict)| *verdict == Verdict::Solved);
        let counted = group.iter().take(solved.map_or(usize::MAX, |at| at + 1));
        let Work(event, problem, team) = work.clone();
        said.push(Tries {
            event,
            problem,
            team,
            attempts: counted.clone().count() as i64,
            pending: counted.filter(|(.., verdict)| *verdict == Verdict::Pending).count() as i64,
            is_solved: solved.is_some(),
            solved_at_ms: solved.and_then(|at| group.iter().nth(at)).and_then(|(_, at_ms, ..)| *at_ms),
        });
    };
    reduce_total(each, "Tries", Memory::Recompute, of_work)
}
