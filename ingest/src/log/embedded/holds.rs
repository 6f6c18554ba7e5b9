//! Who still needs what: retention keeps everything at or past the lowest bound.
//!
//! Kept in `holds.json`, so that retention knows after a restart, before its holders have come back. A new holder (or
//! partition of one) is on disk before `set` returns; later bounds only before retention uses them: an older bound holds
//! more, never less.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gravity_events::Topic;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::log::{Bound, LogError};
use crate::segment::disk;

const FORMAT: u32 = 1;

/// Bounds by topic and partition.
pub(super) type Bounds = BTreeMap<(Topic, u32), u64>;

#[derive(Debug)]
pub(super) struct Holds {
    path: PathBuf,
    sync: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    holders: BTreeMap<String, Bounds>,
    /// The file lacks something.
    unsaved: bool,
    /// The file lacks a holder, or a partition of one.
    unsaved_new: bool,
}

#[derive(Serialize, Deserialize)]
struct HoldsFile {
    format: u32,
    /// Per holder: topic name, partition, offset.
    holders: BTreeMap<String, Vec<(String, u32, u64)>>,
}

impl Holds {
    /// Reads the file. Also says whether it was there and whole; if not, the caller finds out anew.
    pub fn open(dir: &Path, sync: bool) -> Result<(Holds, bool), LogError> {
        let path = dir.join("holds.json");
        let (holders, found) = match std::fs::read(&path) {
            Ok(bytes) => match decode(&path, &bytes)? {
                Some(holders) => (holders, true),
                None => {
                    tracing::warn!(path = %path.display(), "garbled: retention keeps what output topics need, and forgets other holders");
                    (BTreeMap::new(), false)
                }
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => (BTreeMap::new(), false),
            Err(e) => return Err(disk::failed("read", &path, e)),
        };
        let state = State {
            holders,
            unsaved: !found,
            unsaved_new: false,
        };
        Ok((
            Holds {
                path,
                sync,
                state: Mutex::new(state),
            },
            found,
        ))
    }

    /// Sets bounds of a holder; those of other partitions stay. No bounds: the holder needs nothing any more.
    pub fn set(&self, holder: &str, bounds: &[Bound]) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if bounds.is_empty() {
            state.unsaved |= state.holders.remove(holder).is_some();
            return Ok(());
        }
        let held = state.holders.entry(holder.into()).or_default();
        let is_new = bounds
            .iter()
            .filter(|b| held.insert((b.topic, b.partition), b.offset).is_none())
            .count()
            > 0;
        state.unsaved = true;
        state.unsaved_new |= is_new;
        if state.unsaved_new {
            self.write(&mut state)
        } else {
            Ok(())
        }
    }

    /// The lowest bound on a partition.
    pub fn lowest(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.state
            .lock()
            .holders
            .values()
            .filter_map(|b| b.get(&(topic, partition)).copied())
            .min()
    }

    /// The bounds of one holder.
    pub fn of(&self, holder: &str) -> Bounds {
        self.state.lock().holders.get(holder).cloned().unwrap_or_default()
    }

    /// Makes sure that the file knows every holder and every partition of it, should `set` have failed to write it.
    pub fn save_new(&self) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if state.unsaved_new {
            self.write(&mut state)
        } else {
            Ok(())
        }
    }

    /// Brings the file up to date.
    pub fn save(&self) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if state.unsaved { self.write(&mut state) } else { Ok(()) }
    }

    fn write(&self, state: &mut State) -> Result<(), LogError> {
        let list = |bounds: &Bounds| {
            bounds
                .iter()
                .map(|((t, p), o)| (t.name().to_string(), *p, *o))
                .collect()
        };
        let holders = state
            .holders
            .iter()
            .map(|(holder, bounds)| (holder.clone(), list(bounds)))
            .collect();
        let bytes = serde_json::to_vec_pretty(&HoldsFile {
            format: FORMAT,
            holders,
        })
        .expect("plain data");
        disk::replace_file(&self.path, &bytes, self.sync)?;
        (state.unsaved, state.unsaved_new) = (false, false);
        Ok(())
    }
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Option<BTreeMap<String, Bounds>>, LogError> {
    let Ok(file) = serde_json::from_slice::<HoldsFile>(bytes) else {
        return Ok(None);
    };
    if file.format > FORMAT {
        return Err(LogError::TooNew {
            path: path.into(),
            found: file.format,
            known: FORMAT,
        });
    }
    let bounds = |list: Vec<(String, u32, u64)>| -> Option<Bounds> {
        list.into_iter()
            .map(|(topic, p, o)| Some(((Topic::from_name(&topic)?, p), o)))
            .collect()
    };
    Ok(file
        .holders
        .into_iter()
        .map(|(holder, list)| Some((holder, bounds(list)?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(partition: u32, offset: u64) -> Bound {
        Bound {
            topic: Topic::Usage,
            partition,
            offset,
        }
    }

    #[test]
    fn the_lowest_bound_counts_and_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let (holds, found) = Holds::open(dir.path(), true).unwrap();
        assert!(!found);
        holds.set("a", &[bound(0, 5), bound(1, 9)]).unwrap();
        holds.set("b", &[bound(0, 3)]).unwrap();
        assert_eq!(holds.lowest(Topic::Usage, 0), Some(3));
        holds.set("b", &[bound(0, 8)]).unwrap();
        assert_eq!(
            (holds.lowest(Topic::Usage, 0), holds.lowest(Topic::Usage, 1)),
            (Some(5), Some(9))
        );
        let (holds, found) = Holds::open(dir.path(), true).unwrap();
        assert!(found);
        assert_eq!(
            holds.lowest(Topic::Usage, 0),
            Some(3),
            "an older bound, which holds more"
        );
        holds.set("b", &[]).unwrap();
        holds.save().unwrap();
        let (holds, _) = Holds::open(dir.path(), true).unwrap();
        assert_eq!(
            (holds.lowest(Topic::Usage, 0), holds.lowest(Topic::Labs, 0)),
            (Some(5), None)
        );
    }

    #[test]
    fn a_garbled_file_counts_as_none_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("holds.json"), b"{").unwrap();
        assert!(!Holds::open(dir.path(), true).unwrap().1);
        std::fs::write(dir.path().join("holds.json"), br#"{"format":2,"holders":{}}"#).unwrap();
        assert!(matches!(
            Holds::open(dir.path(), true),
            Err(LogError::TooNew { found: 2, .. })
        ));
    }
}
