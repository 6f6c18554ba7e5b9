//! The cases, in the order in which they run.

pub mod burn;
pub mod burst;
pub mod dynamic;
pub mod fanout;
pub mod freshness;
pub mod hostile;
pub mod idle;
pub mod lake;
pub mod memory;
pub mod rescore;
pub mod restart;
pub mod sql;
pub mod throughput;

use crate::Run;
use crate::report::Row;

/// A case.
pub type Case = fn(&Run) -> anyhow::Result<Vec<Row>>;

/// Every case.
pub const ALL: &[(&str, Case)] = &[
    ("throughput", throughput::run),
    ("burst", burst::run),
    ("fanout", fanout::run),
    ("freshness", freshness::run),
    ("hostile", hostile::run),
    ("idle", idle::run),
    ("restart", restart::run),
    ("rescore", rescore::run),
    ("dynamic", dynamic::run),
    ("sql", sql::run),
    ("lake", lake::run),
    ("burn", burn::run),
    ("memory", memory::run),
];
