//! Serving index, live streams and the HTTP interface.

pub mod admission;
pub mod app;
mod append;
pub mod bulk;
pub mod http;
pub mod metrics;
pub mod openapi;
pub mod operations;
mod places;
pub mod services;
pub mod serving;
pub mod traces;
pub mod visibility;

pub use app::{AppState, router};
pub use http::server::{ServerOptions, serve, serve_with};
