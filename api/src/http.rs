//! What every route shares: problems, tokens, extractors, the edge, the server, health and pages.

pub mod auth;
pub mod edge;
pub mod etag;
pub mod extract;
pub mod health;
pub mod idempotency;
pub mod misfit;
pub mod pages;
pub mod problem;
pub mod server;
pub mod tokens;

pub use auth::{Admin, Feeder, Viewer};
pub use problem::{FieldError, Problem};
pub use tokens::{Principal, Role, Tokens};
