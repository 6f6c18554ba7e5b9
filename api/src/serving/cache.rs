//! Encoded answers, each made once for all who ask, within a bound of bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use gravity_events::Id;
use parking_lot::Mutex;

use crate::http::etag::content_tag;

/// What is encoded, of the board state with this id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) state: u64,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// A page's JSON.
    Page { from: usize, limit: usize },
    /// A stream's frame with the first rows.
    Snapshot { limit: usize },
    /// A stream's frame from another state, by its id.
    Delta { base: u64, limit: usize },
    /// A team's JSON.
    Team(Id),
    /// A stream's frame with a team's answer.
    You(Id),
    /// The names of some rows.
    Names { from: usize, limit: usize },
    /// An answer of this name that a service makes of the whole board.
    Whole(&'static str),
}

/// An answer, and the entity tag of its content once somebody wanted that.
#[derive(Default)]
struct Encoded {
    bytes: OnceLock<Bytes>,
    tag: OnceLock<String>,
}

type Cell = Arc<Encoded>;

/// Two generations: what is used moves to the young one; when that is full it becomes the old one, and the old is
/// dropped. So at most `bytes_max`, plus one answer, stay, and what is in use stays longest.
pub(super) struct Cache {
    bytes_max: usize,
    generations: Mutex<Generations>,
    encoded: AtomicU64,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Cell>,
    old: HashMap<Key, Cell>,
    young_bytes: usize,
}

/// What an entry costs besides its bytes, roughly.
const ENTRY_BYTES: usize = 160;

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Cache {
        Cache { bytes_max, generations: Mutex::default(), encoded: AtomicU64::new(0) }
    }

    /// Answers that were encoded so far.
    pub(super) fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }

    /// The bytes for a key, encoded by the first who asks while the others wait for them.
    pub(super) fn get(&self, key: Key, encode: impl FnOnce() -> Vec<u8>) -> Bytes {
        self.bytes(&self.cell(&key), encode)
    }

    /// The same, with a strong entity tag of the bytes.
    pub(super) fn get_tagged(&self, key: Key, encode: impl FnOnce() -> Vec<u8>) -> (Bytes, String) {
        let cell = self.cell(&key);
        let bytes = self.bytes(&cell, encode);
        let tag = cell.tag.get_or_init(|| content_tag(&bytes)).clone();
        (bytes, tag)
    }

    fn bytes(&self, cell: &Cell, encode: impl FnOnce() -> Vec<u8>) -> Bytes {
        let mut encoded_bytes = None;
        let bytes = cell.bytes.get_or_init(|| {
            let bytes = Bytes::from(encode());
            encoded_bytes = Some(bytes.len());
            bytes
        });
        if let Some(len) = encoded_bytes {
            self.encoded.fetch_add(1, Ordering::Relaxed);
            self.grow(len);
        }
        bytes.clone()
    }

    fn cell(&self, key: &Key) -> Cell {
        let mut generations = self.generations.lock();
        if let Some(cell) = generations.young.get(key) {
            return cell.clone();
        }
        let cell = generations.old.remove(key).unwrap_or_default();
        let len = cell.bytes.get().map_or(0, Bytes::len);
        generations.young.insert(key.clone(), cell.clone());
        drop(generations);
        self.grow(len + ENTRY_BYTES);
        cell
    }

    fn grow(&self, bytes: usize) {
        let mut generations = self.generations.lock();
        generations.young_bytes += bytes;
        if generations.young_bytes > self.bytes_max / 2 {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = 0;
        }
    }

    #[cfg(test)]
    fn len_bytes(&self) -> usize {
        let generations = self.generations.lock();
        let cells = generations.young.values().chain(generations.old.values());
        cells.map(|cell| cell.bytes.get().map_or(0, Bytes::len)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(state: u64) -> Key {
        Key { state, what: What::Snapshot { limit: 10 } }
    }

    #[test]
    fn encodes_once_and_stays_within_its_bound() {
        let cache = Cache::new(100_000);
        let hot = cache.get(key(0), || vec![1; 1_000]);
        for n in 1..2_000 {
            cache.get(key(n), || vec![0; 1_000]);
            let again = cache.get(key(0), || unreachable!("in use, so kept"));
            assert_eq!(hot.as_ptr(), again.as_ptr());
            assert!(cache.len_bytes() <= 101_000);
        }
        let mut encoded = false;
        cache.get(key(1), || {
            encoded = true;
            vec![]
        });
        assert!(encoded, "not in use, so dropped");
    }

    #[test]
    fn waits_for_the_one_who_encodes() {
        let cache = Cache::new(1 << 20);
        let encoders = std::sync::atomic::AtomicUsize::new(0);
        let all: Vec<usize> = std::thread::scope(|scope| {
            let ask = || {
                let encode = || {
                    encoders.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    vec![7; 100]
                };
                cache.get(key(5), encode).as_ptr() as usize
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(encoders.into_inner(), 1);
        assert!(all.iter().all(|p| *p == all[0]));
    }
}
