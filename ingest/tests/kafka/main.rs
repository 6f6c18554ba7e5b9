//! The Kafka log on a real broker.

mod common;
mod outputs;
mod reading;
mod restart;
mod server;
mod topics;
mod writing;
