//! What an author tests a view with: scripts of epochs over several workers, oracles, golden files.
//!
//! A *script* is a list of epochs, each a list of updates. [`run::Run`] drives a view with one and gives back what left
//! it in each epoch; [`oracle::agree`] holds that against a plain function of the facts, for several numbers of
//! workers; [`golden::golden`] holds a text against a file. [`boards`] does this for views of [`crate::boards`].

pub mod bench;
pub mod boards;
pub mod dice;
pub mod dimension;
pub mod golden;
pub mod oracle;
pub mod run;
pub mod script;
