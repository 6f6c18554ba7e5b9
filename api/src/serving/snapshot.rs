//! A consistent copy of every board, to be checked against a recomputation.

use std::collections::BTreeSet;
use std::sync::Arc;

use gravity_events::board::View;
use gravity_events::{Id, Topic};

use super::Index;
use super::row::{RankedRow, TeamRow};
use super::state::{EventBoards, HeaderState};

/// Everything that the index held at one epoch.
pub struct BoardsSnapshot {
    /// The epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// The first offset of each partition that is not in it.
    pub bound: Vec<(Topic, u32, u64)>,
    /// Judgements without their submission, per (tenant, event), where there are any.
    pub orphans: Vec<(Id, Id, i64)>,
    /// Events in which a change of rules is under way: they are shown as they were when it began.
    pub changing: BTreeSet<Id>,
    /// Every (event, view) with a header: public before jury, by event id.
    pub events: Vec<EventSnapshot>,
}

/// One (event, view) of a [`BoardsSnapshot`].
pub struct EventSnapshot {
    /// Header and first solves.
    pub header: Arc<HeaderState>,
    boards: Arc<EventBoards>,
}

impl BoardsSnapshot {
    pub(super) fn of(index: Index) -> BoardsSnapshot {
        let events = index.public.into_values().chain(index.jury.into_values());
        BoardsSnapshot {
            epoch: index.epoch,
            now_ms: index.now_ms,
            bound: index.bound.into_iter().map(|((topic, partition), offset)| (topic, partition, offset)).collect(),
            orphans: index.orphans.into_iter().map(|((event, tenant), n)| (tenant, event, n)).collect(),
            changing: index.changing,
            events: events.filter_map(|boards| Some(EventSnapshot { header: boards.head.clone()?, boards })).collect(),
        }
    }

    /// One (event, view).
    pub fn event(&self, event: &str, view: View) -> Option<&EventSnapshot> {
        self.events.iter().find(|e| e.header.event == event && e.header.view == view)
    }
}

impl EventSnapshot {
    /// Every team's row, by natural order of id.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<TeamRow>> {
        self.boards.teams.iter_from(0)
    }

    /// The boards that are shown: (division, version), by division.
    pub fn versions(&self) -> Vec<(Id, u64)> {
        let shown = |(division, board): (&Id, &super::state::Board)| {
            Some((division.clone(), board.shown.as_ref()?.newest().version))
        };
        self.boards.boards.iter().filter_map(shown).collect()
    }

    /// A board as it is shown: its version and its rows in order.
    pub fn ranked(&self, division: &str) -> Option<(u64, Vec<RankedRow>)> {
        let state = self.boards.boards.get(division)?.shown.as_ref()?.newest();
        Some((state.version, state.window(0, usize::MAX)))
    }
}
