//! Somebody without a token, who looks at everything: every public route, with its status, headers and bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// What was asked, and all that was answered.
pub type Seen = BTreeMap<String, String>;

/// One observer of one server.
pub struct Observer {
    client: Client,
    url: String,
    event: &'static str,
    teams: u32,
}

impl Observer {
    pub fn new(url: &str, event: &'static str, teams: u32) -> Observer {
        Observer { client: Client::new(), url: url.to_owned(), event, teams }
    }

    /// Asks, and gives the answer's text besides noting all of it under `when`.
    async fn ask(&self, seen: &mut Seen, when: &str, method: Method, path: &str, more: &[(&str, &str)]) -> Answer {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url));
        // Always the same, so that problems, which repeat it, can be compared.
        request = request.header("x-request-id", "observer");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let mut headers: Vec<String> = answer
            .headers()
            .iter()
            .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        headers.sort();
        let etag = answer.headers().get("etag").map(|v| v.to_str().expect("text").to_owned());
        let body = answer.bytes().await.expect("a body");
        let mut text = String::from_utf8_lossy(&body).into_owned();
        if path.ends_with("/changes") && status == 200 && !text.is_empty() {
            // When a change came in force: by the clock, and no two runs are at the same time.
            let mut changes: Value = serde_json::from_str(&text).expect("JSON");
            for change in changes["changes"].as_array_mut().into_iter().flatten() {
                assert!(change["at"].take().is_string());
            }
            text = changes.to_string();
        }
        if path.contains("/event-feed") {
            // Sealed: what a token holds differs, and nobody can read it.
            let tokens = text.split("\"token\":\"").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest));
            text = tokens.collect();
        }
        let entry = format!("{status}\n{}\n\n{text}", headers.join("\n"));
        let key = format!("{when}: {method} {path} {more:?}");
        assert!(seen.insert(key.clone(), entry).is_none(), "{key} was asked before");
        Answer { status, etag, text }
    }

    /// Looks at everything.
    pub async fn look(&self, seen: &mut Seen, when: &str) {
        let base = format!("/api/v1/events/{}/board", self.event);
        let contest = format!("/api/contests/{}", self.event);
        let page = self.client.get(format!("{}{base}", self.url)).send().await.expect("an answer");
        let page: Value = page.json().await.expect("JSON");
        let version = page["version"].as_u64().expect("a version");
        let mut paths: Vec<String> = ["/", "/livez", "/readyz", "/startupz", "/openapi.json", "/api/v1/events"]
            .into_iter()
            .chain([
                "/api/v1/ops/status",
                "/api/v1/ops/deadletters",
                "/api/contests",
                "/api/contests/nowhere",
                "/nowhere",
            ])
            .map(str::to_owned)
            .collect();
        paths.push(format!("/events/{}", self.event));
        for n in (0..150).step_by(7).chain([74, 75, 76]) {
            paths.push(format!("/api/v1/events/{}/submissions/s{n}", self.event));
        }
        paths.push(format!("{base}/resolver"));
        for at in ["0:30:00", "3:59:59", "4:00:00", "4:30:00", "100:00:00", "-0:00:01", "2026-01-01T00:00:00Z", "1:2:3"]
        {
            paths.push(format!("{base}?at={at}&limit=1000"));
        }
        for query in [
            "limit=1000",
            "limit=3",
            "limit=0",
            "limit=x",
            "from=2&limit=4",
            "from=9999",
            "division=even",
            "division=nowhere",
            "division=even&limit=2",
            "view=jury",
            "view=x",
            "cursor=x",
            "at=0",
            "at=1",
            "at=2",
            "at=99999",
            "at=-1",
        ] {
            paths.push(format!("{base}?{query}"));
        }
        for back in [0, 1, 2, 5, 20, 60, 63, 64, 65] {
            paths.push(format!("{base}?limit=1000&at={}", version.saturating_sub(back)));
            paths.push(format!("{base}?division=even&limit=1000&at={}", version.saturating_sub(back)));
        }
        paths.push(format!("{base}?limit=1000&at={}", version + 1));
        paths.push(format!("{base}/changes"));
        paths.push(format!("{base}/names"));
        paths.push(format!("{base}/names?division=even&from=1&limit=2"));
        paths.push(format!("{base}/names?view=jury"));
        for team in 0..=self.teams {
            paths.push(format!("{base}/teams/t{team}"));
            paths.push(format!("{base}/teams/t{team}?division=even"));
            paths.push(format!("{contest}/teams/t{team}"));
        }
        paths.push(contest.clone());
        for part in [
            "state",
            "teams",
            "problems",
            "scoreboard",
            "awards",
            "groups",
            "organizations",
            "languages",
            "judgement-types",
            "submissions",
            "judgements",
            "submissions/s75",
            "judgements/j75",
            "judgements/s75",
            "event-feed?stream=false",
            "event-feed?stream=false&since_token=x",
        ] {
            paths.push(format!("{contest}/{part}"));
        }
        paths.push(format!("{contest}/scoreboard?division=even"));
        paths.push(format!("{contest}/scoreboard?view=jury"));
        paths.push(format!("{contest}/awards?division=even"));
        paths.sort();
        paths.dedup();
        for path in &paths {
            let answer = self.ask(seen, when, Method::GET, path, &[]).await;
            if answer.status != 200 {
                continue;
            }
            if !path.ends_with("/changes") && !path.contains("/event-feed") {
                self.ask(seen, when, Method::GET, path, &[("accept-encoding", "gzip")]).await;
            }
            self.ask(seen, when, Method::HEAD, path, &[]).await;
            if let Some(etag) = answer.etag {
                let not_modified = self.ask(seen, when, Method::GET, path, &[("if-none-match", &etag)]).await;
                assert_eq!(not_modified.status, 304, "{path}");
                self.ask(seen, when, Method::GET, path, &[("if-none-match", "\"other\"")]).await;
            }
        }
        // Page after page by cursors, which carry a signature.
        let mut next = format!("{base}?limit=4");
        for _ in 0..10 {
            let answer = self.ask(seen, when, Method::GET, &next, &[("accept", "application/json")]).await;
            let page: Value = serde_json::from_str(&answer.text).expect("JSON");
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            next = format!("{base}?limit=4&cursor={cursor}");
        }
        // A proxy on this machine does not make its clients local.
        for header in ["x-forwarded-for", "forwarded", "x-real-ip", "via"] {
            let answer = self.ask(seen, when, Method::GET, "/metrics", &[(header, "203.0.113.7")]).await;
            assert_eq!(answer.status, 401, "metrics for a client behind a proxy: {}", answer.text);
        }
        // Streams that are begun, and those that are resumed from where something has changed since: the first frame.
        let page = self.client.get(format!("{}{base}?division=even", self.url)).send().await.expect("an answer");
        let page: Value = page.json().await.expect("JSON");
        let even = page["version"].as_u64().expect("a version");
        let mut paths = vec![format!("{base}/stream?limit=3&team=t3"), format!("{base}/stream?limit=3&team=t4")];
        for back in [1, 3, 10, 70] {
            for (query, newest) in [("limit=1000", version), ("division=even&limit=1000", even)] {
                if let Some(last) = newest.checked_sub(back) {
                    paths.push(format!("{base}/stream?{query}&last_event_id={last}"));
                }
            }
        }
        for path in paths {
            let mut stream = Stream::open(&self.url, &path).await;
            stream.until(1).await;
            seen.insert(format!("{when}: stream {path}"), format!("{:?}", stream.frames().await[0]));
        }
    }
}

