//! Identifiers where they are only looked up.

use std::hash::BuildHasher;
use std::num::NonZeroU64;

use foldhash::quality::FixedState;
use gravity_events::Id;
use serde::{Deserialize, Serialize};

/// 64 bits of hash in place of an identifier, for a lookup among the few of its kind in an event. The same in all
/// workers of a process; other builds may have other hashes, so it is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdHash(NonZeroU64);

impl IdHash {
    /// Of an identifier.
    pub fn of(id: &str) -> Self {
        // 0 is left out, so that an optional one takes no more room.
        IdHash(NonZeroU64::new(FixedState::with_seed(0).hash_one(id)).unwrap_or(NonZeroU64::MIN))
    }
}

impl From<&Id> for IdHash {
    fn from(id: &Id) -> Self {
        IdHash::of(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_have_equal_hashes_and_options_are_free() {
        assert_eq!(IdHash::of("AC"), IdHash::from(&Id::from("AC")));
        assert_ne!(IdHash::of("AC"), IdHash::of("CA"));
        assert_eq!(size_of::<Option<IdHash>>(), 8);
    }
}
