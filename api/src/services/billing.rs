//! Billing: what tenants use, what it costs, and what they may spend.

pub mod adapters;
pub mod adjustments;
pub mod budgets;
pub mod burn;
pub mod invoices;
pub mod ledger;
pub mod meters;
pub mod reprice;
pub mod reservations;
mod windows;
