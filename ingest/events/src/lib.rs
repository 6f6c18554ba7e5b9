//! Record types, topics and the CloudEvents codec: the words that every other crate speaks.
//!
//! A *record* is one message on a topic, one CloudEvents 1.0 object on the wire. [`codec`] turns bytes into a
//! [`Record`] and back; [`body`] lists every record type; [`topic`] says where each belongs. [`board`] and [`publish`]
//! hold what comes out of the pipelines. This crate does no I/O and depends on nothing of ours.

pub mod analytics;
pub mod board;
pub mod body;
pub mod burn;
pub mod calendar;
pub mod canonical;
pub mod codec;
pub mod erasure;
pub mod error;
pub mod id;
mod key;
pub mod publish;
pub mod query;
pub mod record;
mod scan;
pub mod time;
pub mod topic;

pub use body::Body;
pub use error::DecodeError;
pub use id::{Id, natural_cmp};
pub use record::{Identity, Position, Record};
pub use topic::Topic;
