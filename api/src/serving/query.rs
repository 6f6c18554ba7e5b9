//! Questions about boards and their answers: pages, teams, the list of events.

use bytes::Bytes;
use gravity_events::Id;
use gravity_events::board::{OVERALL, View};
use serde::Serialize;

use super::cache::{Key, What};
use super::cursor::Cursor;
use super::error::ServeError;
use super::json::{BoardJson, NamesJson, RowJson, StateJson, TeamJson, encode, shown_epoch};
use super::state::{BoardState, EventBoards, Shown};
use super::{Boards, HeaderState};
use std::sync::Arc;

/// Rows of a page when none are asked for.
pub const LIMIT_DEFAULT: usize = 100;
/// Most rows of a page or a stream; more are cut to this.
pub const LIMIT_MAX: usize = 1_000;
/// Most names of one answer, and as many as come when no number is asked for.
pub const NAMES_MAX: usize = 5_000;
/// Rows above and below a team in its answer.
const NEIGHBOURS: usize = 3;

/// Which part of which board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// The event.
    pub event: Id,
    /// Public or jury.
    pub view: View,
    /// The division; empty for all.
    pub division: Id,
    /// The version; `None` for the newest. Not used with a cursor, which has its own.
    pub at: Option<u64>,
    /// Where it begins.
    pub window: Window,
    /// Rows at most: 1 or more, cut to [`LIMIT_MAX`], or [`NAMES_MAX`] for names.
    pub limit: usize,
}

/// What a page tells of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Rows,
    /// Team, name and organization.
    Names,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// At the row with this index.
    From(usize),
    /// Where an earlier page ended, in the version of that page.
    Cursor(String),
}

/// A page of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The version shown.
    pub version: u64,
    /// The entity tag, quoted.
    pub etag: String,
    /// The JSON.
    pub body: Bytes,
    /// Where the next page begins; `None` at the end, and for names. Also in the body.
    pub next_cursor: Option<String>,
}

/// A team's place on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamAnswer {
    /// The version shown.
    pub version: u64,
    /// The entity tag, quoted.
    pub etag: String,
    /// The JSON: row, position, neighbours.
    pub body: Bytes,
}

/// An event in the list of events, of its public view.
#[derive(Clone, Debug, Serialize)]
pub struct EventSummary {
    /// Whose event; not in the JSON.
    #[serde(skip)]
    pub tenant: Id,
    /// Its id.
    pub event: Id,
    /// Its name.
    pub name: String,
    /// Its long name.
    pub formal_name: Option<String>,
    /// Always `public`.
    pub view: View,
    /// Version of the overall board.
    pub version: u64,
    /// Now in a freeze.
    pub frozen: bool,
    /// `start_at`, `started_at`, ... of the board.
    #[serde(flatten)]
    state: StateJson,
}

impl EventSummary {
    pub(super) fn of(event: &EventBoards) -> Option<EventSummary> {
        event.head.as_ref()?;
        let state = event.boards.get(OVERALL)?.shown.as_ref()?.newest();
        let head: &HeaderState = &state.head;
        Some(EventSummary {
            tenant: head.tenant.clone(),
            event: head.event.clone(),
            name: head.header.name.clone(),
            formal_name: head.header.formal_name.clone(),
            view: head.view,
            version: state.version,
            frozen: head.frozen(),
            state: StateJson::of(head),
        })
    }
}

/// A page that was found but not encoded.
pub(super) struct Located {
    state: Arc<BoardState>,
    from: usize,
    limit: usize,
    part: Part,
    pub(super) etag: String,
}

impl Boards {
    /// One page. Errors: unknown event or division, version gone or not yet there, bad cursor, limit 0.
    pub fn page(&self, query: &PageQuery) -> Result<Page, ServeError> {
        Ok(self.encode_page(self.locate(query, Part::Rows)?))
    }

    /// A part of the names on a board, in its order, for a search; the errors of [`Boards::page`].
    pub fn names(&self, query: &PageQuery) -> Result<Page, ServeError> {
        Ok(self.encode_page(self.locate(query, Part::Names)?))
    }

    pub(super) fn locate(&self, query: &PageQuery, part: Part) -> Result<Located, ServeError> {
        let (limit_max, name) = match part {
            Part::Rows => (LIMIT_MAX, b"page".as_slice()),
            Part::Names => (NAMES_MAX, b"names".as_slice()),
        };
        let limit = checked_limit(query.limit, limit_max)?;
        let shown = self.shown(&query.event, query.view, &query.division)?;
        let (state, from) = match &query.window {
            Window::From(from) => (query.at.map_or_else(|| Ok(shown.newest()), |version| shown.at(version))?, *from),
            Window::Cursor(text) => self.follow(text, query, &shown)?,
        };
        let tag = self.tag(state, &[name, &from.to_le_bytes(), &limit.to_le_bytes()]);
        Ok(Located { state: state.clone(), from, limit, part, etag: tag })
    }

