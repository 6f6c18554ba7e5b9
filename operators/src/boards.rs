//! Boards: from an event's facts to rows, headers and first solves.

pub mod facts;
pub mod icpc;
