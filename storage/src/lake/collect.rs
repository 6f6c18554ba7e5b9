//! The rows of one commit, read from the topics.

use std::collections::{BTreeMap, HashSet};

use gravity_events::{Topic, codec};
use gravity_ingest::log::{Entry, Log, LogError, scan};

use super::follower::Accepted;
use super::schema::{Row, Rows, Table};
use super::table::Positions;

/// Bytes of records of a commit, about, at most.
const BYTES_MAX: usize = 16 << 20;
/// Parts (days and tenants) of a commit at most: each has a file of its own that is written at the same time as the others.
const PARTS_MAX: usize = 48;

/// By topic and partition: the first offset that is there, and the one after the last.
pub(super) type Ranges = BTreeMap<(Topic, u32), (u64, u64)>;

/// The next rows of a table in these ranges, and how far its partitions are read with them.
pub(super) fn collect(
    log: &dyn Log,
    spec: &Table,
    accepted: &Accepted,
    mut read: Positions,
    ranges: &Ranges,
    rows_max: usize,
) -> Result<(Vec<Row>, Positions), LogError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut parts: HashSet<(i64, String)> = HashSet::new();
    let mut bytes = 0;
    for ((topic, partition), (first, end)) in ranges {
        let (topic, partition, first, end) = (*topic, *partition, *first, *end);
        let to = match spec.rows {
            Rows::Written => end,
            Rows::Accepted | Rows::Refused => accepted.bound(topic, partition).min(end),
        };
        // A table that begins after the first epochs were judged without being told begins after them.
        let known_from = first.max(accepted.known_from(topic, partition)).min(to.max(first));
        let position = read.entry((topic, partition)).or_insert(known_from);
        // One read for all: a read for each run of refused records would read their neighbours again and again.
        let wanted = match spec.rows {
            Rows::Refused => accepted.refused_span(topic, partition, *position, to),
            Rows::Accepted | Rows::Written => *position..to,
        };
        for entry in scan(log, topic, partition, wanted.start, wanted.end) {
            if rows.len() >= rows_max || bytes >= BYTES_MAX {
                return Ok((rows, read));
            }
            let entry = entry?;
            let (next, length) = (entry.position.offset + 1, entry.value.len());
            if let Some(row) = row(entry, spec, accepted) {
                let (day, tenant) = row.part();
                parts.insert((day, tenant.to_owned()));
                if parts.len() > PARTS_MAX {
                    return Ok((rows, read));
                }
                rows.push(row);
                bytes += length;
            }
            *read.entry((topic, partition)).or_default() = next;
        }
        let position = read.entry((topic, partition)).or_default();
        *position = (*position).max(to);
    }
    Ok((rows, read))
}

fn row(entry: Entry, spec: &Table, accepted: &Accepted) -> Option<Row> {
    let Entry { position, value, appended_at_ms, .. } = entry;
    let refused = match spec.rows {
        Rows::Written => None,
        Rows::Accepted | Rows::Refused => {
            accepted.refused(position.topic, position.partition, position.offset).cloned()
        }
    };
    if refused.is_some() != (spec.rows == Rows::Refused) {
        return None;
    }
    let record = codec::decode(&value).ok();
    debug_assert!(record.is_some() || refused.is_some(), "what counted can be decoded");
    let row = Row { position, appended_at_ms, record, raw: value, refused };
    (spec.takes)(&row).then_some(row)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::schema::tables;
    use super::*;
    use gravity_events::body::{EpochAccepted, RefusedRun, TopicBounds};
    use gravity_events::{Body, Position, Record};
    use gravity_ingest::log::{Appended, Bound, Limit, Outputs, Produce, Tail};

    /// One partition of each topic; that of usage has records. Counts how often it is read.
    struct Counting {
        usage: Vec<Entry>,
        reads: AtomicUsize,
    }

    impl Log for Counting {
        fn partitions(&self, _: Topic) -> u32 {
            1
        }
        fn range(&self, topic: Topic, _: u32) -> Result<(u64, u64), LogError> {
            Ok((0, if topic == Topic::Usage { self.usage.len() as u64 } else { 0 }))
        }
        fn read(&self, _: Topic, _: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            Ok(self.usage.iter().skip(from as usize).take(limit.records).cloned().collect())
        }
        fn append(&self, _: Vec<Produce>) -> Appended {
            unreachable!("it is read only")
        }
        fn tail(&self, _: Vec<Bound>) -> Result<Box<dyn Tail>, LogError> {
            unreachable!("it is read only")
        }
        fn hold(&self, _: &str, _: &[Bound]) {}
        fn outputs(&self, _: &str) -> Result<Box<dyn Outputs>, LogError> {
            unreachable!("it is read only")
        }
        fn close(&self) {}
    }

    fn entry(topic: Topic, offset: u64, value: Vec<u8>) -> Entry {
        let position = Position { topic, offset, partition: 0 };
        Entry { position, key: Default::default(), value: value.into(), appended_at_ms: 0 }
    }

    #[test]
    fn scattered_refused_records_are_read_once_and_not_each_with_its_neighbours() {
        const RECORDS: u64 = 400;
        let run = |offset| RefusedRun {
            topic: Topic::Usage.name().into(),
            partition: 0,
            offset,
            records: 1,
            code: "duplicate".into(),
            detail: None,
        };
        let told = Record {
            id: "1".into(),
            source: "pipeline:burn".into(),
            tenant: "-".into(),
            event: None,
            subject: None,
            time_ms: None,
            backfill: false,
            body: Body::EpochAccepted(EpochAccepted {
                pipeline: "burn".into(),
                epoch: 1,
                bounds: vec![TopicBounds { topic: Topic::Usage.name().into(), offsets: vec![(0, RECORDS)] }],
                refused: (0..RECORDS / 2).map(|n| run(n * 2)).collect(),
            }),
        };
        let mut accepted = Accepted::default();
        accepted.take(&entry(Topic::Accepted, 0, codec::encode(&told)));
        let usage = (0..RECORDS).map(|offset| entry(Topic::Usage, offset, b"no record".to_vec())).collect();
        let log = Counting { usage, reads: AtomicUsize::new(0) };
        let refused = tables().into_iter().find(|table| table.rows == Rows::Refused).unwrap();
        let ranges = [((Topic::Usage, 0), (0, RECORDS))].into();
        let (rows, read) = collect(&log, &refused, &accepted, Positions::new(), &ranges, 1_000).unwrap();
        assert_eq!((rows.len() as u64, read[&(Topic::Usage, 0)]), (RECORDS / 2, RECORDS));
        assert_eq!(log.reads.load(Ordering::Relaxed), 1);
    }
}
