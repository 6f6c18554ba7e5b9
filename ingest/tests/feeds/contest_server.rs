//! A Contest API whose event feed is told in pieces, as planned.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt;
use futures::stream;
use parking_lot::Mutex;

/// What one connection does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Tells `lines` lines, the first of them `overlap` lines before the place asked for.
    Tell { overlap: usize, lines: usize, then: Then },
    /// Answers this status.
    Status(u16),
    /// Answers with a web page.
    Page,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// Properly.
    Close,
    /// In the middle of the next line.
    Break,
    /// Not at all: silence.
    Hang,
}

#[derive(Default)]
pub struct Told {
    /// Query and headers of every connection.
    pub requests: Vec<(HashMap<String, String>, HeaderMap)>,
    acts: VecDeque<Act>,
    lines: Vec<String>,
}

pub struct ContestServer {
    /// Address of the contest.
    pub url: String,
    told: Arc<Mutex<Told>>,
}

impl ContestServer {
    /// After the `acts`, everything is told, and then silence.
    pub async fn start(lines: &[String], acts: &[Act]) -> ContestServer {
        let told = Told { lines: lines.to_vec(), acts: acts.iter().copied().collect(), ..Default::default() };
        let told = Arc::new(Mutex::new(told));
        let app = Router::new().route("/api/contests/c/event-feed", get(feed)).with_state(told.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/contests/c", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        ContestServer { url, told }
    }

    pub fn told(&self) -> parking_lot::MutexGuard<'_, Told> {
        self.told.lock()
    }

    /// Where each connection asked to begin.
    pub fn places(&self) -> Vec<Option<String>> {
        let place = |q: &HashMap<String, String>| q.get("since_token").or(q.get("since_id")).cloned();
        self.told().requests.iter().map(|(q, _)| place(q)).collect()
    }
}

async fn feed(
    State(told): State<Arc<Mutex<Told>>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let mut told = told.lock();
    let place = query.get("since_token").or(query.get("since_id")).cloned();
    told.requests.push((query, headers));
    let act = told.acts.pop_front().unwrap_or(Act::Tell { overlap: 0, lines: usize::MAX, then: Then::Hang });
    let (overlap, count, then) = match act {
        Act::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Act::Page => return axum::response::Html("<p>log in</p>").into_response(),
        Act::Tell { overlap, lines, then } => (overlap, lines, then),
    };
    let from = match place {
        None => 0,
        Some(place) => {
            let mark = format!("\"{place}\"");
            match told.lines.iter().rposition(|l| l.contains(&mark)) {
                Some(at) => (at + 1).saturating_sub(overlap),
                None => return StatusCode::BAD_REQUEST.into_response(),
            }
        }
    };
    let to = from.saturating_add(count).min(told.lines.len());
    let mut text: String = told.lines[from..to].iter().map(|l| format!("{l}\n")).collect();
    text.push('\n');
    if let (Then::Break, Some(next)) = (then, told.lines.get(to)) {
        text.push_str(&next[..next.len() / 2]);
    }
    // In odd pieces, so that lines are cut anywhere.
    let pieces: Vec<_> = text.as_bytes().chunks(37).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    let pieces = stream::iter(pieces);
    let body = match then {
        Then::Close => Body::from_stream(pieces),
        Then::Break => Body::from_stream(pieces.chain(stream::once(async {
            // Lets the pieces go out first.
            tokio::task::yield_now().await;
            Err(std::io::Error::other("cut"))
        }))),
        Then::Hang => Body::from_stream(pieces.chain(stream::pending())),
    };
    ([("content-type", "application/x-ndjson")], body).into_response()
}
