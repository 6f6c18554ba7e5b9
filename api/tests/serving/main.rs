//! The serving index against a plain model: pages, streams, visibility, HTTP, threads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod client;
mod http;
mod pages;
mod streams;
mod threads;
mod visibility;
mod world;
