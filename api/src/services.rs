//! Routes by service. Each folder or file holds a service's handlers and what they compute.

pub mod analytics;
pub mod auth;
pub mod billing;
pub mod contests;
pub mod events;
pub mod labs;
pub mod ops;
pub mod records;
