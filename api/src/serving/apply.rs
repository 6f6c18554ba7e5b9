//! Applying a committed epoch: build the changed events aside, swap them in together, wake the streams.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gravity_events::board::{BoardHeader, BoardKey, BoardRow, BoardValue, FirstSolve, OVERALL, View, Worth};
use gravity_events::publish::{BoardChange, BoardVersion, BoardsEpoch};
use gravity_events::{Id, natural_cmp};

use super::row::{TeamRow, name_key};
use super::sorted::Place;
use super::state::{BoardState, Channel, EventBoards, HeaderState, Shown};
use super::{Boards, BoardsOptions, Index, bulk};

/// What an epoch says of one (event, view). Inner `None`: gone.
#[derive(Default)]
pub(super) struct EventChanges<'a> {
    pub(super) tenant: Id,
    pub(super) header: Option<Option<&'a Arc<BoardHeader>>>,
    pub(super) rows: BTreeMap<&'a Id, Option<&'a Arc<BoardRow>>>,
    pub(super) firsts: BTreeMap<&'a Id, Option<&'a FirstSolve>>,
    pub(super) worths: BTreeMap<&'a Id, Option<&'a Arc<Worth>>>,
    versions: BTreeMap<&'a Id, u64>,
}

/// What only whoever applies epochs has.
#[derive(Default)]
pub(super) struct Writer {
    /// The last identity that was given.
    last_id: u64,
    /// Events whose rules are being changed, as they will be shown when that is done.
    behind: BTreeMap<(View, Id), Behind>,
}

/// Boards behind a gate. Every team's row changes there once, a few in each epoch.
struct Behind {
    boards: EventBoards,
    /// Where each team's row is, so that nobody searches for it among all; None once teams came or went meanwhile.
    places: Option<HashMap<Id, Place>>,
}

impl Behind {
    fn of(boards: EventBoards) -> Behind {
        let places = Some(boards.teams.places().map(|(place, row)| (row.team.clone(), place)).collect());
        Behind { boards, places }
    }
}

/// For boards to be built anew one of so many rows must change.
const BULK_PART: usize = 4;

