//! Reads a stretch of a partition, or what is new of a topic, without holding all of it.

use std::collections::BTreeMap;

use gravity_events::Topic;

use super::{Entry, Limit, Log, LogError};

/// How much is held at once.
const STEP: Limit = Limit { records: 10_000, bytes: 8 << 20 };

/// The records of a partition from offset `from` to before `to`, in order. Ends early where the log does.
pub fn scan(
    log: &dyn Log,
    topic: Topic,
    partition: u32,
    from: u64,
    to: u64,
) -> impl Iterator<Item = Result<Entry, LogError>> {
    let mut next = from;
    let mut held = Vec::new().into_iter();
    std::iter::from_fn(move || {
        if held.as_slice().is_empty() && next < to {
            match log.read(topic, partition, next, STEP) {
                Ok(entries) => held = entries.into_iter(),
                Err(e) => {
                    next = to;
                    return Some(Err(e));
                }
            }
        }
        let entry: Entry = held.next().filter(|e| e.position.offset < to)?;
        next = entry.position.offset + 1;
        Some(Ok(entry))
    })
}

/// What came to a topic since these offsets (by partition; one that is missing is read from its start). They move on with each
/// record that was given to `each`, so that a call after a failed one goes on where that stopped.
///
/// # Errors
/// The log cannot be read.
pub fn read_on(
    log: &dyn Log,
    topic: Topic,
    read: &mut BTreeMap<u32, u64>,
    mut each: impl FnMut(Entry),
) -> Result<(), LogError> {
    for partition in 0..log.partitions(topic) {
        let (first, end) = log.range(topic, partition)?;
        let from = read.get(&partition).copied().unwrap_or(0).max(first);
        for entry in scan(log, topic, partition, from, end) {
            let entry = entry?;
            read.insert(partition, entry.position.offset + 1);
            each(entry);
        }
    }
    Ok(())
}
