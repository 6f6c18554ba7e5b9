//! Random appends, reads, tails and restarts of the embedded log, against plain lists.
#![allow(clippy::unwrap_used)] // tests

use std::collections::BTreeMap;
use std::time::Duration;

use gravity_events::Topic;
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions, Reserve};
use gravity_ingest::log::{Limit, Log};
use proptest::prelude::*;

#[allow(dead_code, unused_imports, unused_macros)] // what is shared with the suite is a part of it
#[path = "conformance/suite.rs"]
mod conformance;
#[path = "support/scratch.rs"]
mod scratch;

use conformance::{append, bound, placed};

#[derive(Clone, Debug)]
enum Step {
    /// Records of (partition, bytes).
    Append(Vec<(u32, usize)>),
    Read {
        partition: u32,
        from_end: u64,
        limit: (usize, usize),
    },
    Poll {
        limit: (usize, usize),
    },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let limit = || (1usize..50, prop_oneof![1usize..500, 1usize..600_000]);
    let bytes = prop_oneof![20 => 0usize..200, 1 => 0usize..300_000];
    let step = prop_oneof![
        4 => prop::collection::vec((0u32..2, bytes), 0..60).prop_map(Step::Append),
        3 => (0u32..2, 0u64..80, limit())
            .prop_map(|(partition, from_end, limit)| Step::Read { partition, from_end, limit }),
        3 => limit().prop_map(|limit| Step::Poll { limit }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_log_is_a_list_per_partition(steps in steps(), segment_bytes in 200u64..500_000) {
        let dir = scratch::folder();
        let options = EmbeddedOptions { segment_bytes, reserve: Reserve::NONE, queue_bytes: 50_000, ..EmbeddedOptions::default() };
        let mut log = EmbeddedLog::open(dir.path(), options.clone()).unwrap();
        let mut model: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::from([(0, vec![]), (1, vec![])]);
        let mut followed = BTreeMap::from([(0, 0u64), (1, 0u64)]);
        let mut tail = log.tail(vec![bound(Topic::Usage, 1, 0), bound(Topic::Usage, 0, 0)]).unwrap();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(records) => {
                    let values = records.iter().map(|(p, bytes)| placed(Topic::Usage, *p, vec![n as u8; *bytes])).collect();
                    for ((p, bytes), position) in records.iter().zip(append(&log, values)) {
                        let list = model.get_mut(p).unwrap();
                        prop_assert_eq!((position.partition, position.offset), (*p, list.len() as u64));
                        list.push(vec![n as u8; *bytes]);
                    }
                }
                Step::Read { partition, from_end, limit: (records, bytes) } => {
                    let list = &model[&partition];
                    let from = (list.len() as u64).saturating_sub(from_end);
                    let read = log.read(Topic::Usage, partition, from, Limit { records, bytes }).unwrap();
                    prop_assert_eq!(read.is_empty(), from == list.len() as u64);
                    prop_assert!(read.len() <= records);
                    prop_assert!(read.len() <= 1 || read.iter().map(|e| e.key.len() + e.value.len()).sum::<usize>() <= bytes);
                    for (i, entry) in read.iter().enumerate() {
                        prop_assert_eq!(entry.position.offset, from + i as u64);
                        prop_assert!(entry.value == list[from as usize + i]);
                    }
                }
                Step::Poll { limit: (records, bytes) } => {
                    let due = [1, 0].into_iter().find(|p| followed[p] < model[p].len() as u64);
                    let read = tail.poll(Limit { records, bytes }, Duration::ZERO).unwrap();
                    prop_assert_eq!(read.first().map(|e| e.position.partition), due);
                    prop_assert!(read.len() <= records);
                    prop_assert!(read.len() <= 1 || read.iter().map(|e| e.key.len() + e.value.len()).sum::<usize>() <= bytes);
                    for entry in read {
                        let next = followed.get_mut(&entry.position.partition).unwrap();
                        prop_assert_eq!(entry.position.offset, *next);
                        prop_assert!(entry.value == model[&entry.position.partition][*next as usize]);
                        *next += 1;
                    }
                }
                Step::Reopen => {
                    drop((tail, log));
                    log = EmbeddedLog::open(dir.path(), options.clone()).unwrap();
                    tail = log.tail([1, 0].map(|p| bound(Topic::Usage, p, followed[&p])).to_vec()).unwrap();
                }
            }
            for (partition, list) in &model {
                prop_assert_eq!(log.range(Topic::Usage, *partition).unwrap(), (0, list.len() as u64));
            }
        }
    }
}
