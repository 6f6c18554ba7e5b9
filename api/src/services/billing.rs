//! Billing: what tenants use, what it costs, and what they may spend.

pub mod budgets;
pub mod burn;
pub mod ledger;
pub mod reservations;
mod windows;
