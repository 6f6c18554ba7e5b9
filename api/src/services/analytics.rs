//! Analytics: questions in SQL.

pub mod sql;
