//! SQL over the lake and the live tables, by DataFusion.
//!
//! A session sees one catalogue with the schemas `lake` and `live`, and `views` over both, and of a tenant's session only that tenant's rows: its tables
//! are made of the tenant's files alone, so that no query, however it is written, reads another's.

mod catalog;
mod engine;
mod error;
mod output;
mod views;
pub mod wire;

pub use catalog::{LiveTable, Scope};
pub use engine::{Answer, Limits, SqlEngine};
pub use error::SqlError;
pub use output::{Encoder, Format};
pub use views::{VIEWS, View};
