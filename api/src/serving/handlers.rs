//! HTTP handlers of boards. They need an [`Arc<Boards>`] as state and, for the jury's view, a [`Viewer`] that an
//! authentication layer put into the request's extensions.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt;
use gravity_events::Id;
use gravity_events::board::View;
use serde::de::DeserializeOwned;

use crate::http::etag::{cache_control, conditional};

use super::computed::At;
use super::query::Part;
use super::{Boards, EventSummary, LIMIT_DEFAULT, NAMES_MAX, PageQuery, ServeError, StreamQuery, Window};

/// Teams of a chart when no number is asked for.
const TOP_DEFAULT: usize = 10;

/// Who asks, as far as a board is concerned: decided by the authentication layer for the event of the request.
/// Without one in the request's extensions nobody may see more than the public.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Whether the jury's view of this event may be seen.
    pub may_see_jury: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Viewer, Infallible> {
        Ok(parts.extensions.get::<Viewer>().copied().unwrap_or_default())
    }
}

/// The routes of this module, below `/api/v1`.
pub fn routes() -> Router<Arc<Boards>> {
    Router::new()
        .route("/events", get(events))
        .route("/events/{event}/board", get(board))
        .route("/events/{event}/board/names", get(names))
        .route("/events/{event}/board/teams/{team}", get(team))
        .route("/events/{event}/board/changes", get(changes))
        .route("/events/{event}/board/series", get(series))
        .route("/events/{event}/board/stream", get(stream))
}

/// `GET /events`: the events with a public board.
pub async fn events(State(boards): State<Arc<Boards>>) -> Response {
    #[derive(serde::Serialize)]
    struct Events {
        events: Vec<EventSummary>,
    }
    ([(header::CACHE_CONTROL, cache_control(View::Public))], Json(Events { events: boards.events() })).into_response()
}

/// `GET /events/{event}/board?view&division&limit&from&cursor&at&old`: one page.
pub async fn board(asked: Asked<String>) -> Result<Response, ServeError> {
    page(asked, Part::Rows, LIMIT_DEFAULT).await
}

/// `GET /events/{event}/board/names?view&division&limit&from&cursor&at&old`: a part of the names, for a search.
pub async fn names(asked: Asked<String>) -> Result<Response, ServeError> {
    page(asked, Part::Names, NAMES_MAX).await
}

async fn page(asked: Asked<String>, part: Part, limit_default: usize) -> Result<Response, ServeError> {
    let (view, division) = asked.board()?;
    let (from, at, cursor) = (asked.number("from")?, asked.at()?, asked.text("cursor"));
    // The version that a cursor belongs to is in the cursor; the instant is not.
    let (instant, at) = match at {
        Some(At::Instant(instant)) => (Some(instant), None),
        Some(At::Version(version)) => (None, Some(version)),
        None => (None, None),
    };
    let window = match (cursor, from) {
        (Some(_), Some(_)) => return Err(excludes("from")),
        (Some(_), None) if at.is_some() => return Err(excludes("at")),
        (Some(cursor), None) => Window::Cursor(cursor.to_owned()),
        (None, from) => Window::From(from.map_or(0, saturated)),
    };
    let limit = asked.limit(limit_default)?;
    let query = PageQuery { event: asked.path.as_str().into(), view, division, at, window, limit };
    let (boards, located) = match instant {
        // A reader that scrolls takes the newest version when its own is gone; only who asks for an old one waits for it.
        None if asked.text("old") == Some("true") => {
            let boards = asked.boards.at_version(&query).await?;
            let located = boards.locate(&query, part)?;
            (boards, located)
        }
        None => (asked.boards.clone(), asked.boards.locate(&query, part)?),
        Some(instant) => {
            let lately = asked.boards.lately_at(&query.event, instant);
            let of_cursor = lately.into_iter().filter(|_| matches!(query.window, Window::Cursor(_)));
            match of_cursor.filter_map(|b| Some((b.clone(), b.locate(&query, part).ok()?))).next() {
                Some(found) => found,
                None => {
                    let boards = asked.boards.at_instant(&query.event, instant).await?;
                    let located = boards.locate(&query, part)?;
                    (boards, located)
                }
            }
        }
    };
    let etag = located.etag.clone();
    Ok(conditional(&asked.headers, &etag, cache_control(view), || json(boards.encode_page(located).body)))
}

