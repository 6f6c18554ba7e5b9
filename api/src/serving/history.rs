//! What boards were: read back from their topics, which keep every change of a board for as long as its event lives.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use gravity_events::board::{BoardKey, BoardValue, OVERALL, View};
use gravity_events::body::{BoardChanged, Scoring};
use gravity_events::publish::{BoardChange, BoardVersion, BoardsEpoch};
use gravity_events::query::QueryError;
use gravity_events::{Body, Id, Record, Topic, codec};
use gravity_ingest::log::{Log, LogError, read_on};
use parking_lot::Mutex;
use serde::Serialize;

use super::cursor::Cursor;
use super::{Boards, BoardsOptions, PageQuery, ServeError, Window};

/// Boards of old versions that are kept, for the next page.
const KEPT: usize = 8;
/// Points of a team's series that are kept, the newest.
const POINTS_MAX: usize = 2_000;
/// Teams of one answer.
pub const TEAMS_MAX: usize = 100;

/// Which version of which board.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OldVersion {
    event: Id,
    view: View,
    division: Id,
    version: u64,
}

/// Reads the topics of boards.
#[derive(Default)]
pub(super) struct History {
    log: OnceLock<Arc<dyn Log>>,
    public: Mutex<AllSeries>,
    jury: Mutex<AllSeries>,
    versions: Mutex<VecDeque<(OldVersion, Arc<Boards>)>>,
}

/// Scores by the time at which they were reached.
type Points = BTreeMap<i64, i64>;

/// The series of all teams of a view, up to where its topic was read.
#[derive(Default)]
struct AllSeries {
    read: BTreeMap<u32, u64>,
    points: BTreeMap<(Id, Id), Points>,
}

/// Scores over time of the first teams of a board.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    event: Id,
    view: &'static str,
    division: Id,
    version: u64,
    scoring: Scoring,
    teams: Vec<TeamSeries>,
}

#[derive(Clone, Debug, Serialize)]
struct TeamSeries {
    rank: Option<u32>,
    team: Id,
    name: String,
    /// (milliseconds since 1970, the score from then on), in order.
    points: Vec<(i64, i64)>,
}

fn topic(view: View) -> Topic {
    match view {
        View::Public => Topic::BoardsPublic,
        View::Jury => Topic::BoardsJury,
    }
}

/// Every change of boards of a view from these offsets on; they move on to what was read.
fn each_change(
    log: &dyn Log,
    view: View,
    read: &mut BTreeMap<u32, u64>,
    mut each: impl FnMut(Id, BoardChanged),
) -> Result<(), LogError> {
    read_on(log, topic(view), read, |entry| {
        if let Ok(Record { body: Body::BoardChanged(change), event: Some(event), .. }) = codec::decode(&entry.value) {
            each(event, change);
        }
    })
}

impl AllSeries {
    fn take(&mut self, event: Id, change: BoardChanged) {
        let BoardKey::Row { team, .. } = change.key else { return };
        let Some(BoardValue::Row(row)) = change.value else {
            self.points.remove(&(event, team));
            return;
        };
        let points = self.points.entry((event, team)).or_default();
        // What was judged away has gone, and a correction belongs to the last time at which the team scored.
        drop(points.split_off(&row.last_scored_at_ms));
        let score = row.score();
        if points.last_key_value().is_none_or(|(_, last)| *last != score) {
            points.insert(row.last_scored_at_ms, score);
        }
        while points.len() > POINTS_MAX {
            points.pop_first();
        }
    }
}

/// The boards of an event as their topic had them at a version; the topic no longer has it: none.
fn old_boards(log: &dyn Log, of: &OldVersion, options: BoardsOptions) -> Result<Option<Arc<Boards>>, LogError> {
    // The overall version moves with every change; a division's is looked up in it.
    let mut upto = if of.division == OVERALL { of.version } else { u64::MAX };
    if of.division != OVERALL {
        each_change(log, of.view, &mut BTreeMap::new(), |event, change| {
            let version = |division: &str| change.versions.iter().find(|(d, _)| d == division).map(|(_, v)| *v);
            if event == of.event && version(&of.division).is_some_and(|v| v > of.version) {
                upto = upto.min(version(OVERALL).unwrap_or(u64::MAX).saturating_sub(1));
            }
        })?;
    }
    let mut state: BTreeMap<BoardKey, BoardValue> = BTreeMap::new();
    let mut tenant = None;
    each_change(log, of.view, &mut BTreeMap::new(), |event, change| {
        let overall = change.versions.iter().find(|(d, _)| d == OVERALL).map_or(u64::MAX, |(_, v)| *v);
        if event != of.event || overall > upto {
            return;
        }
        if let BoardKey::Header { tenant: of_header, .. } = &change.key {
            tenant = Some(of_header.clone());
        }
        match change.value {
            Some(value) => drop(state.insert(change.key, value)),
            None => drop(state.remove(&change.key)),
        }
    })?;
    let Some(tenant) = tenant else { return Ok(None) };
    let version = |division: Id, version| BoardVersion {
        tenant: tenant.clone(),
        event: of.event.clone(),
        view: of.view,
        division,
        version,
    };
    let mut versions = vec![version(OVERALL.into(), if of.division == OVERALL { of.version } else { 1 })];
    if of.division != OVERALL {
        versions.push(version(of.division.clone(), of.version));
    }
    let view = of.view;
    let changes = state.into_iter().map(|(key, value)| BoardChange { view, key, value: Some(value) }).collect();
    let boards = Boards::new(options);
    boards.apply(&BoardsEpoch { epoch: 1, changes, versions, ..BoardsEpoch::default() });
    Ok(Some(boards))
}

