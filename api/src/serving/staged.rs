//! What changes of an event while a change of its rules is under way: collected, and built into its boards at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::board::{BoardHeader, BoardRow, FirstSolve, View, Worth};
use gravity_events::publish::BoardsEpoch;

use super::apply::{EventChanges, by_event};

/// What an (event, view) will be told. Inner `None`: gone.
#[derive(Default)]
struct Staged {
    tenant: Id,
    header: Option<Option<Arc<BoardHeader>>>,
    rows: BTreeMap<Id, Option<Arc<BoardRow>>>,
    firsts: BTreeMap<Id, Option<FirstSolve>>,
    worths: BTreeMap<Id, Option<Arc<Worth>>>,
}

/// By (view, event).
#[derive(Default)]
pub(super) struct Behind(BTreeMap<(View, Id), Staged>);

/// What came from behind gates.
pub(super) struct Released(Vec<((View, Id), Staged)>);

impl Behind {
    /// Takes in what an epoch stages, and lets out what is behind the gates that it closes.
    pub(super) fn pass(&mut self, epoch: &BoardsEpoch) -> Released {
        if epoch.snapshot {
            // It holds everything.
            self.0.clear();
        }
        for ((view, event), changes) in by_event(&epoch.staged, &[]) {
            let staged = self.0.entry((view, event.clone())).or_default();
            staged.tenant = changes.tenant;
            if let Some(header) = changes.header {
                staged.header = Some(header.cloned());
            }
            staged.rows.extend(changes.rows.into_iter().map(|(team, row)| (team.clone(), row.cloned())));
            staged.firsts.extend(changes.firsts.into_iter().map(|(problem, first)| (problem.clone(), first.cloned())));
            staged.worths.extend(changes.worths.into_iter().map(|(problem, worth)| (problem.clone(), worth.cloned())));
        }
        let closed = epoch.gates.iter().filter(|(_, is_open)| !is_open).map(|(event, _)| event);
        let both = closed.flat_map(|event| [View::Public, View::Jury].map(|view| (view, event.clone())));
        Released(both.filter_map(|at| self.0.remove(&at).map(|staged| (at, staged))).collect())
    }
}

impl Released {
    /// Adds it to what an epoch changes.
    pub(super) fn add_to<'a>(&'a self, events: &mut BTreeMap<(View, &'a Id), EventChanges<'a>>) {
        for ((view, event), staged) in &self.0 {
            let changes = events.entry((*view, event)).or_default();
            changes.tenant = staged.tenant.clone();
            if let Some(header) = &staged.header {
                changes.header = Some(header.as_ref());
            }
            changes.rows.extend(staged.rows.iter().map(|(team, row)| (team, row.as_ref())));
            changes.firsts.extend(staged.firsts.iter().map(|(problem, first)| (problem, first.as_ref())));
            changes.worths.extend(staged.worths.iter().map(|(problem, worth)| (problem, worth.as_ref())));
        }
    }
}
