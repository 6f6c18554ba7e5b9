//! The dedupe fold: every record counts once (invariant 6).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use gravity_events::Identity;

use super::row::SHARDS;

/// Days that an identity is kept after acceptance.
pub const KEPT_DAYS: u16 = 32;

/// Day of acceptance of a backfilled record: kept as long as its event or tenant lives.
pub const FOREVER: u16 = u16::MAX;

/// Bytes of one identity in a frame or base: id, data hash, day of acceptance, little endian.
pub const PACKED_BYTES: usize = 26;

/// The shard of an identity. Stored in bases, so it never changes.
pub fn shard_of_identity(id: u128) -> u8 {
    (id % u128::from(SHARDS)) as u8
}

/// What an identity says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never seen: it counts.
    New,
    /// Same identity, same data: dropped and counted.
    Duplicate,
    /// Same identity, other data: refused.
    Conflict,
}

/// Identities are uniform already; hashing them again would only cost time.
#[derive(Default)]
pub struct TakeLow(u64);

impl Hasher for TakeLow {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only u128 keys are hashed");
    }
    fn write_u128(&mut self, n: u128) {
        // The low 6 bits choose the shard, so a shard's table must not use them alone.
        self.0 = (n >> 64) as u64;
    }
}

/// The identities of one worker.
#[derive(Default)]
pub struct Identities {
    seen: HashMap<u128, (u64, u16), BuildHasherDefault<TakeLow>>,
    swept_day: u16,
}

impl Identities {
    /// An empty table with room for `n`.
    pub fn with_capacity(n: usize) -> Identities {
        Identities { seen: HashMap::with_capacity_and_hasher(n, Default::default()), swept_day: 0 }
    }

    /// Checks a record's identity and remembers it when it is new.
    pub fn admit(&mut self, identity: Identity, day: u16) -> Verdict {
        match self.seen.entry(identity.id) {
            std::collections::hash_map::Entry::Occupied(e) if e.get().0 == identity.data => Verdict::Duplicate,
            std::collections::hash_map::Entry::Occupied(_) => Verdict::Conflict,
            std::collections::hash_map::Entry::Vacant(e) => {
                e.insert((identity.data, day));
                Verdict::New
            }
        }
    }

    /// Loads packed identities.
    pub fn load(&mut self, packed: &[u8]) {
        for (id, data, day) in unpack(packed) {
            self.seen.insert(id, (data, day));
        }
    }

    /// Forgets identities accepted more than [`KEPT_DAYS`] before `today`; works at most once a day.
    pub fn sweep(&mut self, today: u16) {
        if self.swept_day != today {
            self.swept_day = today;
            self.seen.retain(|_, (_, day)| is_kept(*day, today));
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

/// Whether an identity accepted on `day` is still kept on day `today`.
pub fn is_kept(day: u16, today: u16) -> bool {
    day == FOREVER || today <= day.saturating_add(KEPT_DAYS)
}

/// The day of a time, for [`Identities::admit`].
pub fn day_of(now_ms: i64) -> u16 {
    u16::try_from(now_ms.div_euclid(86_400_000)).unwrap_or(FOREVER - 1).min(FOREVER - 1)
}

/// Appends one identity in packed form.
pub fn pack(out: &mut Vec<u8>, identity: Identity, day: u16) {
    out.extend_from_slice(&identity.id.to_le_bytes());
    out.extend_from_slice(&identity.data.to_le_bytes());
    out.extend_from_slice(&day.to_le_bytes());
}

/// Reads packed identities: (id, data, day).
pub fn unpack(packed: &[u8]) -> impl Iterator<Item = (u128, u64, u16)> + '_ {
    debug_assert_eq!(packed.len() % PACKED_BYTES, 0);
    packed.chunks_exact(PACKED_BYTES).map(|c| {
        let (id, rest) = c.split_at(16);
        let (data, day) = rest.split_at(8);
        (
            u128::from_le_bytes(id.try_into().expect("16 bytes")),
            u64::from_le_bytes(data.try_into().expect("8 bytes")),
            u16::from_le_bytes(day.try_into().expect("2 bytes")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_once_refuses_conflicts_and_forgets_in_time() {
        let mut t = Identities::default();
        let a = Identity { id: 1 << 100, data: 5 };
        assert_eq!(t.admit(a, 100), Verdict::New);
        assert_eq!(t.admit(a, 101), Verdict::Duplicate);
        assert_eq!(t.admit(Identity { data: 6, ..a }, 101), Verdict::Conflict);
        assert_eq!(t.admit(a, 101), Verdict::Duplicate, "a conflict changes nothing");
        assert_eq!(t.admit(Identity { id: 9, data: 9 }, FOREVER), Verdict::New);
        let mut packed = Vec::new();
        pack(&mut packed, a, 100);
        let mut other = Identities::with_capacity(1);
        other.load(&packed);
        assert_eq!(other.admit(a, 101), Verdict::Duplicate);
        t.sweep(100 + KEPT_DAYS);
        assert_eq!(t.len(), 2);
        t.sweep(101 + KEPT_DAYS);
        assert_eq!(t.len(), 1, "the backfilled one stays");
    }
}
