//! Versions of the parts of an output: dense, +1 only when the part's own content changes (invariants 5 and 8).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

use bytes::Bytes;
use foldhash::quality::RandomState;
use gravity_events::record::stable_hash128;

use super::definition::{Definition, Touch};

/// The version of every part, with a digest of its content that does not depend on order, so that a restart can tell
/// whether this build shows what the last one showed.
pub struct Versions<D: Definition> {
    parts: BTreeMap<D::Scope, Part>,
    /// Hash of each output row by the hash of its key, to take it out of the digests again.
    rows: HashMap<u128, u64, RandomState>,
    /// For hashes of keys, which are only looked up: nobody outside can foresee them.
    seeds: [RandomState; 2],
    /// The version before a new part's first one: 0, unless the journal was made anew. No part can have had more versions
    /// than there were epochs, so none is shown twice.
    genesis: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    version: u64,
    digest: u64,
    /// Rows have touched all that is related to it.
    leads: bool,
}

/// Parts that changed, with their digests before; None: they moved, whatever their digest says, because what is related to
/// them did.
pub type Moved<D> = BTreeMap<<D as Definition>::Scope, Option<u64>>;

/// An output row that changed, with what it was.
pub struct Diff<D: Definition> {
    /// Which.
    pub key: D::Key,
    /// What it was.
    pub old: Option<D::Value>,
    /// What it is.
    pub new: Option<D::Value>,
    /// The key, encoded.
    pub key_bytes: Bytes,
    /// The new value, encoded.
    pub new_bytes: Option<Bytes>,
}

impl<D: Definition> Versions<D> {
    /// None yet.
    pub fn new(genesis: u64) -> Versions<D> {
        Versions { parts: BTreeMap::new(), rows: HashMap::default(), seeds: Default::default(), genesis }
    }

    /// Takes in what changed; returns the parts whose version moved, with version and digest.
    pub fn apply(&mut self, definition: &D, diffs: &[Diff<D>]) -> Vec<(D::Scope, u64, u64)> {
        let mut moved = Moved::<D>::new();
        self.stage(definition, diffs, &mut moved);
        self.bump(moved.into_keys())
    }

    /// Takes in what changed behind a gate, whose parts get their next versions when it closes: see [`Self::release`].
    pub fn stage(&mut self, definition: &D, diffs: &[Diff<D>], moved: &mut Moved<D>) {
        let mut touches = Vec::new();
        for diff in diffs {
            let key_hash = self.hash_of(&diff.key_bytes);
            let new_hash = diff.new_bytes.as_ref().map(|v| stable_hash128(&[&diff.key_bytes, v]) as u64);
            let old_hash = match new_hash {
                Some(h) => self.rows.insert(key_hash, h),
                None => self.rows.remove(&key_hash),
            };
            debug_assert_eq!(old_hash.is_some(), diff.old.is_some(), "an output row appears once");
            for (value, hash, add) in [(&diff.old, old_hash, false), (&diff.new, new_hash, true)] {
                let (Some(value), Some(hash)) = (value, hash) else { continue };
                definition.touches(&diff.key, value, &mut touches);
                for touch in touches.drain(..) {
                    let (scope, all) = match touch {
                        Touch::One(s) => (s, false),
                        Touch::Related(s) => (s, true),
                    };
                    if all {
                        let related = self
                            .parts
                            .range(scope.clone()..)
                            .map(|(s, _)| s)
                            .take_while(|s| definition.related(&scope, s));
                        moved.extend(related.cloned().map(|scope| (scope, None)));
                    }
                    let new = Part { version: self.genesis, ..Part::default() };
                    let part = self.parts.entry(scope.clone()).or_insert(new);
                    let before = if all { None } else { Some(part.digest) };
                    part.leads |= all;
                    part.digest = if add { part.digest.wrapping_add(hash) } else { part.digest.wrapping_sub(hash) };
                    let seen = moved.entry(scope).or_insert(before);
                    *seen = seen.filter(|_| !all);
                }
            }
        }
    }

    /// What stands for a key in this process.
    pub fn hash_of(&self, key_bytes: &Bytes) -> u128 {
        let [a, b] = self.seeds.each_ref().map(|seed| u128::from(seed.hash_one(key_bytes)));
        (a << 64) | b
    }

    /// The gate has closed: the parts that are not what they were get their next version.
    pub fn release(&mut self, moved: Moved<D>) -> Vec<(D::Scope, u64, u64)> {
        let differs = |(scope, before): (D::Scope, Option<u64>)| {
            (before != self.parts.get(&scope).map(|part| part.digest)).then_some(scope)
        };
        let moved: Vec<_> = moved.into_iter().filter_map(differs).collect();
        self.bump(moved.into_iter())
    }

    fn bump(&mut self, moved: impl Iterator<Item = D::Scope>) -> Vec<(D::Scope, u64, u64)> {
        let bump = |scope: D::Scope| {
            let part = self.parts.get_mut(&scope).expect("every part that moved exists");
            part.version += 1;
            (scope, part.version, part.digest)
        };
        moved.map(bump).collect()
    }

    /// Takes in the whole output after a start. `known` are versions and digests as they were committed; parts that
    /// are not what they were get the next version and are returned.
    pub fn restore(
        &mut self,
        definition: &D,
        all: &[Diff<D>],
        known: BTreeMap<D::Scope, (u64, u64)>,
    ) -> Vec<(D::Scope, u64, u64)> {
        self.apply(definition, all);
        for scope in known.keys() {
            self.parts.entry(scope.clone()).or_default();
        }
        let mut changed: BTreeSet<D::Scope> = BTreeSet::new();
        let mut leading = Vec::new();
        for (scope, part) in &mut self.parts {
            let before = known.get(scope).copied();
            let (version, digest) = before.unwrap_or((self.genesis, 0));
            part.version = version;
            if part.digest != digest || before.is_none() {
                changed.insert(scope.clone());
                leading.extend(part.leads.then(|| scope.clone()));
            }
        }
        // What is told of such a part also tells of those related to it.
        for scope in leading {
            changed.extend(
                self.parts
                    .range(scope.clone()..)
                    .map(|(s, _)| s)
                    .take_while(|s| definition.related(&scope, s))
                    .cloned(),
            );
        }
        self.bump(changed.into_iter())
    }

    /// Every part's version.
    pub fn all(&self) -> Vec<(D::Scope, u64)> {
        self.parts.iter().map(|(s, p)| (s.clone(), p.version)).collect()
    }
}
