//! Random appends, syncs, drops, reopens and cuts, against a plain list.

#![allow(clippy::unwrap_used)] // tests

#[path = "support/scratch.rs"]
mod scratch;

use std::fs;
use std::path::Path;

use gravity_ingest::log::{Limit, LogError};
use gravity_ingest::segment::{SegmentOptions, Segments, SyncMode};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append {
        count: u32,
        bytes: usize,
    },
    Sync,
    Read {
        back: u64,
        records: usize,
        bytes: usize,
    },
    Drop {
        keep: u64,
    },
    Reopen,
    /// The process ends, and of what was not synced only this share stays, in 1/16.
    Crash {
        kept: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1u32..5, prop_oneof![0usize..80, 0usize..3_000]).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        3 => Just(Step::Sync),
        3 => (0u64..60, 1usize..30, 1usize..4_000)
            .prop_map(|(back, records, bytes)| Step::Read { back, records, bytes }),
        1 => (0u64..30).prop_map(|keep| Step::Drop { keep }),
        1 => Just(Step::Reopen),
        1 => (0u64..=16).prop_map(|kept| Step::Crash { kept }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What should be there: frames as (first, count, payload).
#[derive(Default)]
struct Model {
    frames: Vec<(u64, u32, Vec<u8>)>,
    durable: usize,
}

impl Model {
    fn next(&self) -> u64 {
        self.frames
            .last()
            .map_or(0, |(first, count, _)| first + u64::from(*count))
    }

    fn durable_seq(&self) -> u64 {
        self.durable
            .checked_sub(1)
            .map_or(0, |i| self.frames[i].0 + u64::from(self.frames[i].1))
    }

    fn check(&self, segments: &Segments) {
        assert_eq!(
            (segments.next_seq(), segments.durable_seq()),
            (self.next(), self.durable_seq())
        );
        let first = segments.first_seq();
        let expected: Vec<_> = self.frames[..self.durable]
            .iter()
            .filter(|f| f.0 >= first)
            .cloned()
            .collect();
        let found: Vec<_> = segments.reader().frames().map(|f| f.unwrap()).collect();
        let found: Vec<_> = found
            .into_iter()
            .map(|f| (f.first, f.count, f.payload.to_vec()))
            .collect();
        assert_eq!(found, expected);
    }
}

/// Cuts the last file to its durable length and a share of what comes after.
fn cut(dir: &Path, durable: u64, kept: u64) {
    let newest = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().unwrap() == "seg")
        .max();
    let file = fs::File::options().write(true).open(newest.unwrap()).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(durable + (len - durable) * kept / 16).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn segments_are_a_list_that_survives(steps in steps(), segment_bytes in 100u64..4_000) {
        let options = SegmentOptions { segment_bytes, sync: SyncMode::Fsync };
        let dir = scratch::folder();
        let mut model = Model::default();
        let mut segments = Segments::open(dir.path(), options).unwrap().0;
        let mut reader = segments.reader();
        for (i, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append { count, bytes } => {
                    let payload = vec![i as u8; bytes];
                    let durable = segments.durable_seq();
                    segments.append(model.next(), count, &payload).unwrap();
                    if segments.durable_seq() > durable {
                        model.durable = model.frames.len(); // a new file was begun
                    }
                    model.frames.push((model.next(), count, payload));
                }
                Step::Sync => {
                    segments.sync().unwrap();
                    model.durable = model.frames.len();
                }
                Step::Read { back, records, bytes } => {
                    let seq = model.durable_seq().saturating_sub(back);
                    match reader.read_from(seq, Limit { records, bytes }) {
                        Err(LogError::Dropped { first, .. }) => prop_assert!(seq < first && first == segments.first_seq()),
                        Err(other) => panic!("{other}"),
                        Ok(frames) => {
                            prop_assert!(seq >= segments.first_seq());
                            let due: Vec<_> = model.frames[..model.durable].iter().filter(|f| f.0 + u64::from(f.1) > seq).collect();
                            prop_assert_eq!(frames.is_empty(), due.is_empty());
                            let (mut items, mut size) = (0, 0);
                            for (n, (frame, due)) in frames.iter().zip(&due).enumerate() {
                                prop_assert_eq!((frame.first, frame.count, &frame.payload[..]), (due.0, due.1, &due.2[..]));
                                prop_assert!(n == 0 || (items < records && size + frame.payload.len() <= bytes));
                                items += (frame.next() - frame.first.max(seq)) as usize;
                                size += frame.payload.len();
                            }
                        }
                    }
                }
                Step::Drop { keep } => {
                    let seq = model.durable_seq().saturating_sub(keep);
                    let before = segments.bytes();
                    let freed = segments.drop_before(seq).unwrap();
                    prop_assert_eq!(segments.bytes(), before - freed);
                    prop_assert!(segments.first_seq() <= seq.max(reader.first_seq()));
                }
                Step::Reopen => {
                    drop(segments);
                    segments = Segments::open(dir.path(), options).unwrap().0;
                    reader = segments.reader();
                    model.durable = model.frames.len(); // all of it was in the page cache
                }
                Step::Crash { kept } => {
                    let durable_bytes = segments.reader().files().last().unwrap().1;
                    drop(segments);
                    cut(dir.path(), durable_bytes, kept);
                    let (opened, _) = Segments::open(dir.path(), options).unwrap();
                    segments = opened;
                    reader = segments.reader();
                    let left = model.frames.iter().filter(|f| f.0 < segments.next_seq()).count();
                    prop_assert!(left >= model.durable);
                    model.frames.truncate(left);
                    model.durable = left;
                }
            }
            model.check(&segments);
        }
    }
}
