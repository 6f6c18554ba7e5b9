//! Spectators who never trust the server: one applies a stream's deltas, one compares what a version shows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::Server;

/// A client of a board stream that reconnects from its last version and applies what it gets.
#[derive(Default, Clone, Debug)]
pub struct Follower {
    /// The version that it has.
    pub version: Option<u64>,
    /// The board as it stands after the frames so far.
    pub board: Value,
    /// How often it was connected.
    pub connections: u32,
}

impl Follower {
    /// Applies one frame of the stream.
    pub fn apply(&mut self, event: &str, id: u64, data: &str) {
        let data: Value = serde_json::from_str(data).expect("frames are JSON");
        assert!(self.version.is_none_or(|v| id >= v), "the stream went back from {:?} to {id}", self.version);
        match event {
            "snapshot" => self.board = data,
            "delta" => {
                assert_eq!(data["base"].as_u64(), self.version, "a delta from another version than the client has");
                let board = self.board.as_object_mut().expect("a snapshot came first");
                for (key, value) in data["meta"].as_object().into_iter().flatten() {
                    board.insert(key.clone(), value.clone());
                }
                board.insert("version".into(), data["version"].clone());
                board.insert("total_rows".into(), data["total_rows"].clone());
                let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
                let mut rows: HashMap<String, Value> =
                    list(&board["rows"]).into_iter().map(|r| (r["team"].to_string(), r)).collect();
                let mut order: Vec<(Value, Value)> =
                    list(&board["rows"]).iter().map(|r| (r["team"].clone(), r["rank"].clone())).collect();
                for row in list(&data["rows"]) {
                    rows.insert(row["team"].to_string(), row);
                }
                if data["order"].is_array() {
                    order = list(&data["order"]).into_iter().map(|o| (o[0].clone(), o[1].clone())).collect();
                }
                let rows = order.into_iter().map(|(team, rank)| {
                    let mut row = rows[&team.to_string()].clone();
                    row["rank"] = rank;
                    row
                });
                let rows = rows.collect();
                board.insert("rows".into(), rows);
            }
            _ => return,
        }
        self.version = Some(id);
    }
}

/// Follows a board's stream until the task is aborted, reconnecting whenever it breaks.
pub fn follow(url: String, path: String) -> (Arc<Mutex<Follower>>, JoinHandle<()>) {
    let follower = Arc::new(Mutex::new(Follower::default()));
    let shared = follower.clone();
    let task = tokio::spawn(async move {
        loop {
            let _ = connection(&url, &path, &shared).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    (follower, task)
}

async fn connection(url: &str, path: &str, follower: &Mutex<Follower>) -> Option<()> {
    let mut request = super::http().get(format!("{url}{path}"));
    if let Some(version) = follower.lock().await.version {
        request = request.header("last-event-id", version.to_string());
    }
    let mut response = request.send().await.ok()?.error_for_status().ok()?;
    follower.lock().await.connections += 1;
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        text.push_str(std::str::from_utf8(&chunk).ok()?);
        while let Some(end) = text.find("\n\n") {
            let frame: String = text.drain(..end + 2).collect();
            let field = |name: &str| frame.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            if let (Some(event), Some(id), Some(data)) = (field("event:"), field("id:"), field("data:")) {
                follower.lock().await.apply(event, id.parse().expect("ids are versions"), data);
            }
        }
    }
    Some(())
}

/// Remembers what each version showed, and fails when one shows something else later.
#[derive(Default)]
pub struct Versions {
    seen: HashMap<(String, u64), String>,
}

impl Versions {
    /// Looks at a page.
    pub fn check(&mut self, path: &str, page: &Value) {
        let version = page["version"].as_u64().expect("a page has its version");
        let text = page.to_string();
        let before = self.seen.entry((path.to_owned(), version)).or_insert_with(|| text.clone());
        assert_eq!(*before, text, "version {version} of {path} showed something else before");
    }

    /// Looks at a page until then, or until the server has ended.
    pub async fn watch(&mut self, server: &mut Server, path: &str, end: Instant) {
        while Instant::now() < end && !server.ended() {
            if let Ok(r) = super::http().get(format!("{}{path}", server.url)).send().await
                && r.status().is_success()
                && let Ok(page) = r.json().await
            {
                self.check(path, &page);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn newest(&self, path: &str) -> Option<u64> {
        self.seen.keys().filter(|(p, _)| p == path).map(|(_, v)| *v).max()
    }
}

/// Waits until the follower has the version of this page; it must have the same rows then.
pub async fn sees(follower: &Mutex<Follower>, page: &Value) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = follower.lock().await.clone();
        if seen.version == page["version"].as_u64() {
            assert_eq!(seen.board["rows"], page["rows"]);
            return;
        }
        assert!(Instant::now() < until, "the spectator has {:?}, the board is at {}", seen.version, page["version"]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
