//! The dedupe fold: every record counts once (invariant 6).
//!
//! Identities accepted since the last base are in memory, in the tables here, and in the journal's frames. Older ones
//! are on disk, in [runs](run) that all workers share; of a run only its filter and its fences are in memory. A merge
//! moves identities from the one to the other: the sequencer marks an epoch, every worker puts its table aside after it,
//! and drops that table once the runs hold all up to that epoch.

pub mod claims;
mod filter;
pub mod run;
pub mod runs;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use gravity_events::Identity;
use gravity_ingest::log::LogError;

use super::row::SHARDS;
use runs::{RunSet, Runs};

/// Days that an identity is kept after acceptance.
pub const KEPT_DAYS: u16 = 32;

/// Day of acceptance of a backfilled record: kept as long as its event or tenant lives.
pub const FOREVER: u16 = u16::MAX;

/// Bytes of one identity in a frame or run: id, data hash, day of acceptance, little endian.
pub const PACKED_BYTES: usize = 26;

/// The shard of an identity. Stored in frames, so it never changes.
pub fn shard_of_identity(id: u128) -> u8 {
    (id % u128::from(SHARDS)) as u8
}

/// What an identity says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never seen, or so long ago that it is forgotten: it counts.
    New,
    /// Same identity, same data: dropped and counted.
    Duplicate,
    /// Same identity, other data: refused.
    Conflict,
}

/// Identities are uniform already; hashing them again would only cost time.
#[derive(Default)]
pub struct TakeHigh(u64);

impl Hasher for TakeHigh {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only u128 keys are hashed");
    }
    fn write_u128(&mut self, n: u128) {
        // The low 6 bits choose the shard, so a worker's table must not use them.
        self.0 = (n >> 64) as u64;
    }
}

type Table = HashMap<u128, (u64, u16), BuildHasherDefault<TakeHigh>>;

/// The identities of one worker: its tables, and the runs that it shares.
#[derive(Default)]
pub struct Identities {
    current: Table,
    /// Identities up to an epoch that a merge is moving into the runs.
    aside: Option<(u64, Table)>,
    runs: Arc<RunSet>,
    shared: Arc<Runs>,
}

impl Identities {
    /// With nothing in memory but the runs, and room for `n`.
    pub fn with_capacity(n: usize, shared: Arc<Runs>) -> Identities {
        Identities {
            current: HashMap::with_capacity_and_hasher(n, Default::default()),
            aside: None,
            runs: shared.get(),
            shared,
        }
    }

    /// Loads packed identities of a frame.
    pub fn load(&mut self, packed: &[u8]) {
        self.current.extend(unpack(packed).map(|(id, data, day)| (id, (data, day))));
    }

    /// Looks whether a merge has finished. To be called at the start of an epoch.
    pub fn refresh(&mut self) {
        let runs = self.shared.get();
        if runs.upto != self.runs.upto {
            self.runs = runs;
            if self.aside.as_ref().is_some_and(|(upto, _)| *upto <= self.runs.upto) {
                self.aside = None;
            }
        }
    }

    /// What an identity says of a record on day `today`. The error: a run cannot be read.
    pub fn look(&self, identity: Identity, today: u16) -> Result<Verdict, LogError> {
        let found = match self.current.get(&identity.id) {
            Some(found) => Some(*found),
            None => match self.aside.as_ref().and_then(|(_, t)| t.get(&identity.id)) {
                Some(found) => Some(*found),
                None => self.runs.get(identity.id)?,
            },
        };
        Ok(match found.filter(|(_, day)| is_kept(*day, today)) {
            None => Verdict::New,
            Some((data, _)) if data == identity.data => Verdict::Duplicate,
            Some(_) => Verdict::Conflict,
        })
    }

    /// Remembers a new identity, accepted on `day`.
    pub fn insert(&mut self, identity: Identity, day: u16) {
        self.current.insert(identity.id, (identity.data, day));
    }

    /// Puts the table aside after epoch `upto`, for a merge up to there.
    pub fn put_aside(&mut self, upto: u64) {
        self.refresh();
        if let Some((_, older)) = self.aside.take() {
            // Its merge came to nothing. The newer entries hold.
            let newer = std::mem::replace(&mut self.current, older);
            self.current.extend(newer);
        }
        self.aside = Some((upto, std::mem::take(&mut self.current)));
    }

    /// How many are in memory.
    pub fn in_memory(&self) -> usize {
        self.current.len() + self.aside.as_ref().map_or(0, |(_, t)| t.len())
    }
}

/// Whether an identity accepted on `day` is still kept on day `today`.
pub fn is_kept(day: u16, today: u16) -> bool {
    day == FOREVER || today <= day.saturating_add(KEPT_DAYS)
}

/// The day of a time.
pub fn day_of(now_ms: i64) -> u16 {
    u16::try_from(now_ms.max(0) / 86_400_000).unwrap_or(FOREVER - 1).min(FOREVER - 1)
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
        let look = |t: &Identities, i: Identity, today| t.look(i, today).unwrap();
        assert_eq!(look(&t, a, 100), Verdict::New);
        t.insert(a, 100);
        assert_eq!(look(&t, a, 101), Verdict::Duplicate);
        assert_eq!(look(&t, Identity { data: 6, ..a }, 101), Verdict::Conflict);
        t.insert(Identity { id: 9, data: 9 }, FOREVER);
        let mut packed = Vec::new();
        pack(&mut packed, a, 100);
        let mut other = Identities::default();
        other.load(&packed);
        assert_eq!(look(&other, a, 101), Verdict::Duplicate);
        assert_eq!(look(&t, a, 100 + KEPT_DAYS), Verdict::Duplicate);
        assert_eq!(look(&t, a, 101 + KEPT_DAYS), Verdict::New, "forgotten");
        assert_eq!(look(&t, Identity { id: 9, data: 9 }, FOREVER - 1), Verdict::Duplicate, "the backfilled one stays");
        t.put_aside(7);
        assert_eq!(look(&t, a, 101), Verdict::Duplicate, "what is put aside is still known");
        t.put_aside(8);
        assert_eq!((look(&t, a, 101), t.in_memory()), (Verdict::Duplicate, 2));
    }

    #[test]
    fn days_of_strange_clocks() {
        assert_eq!([day_of(i64::MIN), day_of(-1), day_of(0), day_of(86_400_000)], [0, 0, 0, 1]);
        assert_eq!(day_of(i64::MAX), FOREVER - 1);
    }
}
