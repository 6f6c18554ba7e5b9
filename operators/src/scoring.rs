//! Dimensions of a rubric: operators that turn what was measured of a submission into basis points.
//!
//! An operator is one struct, its parameters, in a file of its own, and one line in [`catalogue`].

mod budget;
pub mod catalogue;
pub mod explain;
mod findings;
mod ladder;
mod log_ratio;
mod measure;
pub mod operator;
pub mod rubric;
mod test_groups;
