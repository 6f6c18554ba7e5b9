//! Views of events for those who run them: who is active, how problems and queues do.
//!
//! ```text
//! submissions, judgements -> judged submissions -> tries of teams -+
//! activity by minute ----------------------------------------------+-> one list of rows per view and event
//! ```
//! A view is a file with its [`ViewSpec`] and a function, and one line in [`VIEWS`]: its live table, its rows in the lake, its
//! route and its place in `gravity analytics` follow from that.

mod active;
mod funnel;
pub mod judged;
mod languages;
mod queue;
mod solves;
pub mod tries;

use gravity_events::Id;
use gravity_events::analytics::{Minutes, ViewKey, ViewRow, ViewSpec};
use gravity_events::record::stable_hash128;

use crate::boards::facts::{EventKey, Rows};
use crate::primitives::reduce::GroupKey;
use judged::Judged;
use tries::Tries;

/// A view: what it is made of, and how it is computed.
pub struct View {
    /// Its name, columns and meaning.
    pub spec: ViewSpec,
    /// Its rows: at most one per key.
    pub rows: for<'s> fn(&Inputs<'s>) -> Rows<'s, (ViewKey, ViewRow)>,
}

/// Every view.
pub const VIEWS: &[View] = &[
    View { spec: active::SPEC, rows: active::rows },
    View { spec: funnel::SPEC, rows: funnel::rows },
    View { spec: languages::SPEC, rows: languages::rows },
    View { spec: queue::SPEC, rows: queue::rows },
    View { spec: solves::SPEC, rows: solves::rows },
];

/// The view of a name.
pub fn spec(name: &str) -> Option<&'static ViewSpec> {
    VIEWS.iter().map(|view| &view.spec).find(|spec| spec.name == name)
}

/// What views are made of.
pub struct Inputs<'s> {
    /// Submissions with their verdicts.
    pub judged: Rows<'s, Judged>,
    /// What became of a team's work on a problem.
    pub tries: Rows<'s, Tries>,
    /// Who did something in which minute of the clock (milliseconds since 1970, its start): each once.
    pub activity: Rows<'s, (EventKey, i64, Id)>,
}

/// The rows of all views.
pub fn views<'s>(inputs: &Inputs<'s>) -> Rows<'s, (ViewKey, ViewRow)> {
    let mut rows = VIEWS.iter().map(|view| (view.rows)(inputs));
    let first = rows.next().expect("there are views");
    first.concatenate(rows)
}

impl GroupKey for ViewKey {
    fn route(&self) -> u64 {
        let minute = self.minute_ms.unwrap_or(i64::MIN).to_le_bytes();
        let by = self.by.as_ref().map_or(&[][..], |by| by.as_bytes());
        stable_hash128(&[self.tenant.as_bytes(), self.event.as_bytes(), self.view.as_bytes(), &minute, by]) as u64
    }
}

/// The key of a row about a problem, a language, ...
fn key_by(spec: &ViewSpec, event: EventKey, by: Option<Id>) -> ViewKey {
    debug_assert!(spec.by.is_some() && spec.minutes == Minutes::None, "{} is by something", spec.name);
    ViewKey { tenant: event.tenant, event: event.event, view: Id::const_new(spec.name), minute_ms: None, by }
}

/// The key of a row about a minute.
fn key_at(spec: &ViewSpec, event: EventKey, minute_ms: i64) -> ViewKey {
    debug_assert!(spec.minutes != Minutes::None, "{} is by minutes", spec.name);
    let view = Id::const_new(spec.name);
    ViewKey { tenant: event.tenant, event: event.event, view, minute_ms: Some(minute_ms), by: None }
}

/// A row of numbers that are all known.
fn numbers<const N: usize>(numbers: [i64; N]) -> ViewRow {
    ViewRow { numbers: numbers.map(Some).to_vec(), team: None }
}