impl Boards {
    pub(super) fn apply(&self, epoch: &BoardsEpoch) {
        let mut writer = self.writer.lock();
        // Only this thread changes the index, so that what is read here stays true until the swap.
        let mut next = self.index.read().clone();
        if next.started && epoch.epoch <= next.epoch && !epoch.snapshot {
            tracing::warn!(epoch = epoch.epoch, newest = next.epoch, "an epoch came again: ignored");
            return;
        }
        if next.started && epoch.epoch < next.epoch {
            tracing::error!(epoch = epoch.epoch, newest = next.epoch, "the boards went back to an older epoch");
        }
        if epoch.snapshot {
            // It holds everything.
            writer.behind.clear();
        }
        let Writer { last_id, behind } = &mut *writer;
        let mut wake = Vec::new();
        let replaced = if epoch.snapshot {
            let old = next;
            next = Index::default();
            Some(old)
        } else {
            None
        };
        for (event, is_open) in &epoch.gates {
            match is_open {
                true => drop(next.changing.insert(event.clone())),
                false => drop(next.changing.remove(event)),
            }
        }
        for ((view, event), changes) in by_event(&epoch.staged, &[]) {
            let at = (view, event.clone());
            let begin = || Behind::of(next.boards_of(view, event, &changes.tenant));
            let Behind { boards, places } = behind.remove(&at).unwrap_or_else(begin);
            let mut build = Build {
                next: boards,
                old: None,
                next_id: last_id,
                epoch: epoch.epoch,
                options: &self.options,
                is_behind: true,
                places,
            };
            build.rows_and_header(&changes);
            behind.insert(at, Behind { boards: build.next, places: build.places });
        }
        let mut changes = by_event(&epoch.changes, &epoch.versions);
        for (event, _) in epoch.gates.iter().filter(|(_, is_open)| !is_open) {
            for view in [View::Public, View::Jury] {
                if behind.contains_key(&(view, event.clone())) {
                    changes.entry((view, event)).or_default();
                }
            }
        }
        debug_assert!(
            changes.keys().all(|(view, event)| {
                !behind.contains_key(&(*view, (*event).clone())) || epoch.gates.contains(&((*event).clone(), false))
            }),
            "what changes of an event is staged while its gate is open"
        );
        let mut prepared: BTreeMap<(View, Id), EventBoards> = BTreeMap::new();
        for (view, event) in changes.keys() {
            let at = (*view, (*event).clone());
            prepared.extend(behind.remove(&at).map(|behind| (at, behind.boards)));
        }
        bulk::rank_anew(prepared.values_mut().collect());
        for ((view, event), changes) in changes {
            let replaced = replaced.as_ref().and_then(|old| old.side(view).get(event)).cloned();
            // What was prepared behind a gate goes on from the versions that are shown.
            let prepared = prepared.remove(&(view, event.clone()));
            let shown = prepared.as_ref().and_then(|_| next.side(view).get(event).cloned());
            let mut build = Build {
                next: prepared.unwrap_or_else(|| next.boards_of(view, event, &changes.tenant)),
                old: replaced.as_deref().or(shown.as_deref()),
                next_id: last_id,
                epoch: epoch.epoch,
                options: &self.options,
                is_behind: false,
                places: None,
            };
            build.rows_and_header(&changes);
            build.versions(&changes, &mut wake);
            let side = next.side_mut(view);
            if build.next.is_empty() {
                side.remove(event);
            } else {
                let built = Arc::new(build.next);
                side.insert(event.clone(), built);
            }
        }
        next.started = true;
        next.epoch = epoch.epoch;
        next.now_ms = epoch.now_ms;
        for (topic, partition, offset) in &epoch.bound {
            next.bound.insert((*topic, *partition), *offset);
        }
        for (tenant, event, orphans) in &epoch.orphans {
            let key = (event.clone(), tenant.clone());
            match orphans {
                0 => next.orphans.remove(&key),
                n => next.orphans.insert(key, *n),
            };
        }
        let previous = std::mem::replace(&mut *self.index.write(), next);
        // Boards that are gone drop their channels here, which ends their streams.
        drop((previous, replaced));
        for (channel, shown) in wake {
            channel.send_replace(Some(shown));
        }
        for (event, note) in &epoch.notes {
            self.changes.take(event, note);
        }
        self.epochs.send_replace(epoch.epoch);
    }
}

pub(super) fn by_event<'a>(
    changes: &'a [BoardChange],
    versions: &'a [BoardVersion],
) -> BTreeMap<(View, &'a Id), EventChanges<'a>> {
    let mut events: BTreeMap<(View, &Id), EventChanges<'a>> = BTreeMap::new();
    for change in changes {
        let (tenant, event) = change.key.event();
        let changes = events.entry((change.view, event)).or_default();
        changes.tenant = tenant.clone();
        match (&change.key, &change.value) {
            (BoardKey::Header { .. }, None) => changes.header = Some(None),
            (BoardKey::Header { .. }, Some(BoardValue::Header(header))) => changes.header = Some(Some(header)),
            (BoardKey::Row { team, .. }, None) => drop(changes.rows.insert(team, None)),
            (BoardKey::Row { team, .. }, Some(BoardValue::Row(row))) => drop(changes.rows.insert(team, Some(row))),
            (BoardKey::First { problem, .. }, None) => drop(changes.firsts.insert(problem, None)),
            (BoardKey::First { problem, .. }, Some(BoardValue::First(first))) => {
                changes.firsts.insert(problem, Some(first));
            }
            (BoardKey::Worth { problem, .. }, None) => drop(changes.worths.insert(problem, None)),
            (BoardKey::Worth { problem, .. }, Some(BoardValue::Worth(worth))) => {
                changes.worths.insert(problem, Some(worth));
            }
            (key, value) => tracing::error!(?key, ?value, "a board's key and value do not belong together: ignored"),
        }
    }
    for version in versions {
        let changes = events.entry((version.view, &version.event)).or_default();
        changes.tenant = version.tenant.clone();
        changes.versions.insert(&version.division, version.version);
    }
    events
}

/// One (event, view) on its way into the next epoch.
struct Build<'a> {
    next: EventBoards,
    /// What a snapshot replaces: its rows are used again where they are equal, its boards' versions and streams go on.
    old: Option<&'a EventBoards>,
    next_id: &'a mut u64,
    epoch: u64,
    options: &'a BoardsOptions,
    /// It is not shown yet: rows are put in their places on the boards when it is.
    is_behind: bool,
    /// Where each team's row is, where that is known: [`Behind`].
    places: Option<HashMap<Id, Place>>,
}

