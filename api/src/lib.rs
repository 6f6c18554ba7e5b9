//! Serving index, live streams and the HTTP interface.

pub mod serving;
