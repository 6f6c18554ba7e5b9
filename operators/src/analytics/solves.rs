//! When problems are solved.

use gravity_events::Id;
use gravity_events::analytics::{Minutes, ViewKey, ViewRow, ViewSpec};

use super::{Inputs, key_by};
use crate::boards::facts::Rows;
use crate::primitives::percentile::nearest_rank;
use crate::primitives::reduce::{Group, Memory, reduce_total};

pub const SPEC: ViewSpec = ViewSpec {
    name: "solves",
    about: "When each problem was solved, in contest time: first by whom, and by half and by nine tenths of those who did",
    minutes: Minutes::None,
    by: Some("problem"),
    team: Some("Who solved it first"),
    numbers: &[
        ("teams", "Teams that solved it"),
        ("first_ms", "When the first one did"),
        ("p50_ms", "When half of them had (nearest rank)"),
        ("p90_ms", "When nine tenths of them had"),
    ],
};

pub fn rows<'s>(inputs: &Inputs<'s>) -> Rows<'s, (ViewKey, ViewRow)> {
    let each = inputs.tries.clone().flat_map(|tries| {
        let at_ms = tries.solved_at_ms?;
        Some((key_by(&SPEC, tries.event, Some(tries.problem)), (at_ms, tries.team)))
    });
    reduce_total(each, "Solves", Memory::Keep, |key: &ViewKey, group: Group<'_, (i64, Id)>, said| {
        let Some((first_ms, team)) = group.iter().next() else { return };
        let times: Vec<i64> = group.iter().map(|(at_ms, _)| *at_ms).collect();
        let shares = [5_000, 9_000].map(|share| nearest_rank(&times, share));
        let numbers = vec![Some(times.len() as i64), Some(*first_ms), shares[0], shares[1]];
        said.push((key.clone(), ViewRow { numbers, team: Some(team.clone()) }));
    })
}
