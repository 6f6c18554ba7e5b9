//! Analytics: views of events, and questions in SQL.

pub mod sql;
pub mod views;
