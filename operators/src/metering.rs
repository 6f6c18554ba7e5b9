//! Metering: what was used, by minute, and what it costs.
//!
//! ```text
//! usage records -> sums by cell (fold) -+
//!                                       +-> charged cells -> minutes of a tenant, and what accounts spent unreserved
//! price lists (fold) -------------------+
//! ```
//!
//! A [cell](gravity_events::burn::Cell) is all usage of a minute that is charged alike. [`prices`] says what a cell costs,
//! [`rate`] keeps the charges of all cells right when usage or prices change.

pub mod accounts;
pub mod minutes;
pub mod prices;
pub mod rate;
