//! `GET /api/contests/{event}/event-feed`: every change of a contest's objects, as the Contest API's notifications.
//!
//! One [`hub`] per contest and view follows the objects while somebody listens, and says each change once for all. A token
//! names a place in what it said, and what of the log that covers: so that a client goes on exactly where it was, and after
//! a restart of the server from there on or a little before. Lines come at least once, and the last state of an object
//! counts.

mod hub;
mod token;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gravity_events::Id;
use gravity_events::board::View;
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;

use super::question::ViewName;
use crate::app::AppState;
use crate::http::etag::cache_control;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Problem, Viewer};

pub use hub::Hubs;
use hub::{Follower, Hub, Next};

/// Feeds open at once; more are refused.
const OPEN_MAX: usize = 500;
/// An empty line at least this often (the specification asks for 120 s).
const KEEP_ALIVE: Duration = Duration::from_secs(30);

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Which feed, and from where.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
pub struct FeedQuery {
    /// `public` or `jury`; what the token allows, when left out.
    #[param(inline)]
    pub view: Option<ViewName>,
    /// The token of the last line that was read: everything since then.
    pub since_token: Option<String>,
    /// `false`: ends after what there is, instead of waiting for more.
    pub stream: Option<bool>,
}

/// An open feed, counted while it lives.
struct Open;

impl Open {
    fn one() -> Option<Open> {
        let open = OPEN.fetch_add(1, Ordering::Relaxed);
        let one = Open;
        (open < OPEN_MAX).then_some(one)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The changes of a contest's objects, a line of JSON each, until nothing will change any more. The public sees no hidden
/// team, and no judgement of what was handed in after the freeze.
#[utoipa::path(get, path = "/api/contests/{event}/event-feed", tag = "contests",
    params(("event" = String, Path, description = "Contest"), FeedQuery),
    responses((status = 200, content_type = "application/x-ndjson", body = String),
        (status = 400, description = "The token is not of this feed, or of too long ago: read from the start", body = Problem),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<FeedQuery>,
) -> Result<Response, Problem> {
    let view = viewer.require(query.view.map(View::from), &event)?;
    let head = state.boards.header(&event, view).ok_or_else(|| Problem::unknown_event(&event))?;
    let open = Open::one().ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_feeds", format!("{OPEN_MAX} event feeds are open"))
            .hint("try again later")
            .retry_after(10)
    })?;
    let event: Id = head.event.clone();
    let hub = state.feeds.hub(&state, &event, view).await?;
    let follower = hub.follow(query.since_token.as_deref()).map_err(|why| {
        Problem::new(StatusCode::BAD_REQUEST, "bad_token", format!("the token {why}"))
            .hint("read from the start, without since_token")
    })?;
    let mut ticks = interval(KEEP_ALIVE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let reading = Reading {
        hub,
        follower,
        ticks,
        waits: query.stream.unwrap_or(true),
        shutdown: state.shutdown.clone(),
        due: VecDeque::new(),
        _open: open,
    };
    let lines = futures::stream::unfold(reading, |mut reading| async move {
        let piece = reading.next().await?;
        Some((Ok::<_, Infallible>(piece), reading))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache_control(view))),
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// One client's feed.
struct Reading {
    hub: Arc<Hub>,
    follower: Follower,
    ticks: Interval,
    waits: bool,
    shutdown: tokio_util::sync::CancellationToken,
    due: VecDeque<Bytes>,
    _open: Open,
}

impl Reading {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.due.pop_front() {
                return Some(piece);
            }
            match self.hub.next(&mut self.follower) {
                Next::Lines(pieces) => self.due.extend(pieces),
                Next::Over => return None,
                Next::Nothing if !self.waits => return None,
                Next::Nothing => tokio::select! {
                    () = self.follower.changed() => {}
                    _ = self.ticks.tick() => return Some(Bytes::from_static(b"\n")),
                    () = self.shutdown.cancelled() => return None,
                },
            }
        }
    }
}
