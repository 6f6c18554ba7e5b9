//! Databases of services, object storage, the lake in it, and SQL over the lake and the live tables.
//!
//! [`database`] is for what services keep by transactions. [`objects`] opens a folder or a bucket. [`lake`] keeps what counted as Delta Lake tables there, [`sql`] answers questions.

pub mod backup;
pub mod database;
pub mod lake;
pub mod objects;
pub mod sql;
