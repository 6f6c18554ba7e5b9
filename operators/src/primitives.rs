//! Reusable operators for totally ordered times, and the orders that views use.
//!
//! Epochs are totally ordered, so that a group needs its current values only, not their history. [`reduce`] and
//! [`extreme`] keep just that, in one flat map; tests hold both against differential dataflow's own `reduce`.

pub mod as_of;
pub mod complete_times;
pub(crate) mod counts;
pub mod extreme;
pub mod held;
pub mod id_hash;
pub mod lookup;
pub mod natural;
pub mod percentile;
pub mod reduce;
pub mod sum;
pub mod top_k;
pub mod windows;
