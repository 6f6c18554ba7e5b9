//! Boards: from an event's facts to rows, headers and first solves.
//!
//! [`facts`] says what goes in, [`view`] wires the dataflow, [`score`] holds the pure functions per kind of board.

pub mod attempts;
pub mod explain;
pub mod fact;
pub mod facts;
pub mod gate;
pub mod panel;
pub mod resolver;
pub mod rules;
pub mod score;
pub mod teams;
pub mod value;
pub mod view;
pub mod visible;
pub mod worth;
