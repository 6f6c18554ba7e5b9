//! Settings of the serving index.

use std::time::Duration;

/// Settings of [`super::Boards`]. [`BoardsOptions::new`] gives every default but the key.
#[derive(Clone)]
pub struct BoardsOptions {
    /// Signs cursors and tags answers. Random, kept with the data, so that a cursor outlives a restart; never shown.
    pub key: [u8; 32],
    /// Versions of each board that are kept for `at`, cursors and resuming streams; at least 1.
    pub kept_versions: usize,
    /// Bytes of encoded answers kept for each of public and jury.
    pub cache_bytes: usize,
    /// Time between heartbeats of a stream, counted from its start.
    pub heartbeat: Duration,
    /// Streams open at once; more are refused.
    pub max_subscribers: usize,
    /// Rows that change together for an event's boards to be sorted anew, if they are a good part of all.
    pub bulk_rows: usize,
}

impl BoardsOptions {
    /// The defaults, with this key.
    pub fn new(key: [u8; 32]) -> BoardsOptions {
        BoardsOptions {
            key,
            kept_versions: 64,
            cache_bytes: 64 << 20,
            heartbeat: Duration::from_secs(15),
            max_subscribers: 100_000,
            bulk_rows: 256,
        }
    }
}
