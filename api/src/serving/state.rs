//! What the index holds of an event: its rows, its boards, and the versions of each that are kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gravity_events::board::{BoardHeader, BoardRow, FirstSolve, OVERALL, View, Worth};
use gravity_events::{Id, natural_cmp};
use tokio::sync::watch;

use super::error::ServeError;
use super::row::{ByRank, ByTeam, Order, RankedRow, TeamRow};
use super::sorted::Sorted;

/// What all boards of an (event, view) say besides rows.
#[derive(Clone, Debug)]
pub struct HeaderState {
    /// Whose event.
    pub tenant: Id,
    /// Which event.
    pub event: Id,
    /// Public or jury.
    pub view: View,
    /// The epoch that it came with; not for the public.
    pub epoch: u64,
    /// The header.
    pub header: Arc<BoardHeader>,
    /// Who solved each problem first.
    pub firsts: BTreeMap<Id, FirstSolve>,
    /// What problems are worth now, where solves decide.
    pub worths: BTreeMap<Id, Arc<Worth>>,
}

impl HeaderState {
    /// Now in a freeze: one was announced, or the event ended with one configured, and it is not thawed.
    pub fn frozen(&self) -> bool {
        let h = &self.header;
        h.thawed_at_ms.is_none() && (h.frozen_at_ms.is_some() || (h.ended_at_ms.is_some() && h.freeze_ms.is_some()))
    }

    pub(super) fn same_content(&self, other: &HeaderState) -> bool {
        (&self.tenant, &self.header, &self.firsts, &self.worths)
            == (&other.tenant, &other.header, &other.firsts, &other.worths)
    }
}

/// Rows of a board that solved, and that tried, a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) solved: u32,
    pub(super) tried: u32,
}

/// One version of one board; never changes.
pub(super) struct BoardState {
    /// Unique in the process, so that a cache never mixes up two states, whatever their versions.
    pub(super) id: u64,
    pub(super) version: u64,
    pub(super) epoch: u64,
    pub(super) division: Id,
    pub(super) head: Arc<HeaderState>,
    pub(super) rows: Sorted<ByRank>,
    pub(super) teams: Sorted<ByTeam>,
    pub(super) counts: Arc<BTreeMap<Id, Counts>>,
}

impl BoardState {
    /// The rows of a window, with their ranks.
    pub(super) fn window(&self, from: usize, limit: usize) -> Vec<RankedRow> {
        let limit = limit.min(self.rows.len().saturating_sub(from));
        let mut window: Vec<RankedRow> = Vec::with_capacity(limit);
        for (at, row) in self.rows.iter_from(from).take(limit).enumerate() {
            let rank = match window.last() {
                _ if row.row.unranked() => None,
                Some(above) if above.row.score_cmp(row).is_eq() => above.rank,
                Some(_) => Some(rank_of(from + at)),
                None => Some(rank_of(self.rows.partition_point(|other| other.score_cmp(row).is_lt()))),
            };
            window.push(RankedRow { rank, row: row.clone() });
        }
        window
    }

    /// A team's position on this board.
    pub(super) fn position(&self, team: &str) -> Option<usize> {
        let row = self.teams.find(|other| natural_cmp(&other.team, team))?;
        let on_board = self.division == OVERALL || row.row.divisions.contains(&self.division);
        on_board.then(|| self.rows.partition_point(|other| ByRank::order(other, row).is_lt()))
    }

    /// Whether `rows`, `counts` and `head` would be shown exactly like this.
    pub(super) fn shows(&self, rows: &Sorted<ByRank>, counts: &BTreeMap<Id, Counts>, head: &HeaderState) -> bool {
        self.head.same_content(head)
            && *self.counts == *counts
            && self.rows.len() == rows.len()
            && self.rows.iter_from(0).zip(rows.iter_from(0)).all(|(a, b)| a.serial == b.serial)
    }
}

fn rank_of(above: usize) -> u32 {
    u32::try_from(above + 1).unwrap_or(u32::MAX)
}

/// The versions of a board that are kept; at least one.
#[derive(Clone)]
pub(super) struct Shown {
    states: VecDeque<Arc<BoardState>>,
}

impl Shown {
    pub(super) fn first(state: Arc<BoardState>) -> Shown {
        Shown { states: VecDeque::from([state]) }
    }

    /// These versions and a newer one, without those that are no longer kept.
    pub(super) fn with(&self, state: Arc<BoardState>, kept: usize) -> Shown {
        let skip = (self.states.len() + 1).saturating_sub(kept.max(1));
        Shown { states: self.states.iter().skip(skip).cloned().chain([state]).collect() }
    }

    pub(super) fn newest(&self) -> &Arc<BoardState> {
        self.states.back().expect("a shown board has a version")
    }

