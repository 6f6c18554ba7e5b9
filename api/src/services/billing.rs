//! Billing: what tenants use, and what it costs.

pub mod burn;
mod windows;
