//! Follows the event feed of a Contest API for as long as anyone listens: reconnects, and goes on where it was.

use std::future::Future;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::lines::Splitter;
use super::{Item, SourceError};
use crate::client::{http_client, say, without_credentials};
use crate::feeds::Cursor;

/// How patient to be with a live feed.
#[derive(Clone, Copy, Debug)]
pub struct LiveOptions {
    /// Silence after which the connection counts as lost. The Contest API promises a line every 120 s.
    pub silence: Duration,
    /// Pause before the first new connection; each next one is twice as long.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// Give up when there was no connection at all for this long. Once there was one, never.
    pub give_up_after: Duration,
}

impl Default for LiveOptions {
    fn default() -> LiveOptions {
        LiveOptions {
            silence: Duration::from_secs(130),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            give_up_after: Duration::from_secs(20),
        }
    }
}

/// How a connection ended.
enum Ended {
    /// Nobody listens any more.
    NotWanted,
    /// It is worth another try. `told`: something had come.
    Lost { problem: String, told: bool },
    /// The server does not know the place to go on from.
    UnknownPlace,
    /// Another try would give the same.
    Refused(SourceError),
}

pub(super) fn follow(
    url: Url,
    options: LiveOptions,
    send: mpsc::Sender<Item>,
) -> Result<impl Future<Output = ()> + Send + 'static, SourceError> {
    let feed = without_credentials(&url).to_string();
    let http = http_client(&url, |b| b.connect_timeout(options.give_up_after.min(Duration::from_secs(10))))
        .map_err(|e| SourceError::Setup { what: feed.clone(), problem: say(e) })?;
    let follower = Follower { http, url, feed, options, send, was_connected: false };
    Ok(follower.run())
}

struct Follower {
    http: reqwest::Client,
    url: Url,
    feed: String,
    options: LiveOptions,
    send: mpsc::Sender<Item>,
    was_connected: bool,
}

impl Follower {
    async fn run(mut self) {
        let began = Instant::now();
        let mut pause = self.options.first_pause;
        let mut from_start = false;
        loop {
            let cursor = if from_start { None } else { self.place().await };
            from_start = false;
            let resuming = cursor.is_some();
            let problem = match self.connection(cursor).await {
                Ended::NotWanted => return,
                Ended::Refused(error) => return drop(self.send.send(Item::Failed(error)).await),
                Ended::UnknownPlace => {
                    tracing::warn!(feed = self.feed, "the feed does not know where we were: reading it from its start");
                    from_start = true;
                    "it does not know where we were".to_string()
                }
                Ended::Lost { problem, told } => {
                    if told {
                        pause = self.options.first_pause;
                    }
                    problem
                }
            };
            if !self.was_connected && began.elapsed() >= self.options.give_up_after {
                let error = SourceError::Unreachable { feed: self.feed.clone(), problem };
                return drop(self.send.send(Item::Failed(error)).await);
            }
            if from_start && resuming {
                continue; // at once: the next one asks for something else
            }
            tracing::warn!(feed = self.feed, problem, "connection lost; connecting again");
            tokio::select! {
                () = sleep(pause) => {}
                () = self.send.closed() => return,
            }
            pause = (pause * 2).min(self.options.longest_pause);
        }
    }

    /// Asks the listener how far it came, once it has taken every line so far.
    async fn place(&self) -> Option<Cursor> {
        let (answer, place) = oneshot::channel();
        self.send.send(Item::Connecting(answer)).await.ok()?;
        place.await.ok()?
    }

    async fn connection(&mut self, cursor: Option<Cursor>) -> Ended {
        if self.send.is_closed() {
            return Ended::NotWanted;
        }
        let mut url = self.url.clone();
        let asked: Vec<(String, String)> =
            url.query_pairs().filter(|(k, _)| k != "stream").map(|(k, v)| (k.into(), v.into())).collect();
        {
            let mut query = url.query_pairs_mut();
            query.clear().extend_pairs(asked).append_pair("stream", "true");
            if let Some((name, value)) = cursor.as_ref().map(Cursor::query) {
                query.append_pair(name, value);
            }
        }
        let lost = |problem: String| Ended::Lost { problem, told: false };
        let answer = tokio::select! {
            answer = timeout(self.options.silence, self.http.get(url).send()) => answer,
            () = self.send.closed() => return Ended::NotWanted,
        };
        let mut response = match answer {
            Err(_) => return lost("no answer".into()),
            Ok(Err(e)) => return lost(say(e)),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status == StatusCode::BAD_REQUEST && cursor.is_some() {
            return Ended::UnknownPlace;
        }
        if !status.is_success() {
            // A server that is being restarted may say anything for a while.
            let passing = status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
                || self.was_connected;
            return if passing { lost(format!("it answered {status}")) } else { self.refused(status, advice(status)) };
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if kind.contains("html") && !self.was_connected {
            return self.refused(status, "a web page, not an event feed; expected the address of a Contest API");
        }
        self.was_connected = true;
        let mut splitter = Splitter::default();
        let mut told = false;
        loop {
            let chunk = tokio::select! {
                chunk = timeout(self.options.silence, response.chunk()) => chunk,
                () = self.send.closed() => return Ended::NotWanted,
            };
            let problem = match chunk {
                Err(_) => format!("nothing came for {} s", self.options.silence.as_secs()),
                Ok(Err(e)) => say(e),
                Ok(Ok(None)) => {
                    // A server may leave out the last line's end; half a line is told again and does no harm.
                    if let Some(Item::Line(line)) = splitter.finish()
                        && serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok()
                        && self.send.send(Item::Line(line)).await.is_err()
                    {
                        return Ended::NotWanted;
                    }
                    "it closed the connection".into()
                }
                Ok(Ok(Some(bytes))) => {
                    let mut items = Vec::new();
                    splitter.push(&bytes, |item| items.push(item));
                    // Keep-alives are no reason to hurry back.
                    told |= items.iter().any(|i| !matches!(i, Item::Line(l) if l.trim_ascii().is_empty()));
                    for item in items {
                        if self.send.send(item).await.is_err() {
                            return Ended::NotWanted;
                        }
                    }
                    continue;
                }
            };
            splitter.clear();
            return Ended::Lost { problem, told };
        }
    }

    fn refused(&self, status: StatusCode, problem: &str) -> Ended {
        Ended::Refused(SourceError::Refused {
            feed: self.feed.clone(),
            status: status.as_u16(),
            problem: problem.into(),
        })
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "it wants a user that may read the event feed: give one as https://USER:PASSWORD@HOST/..."
        }
        StatusCode::NOT_FOUND => "there is no such contest: check the id in the address",
        _ => "it does not give its event feed: check the address",
    }
}
