//! The rules by hand: small contests with computed results.

mod contest;
mod freeze;
mod judgements;
mod reference;
mod scoring;
