//! A watcher of a board's stream: notes when each frame came.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::http::Client;
use crate::usage::monotonic_ns;

/// A frame, as far as the cases look at it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When its last byte was here, monotonic nanoseconds.
    pub at_ns: u64,
    /// Its version.
    pub version: u64,
    /// Pending submissions of the marked team in its row, where the frame has the row.
    pub pending: Option<u64>,
}

/// What a watcher saw so far.
#[derive(Default)]
pub struct Watcher {
    frames: Mutex<Vec<Frame>>,
    more: Notify,
}

impl Watcher {
    /// Follows the first `limit` rows of a board, looking for a team's row.
    pub async fn follow(
        mut client: Client,
        event: &str,
        limit: usize,
        team: &str,
    ) -> anyhow::Result<(Arc<Watcher>, JoinHandle<()>)> {
        client.ask(&format!("/api/v1/events/{event}/board/stream?limit={limit}")).await?;
        let (status, _) = client.headers().await?;
        anyhow::ensure!(status == 200, "the stream answers {status}");
        let watcher = Arc::new(Watcher::default());
        let (shared, team) = (watcher.clone(), team.to_owned());
        let task = tokio::spawn(async move {
            let mut text = String::new();
            while let Ok(Some(chunk)) = client.chunk().await {
                let at_ns = monotonic_ns();
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some(end) = text.find("\n\n") {
                    let frame: String = text.drain(..end + 2).collect();
                    if let Some(frame) = read(&frame, at_ns, &team) {
                        shared.frames.lock().push(frame);
                        shared.more.notify_waiters();
                    }
                }
            }
        });
        Ok((watcher, task))
    }

    /// All frames so far.
    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().clone()
    }

    /// Waits for the first frame of at least this version.
    pub async fn version(&self, at_least: u64) -> Frame {
        loop {
            let more = self.more.notified();
            if let Some(frame) = self.frames.lock().iter().find(|f| f.version >= at_least) {
                return frame.clone();
            }
            more.await;
        }
    }
}

fn read(frame: &str, at_ns: u64, team: &str) -> Option<Frame> {
    let field = |name: &str| frame.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    let (version, data) = (field("id:")?.parse().ok()?, field("data:")?);
    Some(Frame { at_ns, version, pending: pending(data, team) })
}

/// Sum of `pending` in the row of this team.
pub fn pending(json: &str, team: &str) -> Option<u64> {
    let data: serde_json::Value = serde_json::from_str(json).ok()?;
    let rows = data["rows"].as_array()?;
    let row = rows.iter().find(|r| r["team"] == team)?;
    Some(row["problems"].as_array()?.iter().filter_map(|p| p["pending"].as_u64()).sum())
}