struct Answer {
    status: u16,
    etag: Option<String>,
    text: String,
}

/// A frame: event, id, data.
pub type Frame = (String, String, String);

/// A stream that is read all the time.
pub struct Stream {
    frames: Arc<Mutex<Vec<Frame>>>,
    task: JoinHandle<()>,
}

impl Stream {
    pub async fn open(url: &str, path: &str) -> Stream {
        let mut response = Client::new().get(format!("{url}{path}")).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        let frames = Arc::new(Mutex::new(Vec::new()));
        let list = frames.clone();
        let task = tokio::spawn(async move {
            let mut bytes = Vec::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                bytes.extend_from_slice(&chunk);
                while let Some(end) = bytes.windows(2).position(|w| w == b"\n\n") {
                    let frame = String::from_utf8(bytes.drain(..end + 2).collect()).expect("UTF-8");
                    let field = |name: &str| -> String {
                        frame.lines().filter_map(|l| l.strip_prefix(name)).collect::<Vec<_>>().join("\n")
                    };
                    // Heartbeats and `retry` go by a clock, and hold nothing.
                    if !field("data:").is_empty() {
                        list.lock().await.push((field("event:"), field("id:"), field("data:")));
                    }
                }
            }
        });
        Stream { frames, task }
    }

    pub async fn frames(&self) -> Vec<Frame> {
        self.frames.lock().await.clone()
    }

    /// Waits for so many frames.
    async fn until(&mut self, count: usize) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.frames.lock().await.len() < count {
            assert!(Instant::now() < until, "no frame came");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until it has told of this version.
    pub async fn until_version(&self, version: u64) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let last = self.frames.lock().await.last().and_then(|f| f.1.trim().parse::<u64>().ok());
            if last.is_some_and(|v| v >= version) {
                return;
            }
            assert!(Instant::now() < until, "the stream has {last:?}, not {version}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
