//! Metering: what was used, by minute, and what it costs.
//!
//! ```text
//! usage records -> sums by cell (fold) -+
//!                                       +-> charged cells -> minutes of a tenant, and what accounts spent unreserved
//! price lists (fold) -------------------+
//!
//! usage records -> cells that tell more apart (fold) -+
//!                                                     +-> windows of meters
//! definitions of meters (fold) -----------------------+
//! ```
//!
//! A [cell](gravity_events::burn::Cell) is all usage of a minute that is charged alike. [`prices`] says what a cell costs,
//! [`rate`] keeps the charges of all cells right when usage or prices change. [`meters`] does the same for what tenants define
//! themselves.

pub mod accounts;
mod aggregate;
pub mod meters;
pub mod minutes;
pub mod prices;
pub mod rate;
pub mod usage_cells;
