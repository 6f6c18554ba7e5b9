//! Serving index, live streams and the HTTP interface.