impl Build<'_> {
    fn take_id(&mut self) -> u64 {
        *self.next_id += 1;
        *self.next_id
    }

    fn rows_and_header(&mut self, changes: &EventChanges<'_>) {
        // A first solve marks a cell of its team's row, so that row changes too.
        let mut marked: BTreeSet<Id> = BTreeSet::new();
        for (problem, first) in &changes.firsts {
            let old = match first {
                Some(first) => self.next.firsts.insert((*problem).clone(), (*first).clone()),
                None => self.next.firsts.remove(*problem),
            };
            marked.extend(old.map(|first| first.team));
            marked.extend(first.map(|first| first.team.clone()));
        }
        for (problem, worth) in &changes.worths {
            match worth {
                Some(worth) => drop(self.next.worths.insert((*problem).clone(), (*worth).clone())),
                None => drop(self.next.worths.remove(*problem)),
            }
        }
        if let Some(header) = changes.header {
            self.next.header = header.cloned();
            self.next.tenant = changes.tenant.clone();
        }
        if changes.header.is_some() || !changes.firsts.is_empty() || !changes.worths.is_empty() {
            self.next.head = self.next.header.clone().map(|header| {
                Arc::new(HeaderState {
                    tenant: self.next.tenant.clone(),
                    event: self.next.event.clone(),
                    view: self.next.view,
                    epoch: self.epoch,
                    header,
                    firsts: self.next.firsts.clone(),
                    worths: self.next.worths.clone(),
                })
            });
        }
        let many = changes.rows.len();
        if many >= self.options.bulk_rows && many >= self.next.teams.len() / BULK_PART {
            self.rows_anew(changes, &marked);
            return;
        }
        marked.extend(changes.rows.keys().map(|team| (*team).clone()));
        for team in marked {
            let place = match &self.places {
                Some(places) => places.get(&team).copied(),
                None => self.next.teams.find_place(|row| natural_cmp(&row.team, &team)),
            };
            let old = place.map(|place| self.next.teams.at(place).clone());
            let row = match changes.rows.get(&team) {
                Some(row) => row.cloned(),
                None => old.as_ref().map(|old| old.row.clone()),
            };
            let new = row.map(|row| self.team_row(team, row, old.as_ref()));
            self.replace(place, old, new);
        }
    }

    /// The same for many rows: all boards are built anew.
    fn rows_anew(&mut self, changes: &EventChanges<'_>, marked: &BTreeSet<Id>) {
        let mut rows = Vec::with_capacity(self.next.teams.len() + changes.rows.len());
        let mut new = changes.rows.clone();
        let old: Vec<Arc<TeamRow>> = self.next.teams.iter_from(0).cloned().collect();
        for old in old {
            let row = match new.remove(&old.team) {
                Some(row) => row.cloned(),
                None if marked.contains(&old.team) => Some(old.row.clone()),
                None => {
                    rows.push(old);
                    continue;
                }
            };
            rows.extend(row.map(|row| self.team_row(old.team.clone(), row, Some(&old))));
        }
        let count = rows.len();
        for (team, row) in new {
            rows.extend(row.map(|row| self.team_row(team.clone(), row.clone(), None)));
        }
        if rows.len() > count {
            rows.sort_by(|a, b| natural_cmp(&a.team, &b.team));
        }
        self.places = None;
        bulk::fill(&mut self.next, rows);
    }

    /// The row to keep, which is one that exists already where nothing about it changed.
    fn team_row(&mut self, team: Id, row: Arc<BoardRow>, old: Option<&Arc<TeamRow>>) -> Arc<TeamRow> {
        let first = |problem: &Id| self.next.firsts.get(problem).is_some_and(|first| first.team == team);
        // Few teams are first at anything.
        let cells = if self.next.firsts.values().any(|first| first.team == team) { &row.cells[..] } else { &[] };
        let solved = cells.iter().filter(|cell| cell.solved_min.is_some());
        let firsts: Vec<Id> = solved.map(|cell| cell.problem.clone()).filter(first).collect();
        let same = |other: &&Arc<TeamRow>| other.row == row && other.firsts == firsts;
        let before = self.old.and_then(|old| old.team(&team));
        match old.filter(same).or(before.filter(same)) {
            Some(same) => same.clone(),
            None => {
                let named = |other: &&Arc<TeamRow>| other.row.name == row.name;
                let name_key = old.filter(named).map_or_else(|| name_key(&row.name), |old| old.name_key.clone());
                Arc::new(TeamRow { team, row, firsts, name_key, serial: self.take_id() })
            }
        }
    }

    fn replace(&mut self, place: Option<Place>, old: Option<Arc<TeamRow>>, new: Option<Arc<TeamRow>>) {
        if let (Some(old), Some(new)) = (&old, &new)
            && Arc::ptr_eq(old, new)
        {
            return;
        }
        match (place, &old, &new) {
            (Some(place), _, Some(new)) => self.next.teams.put(place, new.clone()),
            (_, Some(old), None) => {
                self.places = None;
                self.next.teams.remove(old);
            }
            (None, _, Some(new)) => {
                self.places = None;
                self.next.teams.insert(new.clone());
            }
            (_, None, None) => {}
        }
        let divisions = |row: Option<&Arc<TeamRow>>| row.map(|row| divisions(row)).unwrap_or_default();
        let (before, after) = (divisions(old.as_ref()), divisions(new.as_ref()));
        for division in before.union(&after) {
            let old = old.as_ref().filter(|_| before.contains(division));
            let new = new.as_ref().filter(|_| after.contains(division));
            let board = self.next.boards.entry(division.clone()).or_default();
            if self.is_behind {
                board.recount(old, new);
            } else {
                board.change(old, new);
            }
        }
    }

    /// Shows the boards that have a new version as they are now.
    fn versions(&mut self, changes: &EventChanges<'_>, wake: &mut Vec<(Channel, Arc<Shown>)>) {
        let Some(head) = self.next.head.clone() else {
            // Without a header there is nothing to show: what was shown is gone, and its streams end.
            for board in self.next.boards.values_mut() {
                (board.shown, board.channel) = Default::default();
            }
            return;
        };
        for (division, version) in &changes.versions {
            let id = self.take_id();
            let (old, teams) = (self.old, self.next.teams.clone());
            let board = self.next.boards.entry((*division).clone()).or_default();
            if let Some(old) = old.and_then(|old| old.boards.get(*division)).filter(|old| old.shown.is_some()) {
                (board.shown, board.channel) = (old.shown.clone(), old.channel.clone());
            }
            let state = BoardState {
                id,
                version: *version,
                epoch: self.epoch,
                division: (*division).clone(),
                head: head.clone(),
                rows: board.rows.clone(),
                teams,
                counts: board.counts.clone(),
            };
            let shown = match &board.shown {
                None => Shown::first(Arc::new(state)),
                Some(shown) if shown.newest().version < *version => {
                    shown.with(Arc::new(state), self.options.kept_versions)
                }
                Some(shown)
                    if shown.newest().version == *version
                        && shown.newest().shows(&board.rows, &board.counts, &head) =>
                {
                    continue;
                }
                Some(shown) => {
                    // Believe the pipeline, whose state is the durable one, but mix nothing up with what was shown.
                    let (event, newest) = (&self.next.event, shown.newest().version);
                    tracing::error!(%event, %division, version, newest, "a board's version came again or went back");
                    Shown::first(Arc::new(state))
                }
            };
            let shown = Arc::new(shown);
            board.shown = Some(shown.clone());
            wake.push((board.channel.clone(), shown));
        }
    }
}

/// Every board that a row is on.
fn divisions(row: &TeamRow) -> BTreeSet<Id> {
    row.row.divisions.iter().cloned().chain([Id::const_new(OVERALL)]).collect()
}
