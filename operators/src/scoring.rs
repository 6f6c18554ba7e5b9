//! Dimensions of a rubric: operators that turn what was measured of a submission into basis points.
//!
//! An operator is one struct, its parameters, in a file of [`dimensions`], and one line in the catalogue there.

pub mod dimensions;
pub mod docs;
pub mod explain;
pub mod operator;
pub mod rubric;
