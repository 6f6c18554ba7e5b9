//! Object storage, the lake in it, and SQL over the lake and the live tables.
//!
//! [`objects`] opens a folder or a bucket. [`lake`] keeps what counted as Delta Lake tables there, [`sql`] answers questions.

pub mod lake;
pub mod objects;
pub mod sql;
