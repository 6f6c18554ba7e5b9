//! Feeds end to end: properties of the importer, and the client and the import against servers that misbehave.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

#[path = "feeds/client.rs"]
mod client;
#[path = "feeds/contest_server.rs"]
mod contest_server;
#[path = "feeds/import.rs"]
mod import;
#[path = "feeds/live.rs"]
mod live;
#[path = "feeds/platform.rs"]
mod platform;
#[path = "feeds/properties.rs"]
mod properties;
#[path = "feeds/record_server.rs"]
mod record_server;