impl Boards {
    /// Says where the topics of boards are. Only the first one counts.
    pub fn remember_with(&self, log: Arc<dyn Log>) {
        let _ = self.history.log.set(log);
    }

    fn topics(&self) -> Result<Arc<dyn Log>, ServeError> {
        let none = || QueryError::Unavailable("this process does not read the topics of boards".into());
        Ok(self.history.log.get().cloned().ok_or_else(none)?)
    }

    /// A board as it was shown at a version that is no longer in memory. Reads the whole topic: costs some seconds where
    /// a million changes were made.
    pub(super) async fn at_version(self: &Arc<Boards>, query: &PageQuery) -> Result<Arc<Boards>, ServeError> {
        let version = match &query.window {
            Window::Cursor(text) => Some(Cursor::verify(text, &self.options.key)?.version),
            Window::From(_) => query.at,
        };
        let Some(version) = version else { return Ok(self.clone()) };
        let (event, view, division) = (query.event.clone(), query.view, query.division.clone());
        let of = OldVersion { event, view, division, version };
        // Unknown boards, and versions that are yet to come.
        match self.shown(&of.event, of.view, &of.division)?.at(of.version) {
            Ok(_) => return Ok(self.clone()),
            Err(ServeError::VersionGone { .. }) if of.version > 0 => {}
            Err(other) => return Err(other),
        }
        if let Some((_, boards)) = self.history.versions.lock().iter().find(|(kept, _)| *kept == of) {
            return Ok(boards.clone());
        }
        let (log, options) = (self.topics()?, BoardsOptions { kept_versions: 1, ..self.options.clone() });
        let asked = of.clone();
        let found = self.compute(move || old_boards(&*log, &asked, options)).await?;
        let boards = match found.map_err(|e| QueryError::Unavailable(e.to_string()))? {
            Some(boards) => boards,
            None => return Err(ServeError::VersionGone { version: of.version, oldest: of.version + 1 }),
        };
        let mut versions = self.history.versions.lock();
        versions.push_front((of, boards.clone()));
        versions.truncate(KEPT);
        Ok(boards)
    }

    /// Scores over time of the first `top` teams of a board, and of `teams` besides.
    pub async fn series(
        self: &Arc<Boards>,
        (event, view, division): (&str, View, &str),
        top: usize,
        teams: &[Id],
    ) -> Result<Series, ServeError> {
        let state = self.shown(event, view, division)?.newest().clone();
        let log = self.topics()?;
        let boards = self.clone();
        let read = move || {
            let side = if view == View::Public { &boards.history.public } else { &boards.history.jury };
            let mut side = side.lock();
            let AllSeries { read, .. } = &mut *side;
            let mut offsets = std::mem::take(read);
            let done = each_change(&*log, view, &mut offsets, |event, change| side.take(event, change));
            side.read = offsets;
            done
        };
        self.compute(read).await?.map_err(|e| QueryError::Unavailable(e.to_string()))?;
        let mut rows = state.window(0, top.min(TEAMS_MAX));
        for team in teams.iter().take(TEAMS_MAX) {
            if let Some(at) = state.position(team).filter(|at| *at >= rows.len().min(top)) {
                rows.extend(state.window(at, 1));
            }
        }
        let side = if view == View::Public { &self.history.public } else { &self.history.jury };
        let side = side.lock();
        let of_team = |row: super::RankedRow| {
            let team = row.row.team.clone();
            let points = side.points.get(&(state.head.event.clone(), team.clone()));
            TeamSeries {
                rank: row.rank,
                name: row.row.row.name.clone(),
                points: points.into_iter().flatten().map(|(at_ms, score)| (*at_ms, *score)).collect(),
                team,
            }
        };
        Ok(Series {
            event: state.head.event.clone(),
            view: view.name(),
            division: state.division.clone(),
            version: state.version,
            scoring: state.head.header.scoring,
            teams: rows.into_iter().map(of_team).collect(),
        })
    }
}
