//! The Kafka log on a real broker.

#![allow(clippy::unwrap_used)] // helpers are tests, too

mod common;
#[path = "../conformance/suite.rs"]
mod conformance;
mod conforming;
#[path = "../support/kafka_server.rs"]
mod kafka_server;
mod outputs;
mod reading;
mod restart;
mod server;
mod topics;
mod writing;
