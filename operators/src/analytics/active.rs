//! How many are at work, minute by minute.

use gravity_events::analytics::{Minutes, ViewKey, ViewRow, ViewSpec};

use super::{Inputs, key_at, numbers};
use crate::boards::facts::Rows;
use crate::primitives::sum::sum_total;

pub const SPEC: ViewSpec = ViewSpec {
    name: "active",
    about: "How many are at work: who submitted, took a hint, voted or used a model or machine, by minute",
    minutes: Minutes::Clock,
    by: None,
    team: None,
    numbers: &[("participants", "Different ones, a team where the record names nobody else")],
};

pub fn rows<'s>(inputs: &Inputs<'s>) -> Rows<'s, (ViewKey, ViewRow)> {
    let each = inputs.activity.clone().map(|(event, minute_ms, _)| (key_at(&SPEC, event, minute_ms), [1]));
    sum_total(each, "Active").map(|(key, of)| (key, numbers(of)))
}
