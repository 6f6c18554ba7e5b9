//! Pure operators and views: how facts become boards.
//!
//! A *view* is a pure function of the current facts that the folds keep, computed incrementally: [`boards`] holds those
//! of boards. [`primitives`] holds the operators that views are made of, [`harness`] what an author tests a view with, [`scoring`] the operators for the dimensions of a rubric.
//! Nothing here knows of files, networks, databases or clocks.

pub mod analytics;
pub mod anomaly;
pub mod boards;
pub mod guard;
pub mod harness;
pub mod metering;
pub mod plain;
pub mod primitives;
pub mod scoring;
pub mod similarity;
pub mod watch;
