//! What every route shares: problems, tokens, extractors, the edge, the server, health and pages.

pub mod auth;
mod bodies;
pub mod edge;
pub mod etag;
pub mod extract;
pub mod health;
pub mod idempotency;
pub mod misfit;
pub mod pages;
mod peers;
pub mod problem;
pub mod server;
pub mod tokens;

pub use auth::{Admin, Feeder, Viewer};
pub use problem::{FieldError, Problem};
pub use tokens::{Principal, Role, Tokens};
