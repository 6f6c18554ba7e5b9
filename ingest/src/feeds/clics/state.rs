//! The contest's state: one record per moment that changed.

use gravity_events::body::{Body, Moment};

use super::fields::{FieldProblem, Fields};

/// The moments, in the order in which they are told.
pub(super) const MOMENTS: [&str; 5] = ["started", "frozen", "ended", "thawed", "finalized"];

/// The moments of a state object, and whether nothing more will come.
pub(super) fn moments(f: Fields<'_>) -> Result<([Option<i64>; 5], bool), FieldProblem> {
    let mut at = [None; 5];
    for (slot, name) in at.iter_mut().zip(MOMENTS) {
        *slot = f.time(name)?;
    }
    Ok((at, f.time("end_of_updates")?.is_some()))
}

/// The record for moment number `n`.
pub(super) fn body(n: usize, at: Option<i64>) -> Body {
    let moment = Moment { at, contest_time_ms: None };
    match MOMENTS[n] {
        "started" => Body::EventStarted(moment),
        "frozen" => Body::EventFrozen(moment),
        "ended" => Body::EventEnded(moment),
        "thawed" => Body::EventThawed(moment),
        _ => Body::EventFinalized(moment),
    }
}
