//! The HTTP interface over a fake log and a real serving index.

#![allow(clippy::unwrap_used)] // helpers of tests, outside of test functions

mod http {
    mod contests;
    mod fixture;
    mod flags;
    mod hostile;
    mod log;
    mod openapi;
    mod operations;
    mod problems;
    mod queries;
    mod records;
    mod roles;
    mod scoring;
    mod server;
    mod state;
    mod submissions;
}
