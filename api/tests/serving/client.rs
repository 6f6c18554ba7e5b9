//! A stream's client, as a page would be: applies snapshots and deltas, and keeps what the last id says.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures::{FutureExt, Stream, StreamExt};
use gravity_api::serving::{Boards, SseFrame, StreamQuery};
use gravity_events::Id;
use gravity_events::board::View;
use serde_json::Value;

use crate::world::{EVENT, World};

pub type Frames = Pin<Box<dyn Stream<Item = SseFrame> + Send>>;

pub fn stream_query(view: View, division: &str, limit: usize, team: Option<&str>, last: Option<u64>) -> StreamQuery {
    StreamQuery {
        event: EVENT.into(),
        view,
        division: division.into(),
        limit,
        team: team.map(Id::from),
        last_version: last,
    }
}

/// A message: its event's name, id and data.
pub fn parse(frame: &SseFrame) -> (String, u64, Value) {
    let text = std::str::from_utf8(&frame.0).unwrap().strip_suffix("\n\n").unwrap();
    let lines: Vec<(&str, &str)> = text.lines().map(|line| line.split_once(": ").unwrap()).collect();
    let [("id", id), ("event", event), ("data", data)] = lines[..] else { panic!("{text}") };
    (event.to_owned(), id.parse().unwrap(), serde_json::from_str(data).unwrap())
}

/// What is there to read, without waiting: after `retry`, which comes first.
pub async fn drain(frames: &mut Frames) -> Vec<SseFrame> {
    let mut got = vec![];
    loop {
        // Gives the runtime's budget back, so that nothing is pending for want of it.
        tokio::task::yield_now().await;
        match frames.next().now_or_never() {
            Some(Some(frame)) => got.push(frame),
            _ => return got,
        }
    }
}

pub async fn open(boards: &Arc<Boards>, query: &StreamQuery) -> Frames {
    let mut frames: Frames = Box::pin(boards.subscribe(query).unwrap());
    retry_ms(&frames.next().await.unwrap().0);
    frames
}

/// How soon a client is told to come back, which is the first thing that it hears.
pub fn retry_ms(frame: &[u8]) -> u64 {
    let text = std::str::from_utf8(frame).unwrap().strip_prefix("retry: ").and_then(|t| t.strip_suffix("\n\n"));
    let ms = text.unwrap().parse().unwrap();
    assert!((1_000..5_000).contains(&ms), "{ms}");
    ms
}

pub struct Client {
    pub query: StreamQuery,
    pub board: Value,
    pub you: Option<Value>,
    pub snapshots: usize,
    pub deltas: usize,
}

impl Client {
    pub fn new(query: StreamQuery) -> Client {
        Client { query, board: Value::Null, you: None, snapshots: 0, deltas: 0 }
    }

    pub fn version(&self) -> Option<u64> {
        self.board["version"].as_u64()
    }

    /// Takes a frame in, and compares what it has then with the model.
    pub fn take(&mut self, frame: &SseFrame, world: &World) {
        let (event, id, data) = parse(frame);
        match event.as_str() {
            "snapshot" => {
                assert!(data.get("next_cursor").is_none());
                self.board = data;
                self.snapshots += 1;
            }
            "delta" => {
                self.deltas += 1;
                self.apply(data);
            }
            "you" => {
                assert_eq!(data["version"], id);
                self.you = Some(data);
                return;
            }
            other => panic!("{other}"),
        }
        assert_eq!(self.version(), Some(id));
        let side = world.side(self.query.view);
        assert_eq!(self.board, side.page(&self.query.division, id, 0, self.query.limit));
    }

    fn apply(&mut self, delta: Value) {
        assert_eq!(Some(&delta["base"]), self.board.get("version"));
        self.board["version"] = delta["version"].clone();
        self.board["total_rows"] = delta["total_rows"].clone();
        if let Some(epoch) = delta.get("epoch") {
            self.board["epoch"] = epoch.clone();
        }
        for (key, value) in delta["meta"].as_object().unwrap() {
            assert_ne!(&self.board[key], value, "only what changed is sent");
            self.board[key] = value.clone();
        }
        let rows = self.board["rows"].as_array_mut().unwrap();
        let before = rows.clone();
        let team = |row: &Value| row["team"].as_str().unwrap().to_owned();
        let mut known: BTreeMap<String, Value> = rows.drain(..).map(|row| (team(&row), row)).collect();
        for row in delta["rows"].as_array().unwrap() {
            assert_ne!(known.insert(team(row), row.clone()).as_ref(), Some(row), "only what changed is sent");
        }
        let order: Vec<(String, Value)> = match delta.get("order") {
            Some(order) => serde_json::from_value(order.clone()).unwrap(),
            None => before.iter().map(|row| (team(row), row["rank"].clone())).collect(),
        };
        for (team, rank) in order {
            let mut row = known.remove(&team).unwrap();
            row["rank"] = rank;
            rows.push(row);
        }
    }
}
