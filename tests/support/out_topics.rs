//! The out topics as an independent reader sees them: checked for whole epochs, and made into boards again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Server;
use super::broker::Topics;

/// An epoch's clock, and the offset by (topic, partition).
pub type Binding = (i64, BTreeMap<(String, u64), u64>);

/// What the out topics hold.
pub struct OutTopics {
    /// The binding of each epoch: the clock, and the offset by (topic, partition).
    pub bindings: BTreeMap<u64, Binding>,
    /// The value at each key of a board, by view and key.
    boards: BTreeMap<(String, String), Value>,
    /// Newest version by view, of the board of all.
    pub versions: BTreeMap<String, u64>,
    /// How many records there are, markers and bindings included.
    pub records: usize,
}

impl OutTopics {
    /// Reads everything from the beginning. Fails when an epoch is missing, there twice, out of order or not whole.
    pub fn read(topics: &Topics) -> OutTopics {
        let mut all =
            OutTopics { bindings: BTreeMap::new(), boards: BTreeMap::new(), versions: BTreeMap::new(), records: 0 };
        all.read_bindings(topics);
        for topic in ["gravity.boards.public.v1", "gravity.boards.jury.v1", "gravity.deadletter.v1"] {
            all.read_outputs(topics, topic);
        }
        all
    }

    fn read_bindings(&mut self, topics: &Topics) {
        let mut last = (i64::MIN, BTreeMap::new());
        for seen in topics.read("gravity.epochs.v1") {
            if seen.key != b"boards" {
                continue;
            }
            self.records += 1;
            let binding: Value = serde_json::from_slice(&seen.value).expect("a binding is JSON");
            let epoch = binding["epoch"].as_u64().expect("an epoch");
            assert_eq!(epoch, self.bindings.len() as u64 + 1, "epochs are dense, in order, each once");
            let part = |b: &Value| {
                let topic = b[0].as_str().expect("a topic").to_owned();
                ((topic, b[1].as_u64().expect("a partition")), b[2].as_u64().expect("an offset"))
            };
            let bound: BTreeMap<_, _> = binding["bound"].as_array().expect("bounds").iter().map(part).collect();
            let now_ms = binding["now_ms"].as_i64().expect("a clock");
            assert!(now_ms >= last.0, "the clock of epoch {epoch} goes back");
            let regressed = last.1.iter().find(|(at, offset)| bound.get(*at).is_none_or(|b| b < *offset));
            assert_eq!(regressed, None, "epoch {epoch} is bound to less than the one before");
            last = (now_ms, bound.clone());
            self.bindings.insert(epoch, (now_ms, bound));
        }
    }

    fn read_outputs(&mut self, topics: &Topics, topic: &str) {
        // By partition: the last closed epoch, and the records after it.
        let mut open: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for seen in topics.read(topic) {
            self.records += 1;
            let place = format!("{topic}/{} offset {}", seen.partition, seen.offset);
            let record: Value = serde_json::from_slice(&seen.value).expect("records are JSON");
            let data = &record["data"];
            let (closed, pending) = open.entry(seen.partition).or_default();
            if record["type"] == "epoch.closed" {
                let epoch = data["epoch"].as_u64().expect("an epoch");
                assert!(epoch > *closed, "{place}: epoch {epoch} is closed after {closed}");
                assert!(self.bindings.contains_key(&epoch), "{place}: epoch {epoch} has no binding");
                assert_eq!(data["records"].as_u64(), Some(*pending), "{place}: epoch {epoch} is not whole");
                (*closed, *pending) = (epoch, 0);
                continue;
            }
            *pending += 1;
            let id = record["id"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{place}: {id} is there twice");
            if record["type"] == "board.changed" {
                let view = data["view"].as_str().expect("a view").to_owned();
                for told in data["versions"].as_array().expect("versions").iter().filter(|t| t[0] == "") {
                    let newest = self.versions.entry(view.clone()).or_default();
                    *newest = (*newest).max(told[1].as_u64().expect("a version"));
                }
                self.boards.insert((view, data["key"].to_string()), data["value"].clone());
            }
        }
        let unfinished: Vec<_> = open.iter().filter(|(_, (_, pending))| *pending > 0).collect();
        assert!(unfinished.is_empty(), "{topic}: records without a marker: {unfinished:?}");
    }

    /// The last epoch.
    pub fn last_epoch(&self) -> u64 {
        self.bindings.keys().next_back().copied().unwrap_or(0)
    }

    /// The rows of a board as its page shows them, but without ranks, by team.
    fn rows(&self, view: &str) -> BTreeMap<String, Value> {
        let of = |kind: &'static str| {
            self.boards.iter().filter_map(move |((v, key), value)| {
                let key: Value = serde_json::from_str(key).expect("a key is JSON");
                (v == view && key["kind"] == kind && !value.is_null()).then(|| (key, value[kind].clone()))
            })
        };
        let firsts: BTreeSet<(String, String)> =
            of("first").map(|(key, first)| (first["team"].to_string(), key["problem"].to_string())).collect();
        let row = |(key, row): (Value, Value)| {
            let team = &key["team"];
            let cell = |cell: &Value| {
                let first = firsts.contains(&(team.to_string(), cell["problem"].to_string()));
                json!([cell["problem"], cell["solved_min"], cell["judged"], cell["pending"], first])
            };
            let cells: Vec<Value> = row["cells"].as_array().expect("cells").iter().map(cell).collect();
            let plain = json!({
                "name": row["name"], "divisions": row["divisions"], "score": row["solved"], "penalty": row["penalty"],
                "last_scored_at_ms": row["last_scored_at_ms"], "cells": cells,
            });
            (team.as_str().expect("a team").to_owned(), plain)
        };
        of("row").map(row).collect()
    }

    /// The boards that the topics make are those that the server shows, at the same versions.
    pub async fn equal_pages(&self, server: &Server, event: &str) {
        for view in ["public", "jury"] {
            let page = server.get_json(&format!("/api/v1/events/{event}/board?limit=1000&view={view}")).await;
            let cell = |c: &Value| {
                let first = c["first"].as_bool().unwrap_or(false);
                json!([c["problem"], c["time"], c["attempts"], c["pending"], first])
            };
            let row = |row: &Value| {
                let cells: Vec<Value> = row["problems"].as_array().expect("cells").iter().map(cell).collect();
                let plain = json!({
                    "name": row["name"], "divisions": row["divisions"], "score": row["score"],
                    "penalty": row["penalty"], "last_scored_at_ms": row["last_scored_at_ms"], "cells": cells,
                });
                (row["team"].as_str().expect("a team").to_owned(), plain)
            };
            let shown: BTreeMap<String, Value> = page["rows"].as_array().expect("rows").iter().map(row).collect();
            assert!(!shown.is_empty());
            assert_eq!(self.rows(view), shown, "the {view} board");
            assert_eq!(self.versions.get(view).copied(), page["version"].as_u64(), "the version of the {view} board");
        }
    }
}
