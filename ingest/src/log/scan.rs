//! Reads a stretch of a partition without holding all of it.

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
