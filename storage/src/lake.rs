//! The lake: what counted, as Delta Lake tables in object storage.
//!
//! ```text
//! accepted (topic): bounds, refused ---+
//! input topics: records ---------------+--> rows of a table --> Parquet files + one commit that says up to where
//! ```
//! A table's commit holds the new files *and* the offsets up to which its topics are in the table now (`txn` actions), so that a
//! record is in the table exactly once, whatever was interrupted. Nothing else remembers a position.

mod collect;
pub mod columns;
mod erase;
mod error;
pub mod follower;
pub mod schema;
pub mod table;
pub mod writer;

pub use error::LakeError;
