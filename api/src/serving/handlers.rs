//! HTTP handlers of boards. They need an [`Arc<Boards>`] as state and, for the jury's view, a [`Viewer`] that an
//! authentication layer put into the request's extensions.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::StreamExt;
use gravity_events::Id;
use gravity_events::board::View;

use super::{Boards, EventSummary, LIMIT_DEFAULT, PageQuery, ServeError, StreamQuery, Window};

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

/// Query parameters as they came, so that what is wrong with one is said in a problem object. The last of a name counts.
pub type Params = Query<Vec<(String, String)>>;

/// The routes of this module, below `/api/v1`.
pub fn routes() -> Router<Arc<Boards>> {
    Router::new()
        .route("/events", get(events))
        .route("/events/{event}/board", get(board))
        .route("/events/{event}/board/teams/{team}", get(team))
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

/// `GET /events/{event}/board?view&division&limit&from&cursor&at`: one page.
pub async fn board(
    State(boards): State<Arc<Boards>>,
    Path(event): Path<String>,
    Query(params): Params,
    viewer: Viewer,
    headers: HeaderMap,
) -> Result<Response, ServeError> {
    let params = Parameters(&params);
    let (view, division) = params.board(viewer)?;
    let (from, at, cursor) = (params.number("from")?, params.number("at")?, params.text("cursor"));
    let window = match (cursor, from) {
        (Some(_), Some(_)) => return Err(excludes("from")),
        (Some(_), None) if at.is_some() => return Err(excludes("at")),
        (Some(cursor), None) => Window::Cursor(cursor.to_owned()),
        (None, from) => Window::From(from.map_or(0, saturated)),
    };
    let query = PageQuery { event: event.into(), view, division, at, window, limit: params.limit()? };
    let located = boards.locate(&query)?;
    if holds(&headers, &located.etag) {
        return Ok(not_modified(view, &located.etag));
    }
    let page = boards.encode_page(located);
    Ok(json(view, &page.etag, page.body))
}

/// `GET /events/{event}/board/teams/{team}?view&division`: a team's place.
pub async fn team(
    State(boards): State<Arc<Boards>>,
    Path((event, team)): Path<(String, String)>,
    Query(params): Params,
    viewer: Viewer,
    headers: HeaderMap,
) -> Result<Response, ServeError> {
    let (view, division) = Parameters(&params).board(viewer)?;
    let answer = boards.team(&event, view, &division, &team)?;
    if holds(&headers, &answer.etag) {
        return Ok(not_modified(view, &answer.etag));
    }
    Ok(json(view, &answer.etag, answer.body))
}

/// `GET /events/{event}/board/stream?view&division&limit&team&last_event_id`: Server-Sent Events. The header
/// `Last-Event-ID` goes before the parameter: a browser that reconnects sends both, and only the header has moved.
pub async fn stream(
    State(boards): State<Arc<Boards>>,
    Path(event): Path<String>,
    Query(params): Params,
    viewer: Viewer,
    headers: HeaderMap,
) -> Result<Response, ServeError> {
    let params = Parameters(&params);
    let (view, division) = params.board(viewer)?;
    // One that is no version of ours is as good as none: the client gets a snapshot.
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last_version = header.or(params.text("last_event_id")).and_then(|id| id.trim().parse().ok());
    let query = StreamQuery {
        event: event.into(),
        view,
        division,
        limit: params.limit()?,
        team: params.text("team").map(Id::from),
        last_version,
    };
    let frames = boards.subscribe(&query)?.map(|frame| Ok::<_, Infallible>(frame.0));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, cache_control(view)),
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

fn cache_control(view: View) -> HeaderValue {
    HeaderValue::from_static(match view {
        View::Public => "no-cache",
        View::Jury => "private, no-cache",
    })
}

/// Whether `If-None-Match` names this tag (RFC 9110, 13.1.2: weak comparison).
fn holds(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn not_modified(view: View, etag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    tag(&mut response, view, etag);
    response
}

fn json(view: View, etag: &str, body: bytes::Bytes) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    tag(&mut response, view, etag);
    response
}

fn tag(response: &mut Response, view: View, etag: &str) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, cache_control(view));
    headers.insert(header::ETAG, HeaderValue::from_str(etag).expect("a tag is digits and hex in quotes"));
}

struct Parameters<'a>(&'a [(String, String)]);

impl<'a> Parameters<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, ServeError> {
        let parse = |text: &str| {
            let problem = format!("is `{}`; a whole number from 0 on was expected", shortened(text));
            text.parse().map_err(|_| ServeError::BadQuery { field: name, problem })
        };
        self.text(name).map(parse).transpose()
    }

    fn limit(&self) -> Result<usize, ServeError> {
        Ok(self.number("limit")?.map_or(LIMIT_DEFAULT, saturated))
    }

    /// View and division, if this viewer may see them.
    fn board(&self, viewer: Viewer) -> Result<(View, Id), ServeError> {
        let view = match self.text("view") {
            None | Some("public") => View::Public,
            Some("jury") if viewer.may_see_jury => View::Jury,
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