    fn follow<'a>(
        &self,
        text: &str,
        query: &PageQuery,
        shown: &'a Shown,
    ) -> Result<(&'a Arc<BoardState>, usize), ServeError> {
        let cursor = Cursor::verify(text, &self.options.key)?;
        let asked = (&query.event, query.view, &query.division);
        if (&cursor.event, cursor.view, &cursor.division) != asked {
            return Err(ServeError::BadCursor { problem: "belongs to another event, view or division" });
        }
        let from = usize::try_from(cursor.index).unwrap_or(usize::MAX);
        Ok((shown.at(cursor.version)?, from))
    }

    pub(super) fn encode_page(&self, located: Located) -> Page {
        let Located { state, from, limit, part, etag } = located;
        if part == Part::Names {
            let key = Key { state: state.id, what: What::Names { from, limit } };
            let body = self.cache(state.head.view).get(key, || encode(&NamesJson::of(&state, from, limit)));
            return Page { version: state.version, etag, body, next_cursor: None };
        }
        let end = from.saturating_add(limit);
        let next_cursor = (end < state.rows.len()).then(|| {
            let cursor = Cursor {
                event: state.head.event.clone(),
                view: state.head.view,
                division: state.division.clone(),
                version: state.version,
                index: end as u64,
            };
            cursor.sign(&self.options.key)
        });
        let key = Key { state: state.id, what: What::Page { from, limit } };
        let body = self.cache(state.head.view).get(key, || {
            encode(&BoardJson::of(&state, from, &state.window(from, limit), Some(next_cursor.as_deref())))
        });
        Page { version: state.version, etag, body, next_cursor }
    }

    /// A team's row, position and neighbours on the newest version of a board.
    pub fn team(&self, event: &str, view: View, division: &str, team: &str) -> Result<TeamAnswer, ServeError> {
        let shown = self.shown(event, view, division)?;
        let state = shown.newest();
        if state.position(team).is_none() {
            return Err(ServeError::UnknownTeam { team: team.into() });
        }
        let key = Key { state: state.id, what: What::Team(team.into()) };
        let body = self.cache(view).get(key, || team_json(state, team));
        Ok(TeamAnswer { version: state.version, etag: self.tag(state, &[b"team", team.as_bytes()]), body })
    }

    /// A strong entity tag: the version, and a tag of all else that the answer depends on.
    fn tag(&self, state: &BoardState, of: &[&[u8]]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.options.key);
        let epoch = shown_epoch(state).map_or([0; 8], u64::to_le_bytes);
        let board: [&[u8]; 4] =
            [state.head.event.as_bytes(), state.head.view.name().as_bytes(), state.division.as_bytes(), &epoch];
        for part in board.iter().chain(of) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        format!("\"{}-{}\"", state.version, &hasher.finalize().to_hex()[..12])
    }
}

/// Cuts a limit to what is allowed, and refuses 0.
pub(super) fn checked_limit(limit: usize, limit_max: usize) -> Result<usize, ServeError> {
    if limit == 0 {
        return Err(ServeError::BadQuery { field: "limit", problem: format!("is 0; 1 to {limit_max} are possible") });
    }
    Ok(limit.min(limit_max))
}

/// A team's place: its index in the window, and the window.
pub(super) fn place(state: &BoardState, team: &str) -> Option<(usize, usize, Vec<super::RankedRow>)> {
    let position = state.position(team)?;
    let from = position.saturating_sub(NEIGHBOURS);
    Some((position, position - from, state.window(from, position - from + 1 + NEIGHBOURS)))
}

pub(super) fn team_json(state: &BoardState, team: &str) -> Vec<u8> {
    let place = place(state, team);
    let rows = |range: &[super::RankedRow]| -> Vec<super::RankedRow> { range.to_vec() };
    let (above, row, below) = match &place {
        Some((_, at, window)) => (rows(&window[..*at]), window.get(*at), rows(&window[at + 1..])),
        None => Default::default(),
    };
    encode(&TeamJson {
        event: &state.head.event,
        view: state.head.view.name(),
        division: &state.division,
        version: state.version,
        epoch: shown_epoch(state),
        row: row.map(RowJson::of),
        position: place.as_ref().map(|(position, ..)| *position),
        above: above.iter().map(RowJson::of).collect(),
        below: below.iter().map(RowJson::of).collect(),
    })
}
