//! The runtime from records to published epochs, on a log in memory and a real journal.

#![allow(clippy::unwrap_used)] // helpers of tests, outside of test functions

mod claims;
mod epochs;
mod expiry;
mod failures;
mod flags;
mod formats;
mod gates;
mod identities;
mod journals;
mod overruns;
mod support;
mod toy;
