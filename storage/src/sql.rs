//! SQL over the lake and the live tables, by DataFusion.
//!
//! A session sees one catalogue with the schemas `lake` and `live`, and `views` over both, and of a tenant's session only that tenant's rows: its tables
//! are made of the tenant's files alone, so that no query, however it is written, reads another's.
//!
//! Futures that hold plans or parsed SQL are made and boxed in functions without bounds. That a future is `Send` is proved all through the
//! types of what it holds; rustc keeps the answer only where nothing is assumed, and methods of `#[async_trait]` assume
//! something: each of them took seconds to compile. (DataFusion's pull request 24325 found it.)

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
