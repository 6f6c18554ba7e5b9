//! Pipelines: the runtime that turns topics into committed, versioned views, and one file per pipeline that wires it.

pub mod analytics;
pub mod boards;
pub mod burn;
pub mod labs;
pub mod runtime;
pub mod similarity;
pub mod verify;
