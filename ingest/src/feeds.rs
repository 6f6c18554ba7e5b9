//! Feeds: what others recorded or send live, turned into records.
//!
//! An [`Importer`] is a pure state machine: lines in, records out, no clock and no I/O, so that the same feed always
//! gives the same records with the same ids. A [`source::Source`] says where the lines come from, and
//! [`import::import`] carries the records to a server.

pub mod azure_llm;
pub mod clics;
pub mod cloudevents;
mod error;
pub mod import;
pub mod nizkctf;
pub mod resume;
pub mod source;

use std::collections::BTreeMap;

pub use error::FeedError;
use gravity_events::{Id, Record, codec, record::stable_hash128};
pub use resume::Cursor;

/// A record on its way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The record in structured mode.
    pub bytes: Vec<u8>,
    /// Its `time`, milliseconds since 1970.
    pub time_ms: Option<i64>,
    /// Records with the same key reach the log in the order in which they were given; others may overtake each other.
    pub order_key: u64,
}

impl Outgoing {
    /// Encodes `record`; `order_parts` name what it must stay in order with (an object, an identity).
    pub fn new(record: &Record, order_parts: &[&str]) -> Outgoing {
        Outgoing { bytes: codec::encode(record), time_ms: record.time_ms, order_key: order_key(order_parts) }
    }
}

/// The order key of what these parts name.
pub fn order_key(parts: &[&str]) -> u64 {
    match parts {
        [] => 0,
        [a, b] => stable_hash128(&[a.as_bytes(), b.as_bytes()]) as u64,
        _ => stable_hash128(&parts.iter().map(|p| p.as_bytes()).collect::<Vec<_>>()) as u64,
    }
}

/// The CloudEvents `source` of the records that feeds of `format` give for `event`. Names the event, because one tenant
/// may import two contests whose feeds use the same tokens; not the file or address, so that a recording of a feed and
/// the live feed give the same records.
pub fn source_name(format: &str, event: &str) -> Id {
    Id::from(format!("/feeds/{format}/{event}"))
}

/// Turns the lines of one format into records.
pub trait Importer: Send {
    /// Takes one line and appends its records to `out`. An error is about this line alone: go on with the next one.
    fn push_line(&mut self, line: &str, out: &mut Vec<Outgoing>) -> Result<(), FeedError>;

    /// Problems with parts of lines whose other parts were taken; given once.
    fn take_problems(&mut self) -> Vec<FeedError> {
        Vec::new()
    }

    /// What was left out, by kind.
    fn skipped(&self) -> &BTreeMap<String, u64>;

    /// Where a live feed is to go on after the last line.
    fn cursor(&self) -> Option<Cursor> {
        None
    }

    /// Whether the feed said that nothing more will come.
    fn ended(&self) -> bool {
        false
    }

    /// Tenant and event, as far as they are fixed: what a stored position is for.
    fn scope(&self) -> String;

    /// All that has to be remembered to go on from [`Importer::cursor`] in another process, as JSON.
    fn snapshot(&self) -> Option<String> {
        None
    }

    /// Takes back what [`Importer::snapshot`] gave. The error says what is wrong with it.
    fn restore(&mut self, snapshot: &str) -> Result<(), String> {
        let _ = snapshot;
        Err("this format keeps nothing between runs".into())
    }
}
