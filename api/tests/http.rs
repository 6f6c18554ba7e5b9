//! The HTTP interface over a fake log and a real serving index.

mod http {
    mod contests;
    mod fixture;
    mod hostile;
    mod log;
    mod openapi;
    mod operations;
    mod problems;
    mod records;
    mod server;
    mod state;
    mod submissions;
}