/// `GET /events/{event}/board/teams/{team}?view&division`: a team's place.
pub async fn team(asked: Asked<(String, String)>) -> Result<Response, ServeError> {
    let (view, division) = asked.board()?;
    let (event, team) = &asked.path;
    let answer = asked.boards.team(event, view, &division, team)?;
    Ok(conditional(&asked.headers, &answer.etag, cache_control(view), || json(answer.body)))
}

/// `GET /events/{event}/board/changes?view&limit`: why rows moved other than by submissions, the newest change first.
pub async fn changes(asked: Asked<String>) -> Result<Response, ServeError> {
    let (view, _) = asked.board()?;
    let changes = asked.boards.changes(&asked.path, view, asked.limit(LIMIT_DEFAULT)?)?;
    Ok(([(header::CACHE_CONTROL, cache_control(view))], Json(changes)).into_response())
}

/// `GET /events/{event}/board/series?view&division&top&teams`: scores over time of the first teams, and of others.
pub async fn series(asked: Asked<String>) -> Result<Response, ServeError> {
    let (view, division) = asked.board()?;
    let top = asked.number("top")?.map_or(TOP_DEFAULT, saturated);
    let teams: Vec<Id> = asked.text("teams").into_iter().flat_map(|t| t.split(',')).map(Id::from).collect();
    let series = asked.boards.series((&asked.path, view, &division), top, &teams).await?;
    Ok(([(header::CACHE_CONTROL, cache_control(view))], Json(series)).into_response())
}

/// `GET /events/{event}/board/stream?view&division&limit&team&last_event_id`: Server-Sent Events. The header
/// `Last-Event-ID` goes before the parameter: a browser that reconnects sends both, and only the header has moved.
pub async fn stream(asked: Asked<String>) -> Result<Response, ServeError> {
    let (view, division) = asked.board()?;
    // One that is no version of ours is as good as none: the client gets a snapshot.
    let header = asked.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last_version = header.or(asked.text("last_event_id")).and_then(|id| id.trim().parse().ok());
    let query = StreamQuery {
        event: asked.path.as_str().into(),
        view,
        division,
        limit: asked.limit(LIMIT_DEFAULT)?,
        team: asked.text("team").map(Id::from),
        last_version,
    };
    let frames = asked.boards.subscribe(&query)?.map(|frame| Ok::<_, Infallible>(frame.0));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache_control(view))),
        // Proxies that buffer would hold frames back.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

fn excludes(field: &'static str) -> ServeError {
    ServeError::BadQuery { field, problem: "cannot be given with `cursor`, which says it already".into() }
}

fn saturated(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn json(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A question about a board, with what its path names.
pub struct Asked<P> {
    boards: Arc<Boards>,
    path: P,
    /// As they came, so that what is wrong with one is said in a problem. The last of a name counts.
    params: Vec<(String, String)>,
    viewer: Viewer,
    headers: HeaderMap,
}

impl<S, P> FromRequestParts<S> for Asked<P>
where
    S: Send + Sync,
    P: DeserializeOwned + Send,
    Arc<Boards>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<P>, Response> {
        let Path(path) = Path::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let Query(params) = Query::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let Ok(viewer) = Viewer::from_request_parts(parts, state).await;
        Ok(Asked { boards: Arc::from_ref(state), path, params, viewer, headers: parts.headers.clone() })
    }
}

impl<P> Asked<P> {
    fn text(&self, name: &str) -> Option<&str> {
        self.params.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, ServeError> {
        let parse = |text: &str| {
            let problem = format!("is `{}`; a whole number from 0 on was expected", shortened(text));
            text.parse().map_err(|_| ServeError::BadQuery { field: name, problem })
        };
        self.text(name).map(parse).transpose()
    }

    fn at(&self) -> Result<Option<At>, ServeError> {
        let wrong = |problem| ServeError::BadQuery { field: "at", problem };
        self.text("at").map(|text| At::parse(text).map_err(wrong)).transpose()
    }

    fn limit(&self, default: usize) -> Result<usize, ServeError> {
        Ok(self.number("limit")?.map_or(default, saturated))
    }

    /// View and division, if this viewer may see them.
    fn board(&self) -> Result<(View, Id), ServeError> {
        let view = match self.text("view") {
            None | Some("public") => View::Public,
            Some("jury") if self.viewer.may_see_jury => View::Jury,
            Some("jury") => return Err(ServeError::JuryOnly),
            Some(other) => {
                let problem = format!("is `{}`; `public` or `jury` was expected", shortened(other));
                return Err(ServeError::BadQuery { field: "view", problem });
            }
        };
        Ok((view, self.text("division").map(Id::from).unwrap_or_default()))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