    /// The state of a version, if it is kept.
    pub(super) fn kept(&self, version: u64) -> Option<&Arc<BoardState>> {
        let at = self.states.binary_search_by_key(&version, |state| state.version).ok()?;
        self.states.get(at)
    }

    /// The state of a version, or why there is none.
    pub(super) fn at(&self, version: u64) -> Result<&Arc<BoardState>, ServeError> {
        let newest = self.newest().version;
        if version > newest {
            return Err(ServeError::VersionNotYet { version, newest });
        }
        let oldest = self.states.front().map_or(newest, |state| state.version);
        self.kept(version).ok_or(ServeError::VersionGone { version, oldest })
    }
}

/// What streams wait on: the versions to show; `None` before the first. Dropped with the board, which ends its streams.
pub(super) type Channel = Arc<watch::Sender<Option<Arc<Shown>>>>;

/// One board of an event: its rows as of the newest epoch, and the versions that are kept.
#[derive(Clone)]
pub(super) struct Board {
    pub(super) rows: Sorted<ByRank>,
    pub(super) counts: Arc<BTreeMap<Id, Counts>>,
    pub(super) shown: Option<Arc<Shown>>,
    pub(super) channel: Channel,
}

impl Default for Board {
    fn default() -> Self {
        let channel = Arc::new(watch::Sender::new(None));
        Board { rows: Sorted::default(), counts: Arc::default(), shown: None, channel }
    }
}

impl Board {
    /// Takes a row out, puts one in, or puts one in the place of another.
    pub(super) fn change(&mut self, old: Option<&Arc<TeamRow>>, new: Option<&Arc<TeamRow>>) {
        let same_place = old.zip(new).is_some_and(|(old, new)| ByRank::order(old, new).is_eq());
        let was_there = match (old, new) {
            (Some(old), Some(new)) if same_place => self.rows.replace(old, new.clone()),
            (Some(old), _) => self.rows.remove(old),
            (None, _) => false,
        };
        if let Some(new) = new.filter(|_| !(same_place && was_there)) {
            self.rows.insert(new.clone());
        }
        self.recount(old.filter(|_| was_there), new);
    }

    /// The part of [`Board::change`] that is about problems, not places.
    pub(super) fn recount(&mut self, old: Option<&Arc<TeamRow>>, new: Option<&Arc<TeamRow>>) {
        fn counted(row: &TeamRow) -> impl Iterator<Item = (&Id, bool)> {
            row.row.cells.iter().map(|c| (&c.problem, c.solved_min.is_some()))
        }
        if old.zip(new).is_some_and(|(old, new)| counted(old).eq(counted(new))) {
            return;
        }
        old.into_iter().for_each(|old| self.count(&old.row, -1));
        new.into_iter().for_each(|new| self.count(&new.row, 1));
    }

    fn count(&mut self, row: &BoardRow, by: i32) {
        if row.cells.is_empty() {
            return;
        }
        let counts = Arc::make_mut(&mut self.counts);
        for cell in &row.cells {
            let count = counts.entry(cell.problem.clone()).or_default();
            count.tried = count.tried.saturating_add_signed(by);
            if cell.solved_min.is_some() {
                count.solved = count.solved.saturating_add_signed(by);
            }
            if *count == Counts::default() {
                counts.remove(&cell.problem);
            }
        }
    }
}

/// One side, public or jury, of an event at one epoch. Cloned, changed and swapped in by the writer.
#[derive(Clone)]
pub(super) struct EventBoards {
    pub(super) tenant: Id,
    pub(super) event: Id,
    pub(super) view: View,
    pub(super) header: Option<Arc<BoardHeader>>,
    pub(super) firsts: BTreeMap<Id, FirstSolve>,
    pub(super) worths: BTreeMap<Id, Arc<Worth>>,
    /// Both of them for readers; `None` without a header.
    pub(super) head: Option<Arc<HeaderState>>,
    pub(super) teams: Sorted<ByTeam>,
    /// By division; [`OVERALL`] has every row.
    pub(super) boards: BTreeMap<Id, Board>,
}

impl EventBoards {
    pub(super) fn new(tenant: Id, event: Id, view: View) -> EventBoards {
        EventBoards {
            tenant,
            event,
            view,
            header: None,
            firsts: BTreeMap::new(),
            worths: BTreeMap::new(),
            head: None,
            teams: Sorted::default(),
            boards: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.header.is_none() && self.firsts.is_empty() && self.worths.is_empty() && self.teams.is_empty()
    }

    pub(super) fn team(&self, team: &str) -> Option<&Arc<TeamRow>> {
        self.teams.find(|row| natural_cmp(&row.team, team))
    }
}
