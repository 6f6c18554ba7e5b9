//! How far teams come with each problem.

use gravity_events::analytics::{Minutes, ViewKey, ViewRow, ViewSpec};

use super::{Inputs, key_by, numbers};
use crate::boards::facts::Rows;
use crate::primitives::sum::sum_total;

pub const SPEC: ViewSpec = ViewSpec {
    name: "funnel",
    about: "How far teams come with each problem: who tried, who solved it, who is still without",
    minutes: Minutes::None,
    by: Some("problem"),
    team: None,
    numbers: &[
        ("teams_tried", "Teams that handed something in"),
        ("teams_solved", "Teams that solved it"),
        ("teams_without", "Teams that tried and have not solved it: the drop-off"),
        ("attempts", "Submissions, each team's up to its solution"),
        ("attempts_pending", "Of these, those without a verdict"),
    ],
};

pub fn rows<'s>(inputs: &Inputs<'s>) -> Rows<'s, (ViewKey, ViewRow)> {
    let each = inputs.tries.clone().map(|tries| {
        let solved = i64::from(tries.is_solved);
        (key_by(&SPEC, tries.event, Some(tries.problem)), [1, solved, 1 - solved, tries.attempts, tries.pending])
    });
    sum_total(each, "Funnel").map(|(key, of)| (key, numbers(of)))
}
