//! Pipelines: the runtime that turns topics into committed, versioned views, and one file per pipeline that wires it.

pub mod analytics;
pub mod boards;
pub mod burn;
pub mod labs;
pub mod runtime;
pub mod similarity;
pub mod verify;

/// The names of all pipelines, which are those of their folders.
pub const NAMES: [&str; 5] = [analytics::NAME, boards::NAME, burn::NAME, labs::NAME, similarity::NAME];
