//! The Kafka log on a real broker.

#![allow(clippy::unwrap_used)] // helpers are tests, too

mod common;
#[path = "../conformance/suite.rs"]
mod conformance;
mod conforming;
mod outputs;
mod reading;
mod restart;
mod server;
mod topics;
mod writing;
