//! What teams write in, and how it fares.

use gravity_events::analytics::{Minutes, ViewKey, ViewRow, ViewSpec};

use super::judged::Verdict;
use super::{Inputs, key_by, numbers};
use crate::boards::facts::Rows;
use crate::primitives::sum::sum_total;

pub const SPEC: ViewSpec = ViewSpec {
    name: "languages",
    about: "Submissions per language, and what became of them",
    minutes: Minutes::None,
    by: Some("language"),
    team: None,
    numbers: &[
        ("submissions", "All of them"),
        ("solved", "Those that solve their problem"),
        ("rejected", "Those that do not"),
        ("pending", "Those without a verdict"),
    ],
};

pub fn rows<'s>(inputs: &Inputs<'s>) -> Rows<'s, (ViewKey, ViewRow)> {
    let each = inputs.judged.clone().map(|judged| {
        let is = |verdict: Verdict| i64::from(judged.verdict == verdict);
        let of = [1, is(Verdict::Solved), is(Verdict::Rejected), is(Verdict::Pending)];
        (key_by(&SPEC, judged.event, judged.language), of)
    });
    sum_total(each, "Languages").map(|(key, of)| (key, numbers(of)))
}
