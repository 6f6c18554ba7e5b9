//! The writer against a disk that fails, and the order of things that only show inside.

use std::path::Path;

use super::disk::faults::{self, Fault};
use super::*;
use crate::log::Limit;

const OPTIONS: SegmentOptions = SegmentOptions { segment_bytes: 256, sync: SyncMode::Fsync };
const ALL: Limit = Limit { records: usize::MAX, bytes: usize::MAX };

fn open(dir: &Path) -> Segments {
    Segments::open(dir, OPTIONS).unwrap().0
}

fn payloads(reader: &SegmentsReader) -> Vec<Vec<u8>> {
    reader.frames().map(|f| f.unwrap().payload.to_vec()).collect()
}

#[test]
fn readers_see_what_is_durable_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(dir.path());
    let reader = s.reader();
    s.append(0, 3, b"abc").unwrap();
    assert_eq!((s.next_seq(), s.durable_seq(), reader.durable_seq()), (3, 0, 0));
    assert!(reader.read_from(0, ALL).unwrap().is_empty());
    assert_eq!(reader.frames().count(), 0);
    s.sync().unwrap();
    assert_eq!(reader.read_from(2, ALL).unwrap()[0], Frame { first: 0, count: 3, payload: "abc".into() });
    assert!(reader.read_from(3, ALL).unwrap().is_empty());
    s.append(3, 1, b"d").unwrap();
    assert_eq!(payloads(&reader), [b"abc".to_vec()]);
    s.sync().unwrap();
    assert_eq!(reader.read_from(3, ALL).unwrap()[0].payload, "d");
}

#[test]
fn frames_must_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(dir.path());
    for (first, count) in [(1, 1), (0, 0)] {
        assert!(matches!(s.append(first, count, b"x"), Err(LogError::Io { .. })));
    }
    s.append(0, 1, b"x").unwrap();
}

#[test]
fn a_folder_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let s = open(dir.path());
    assert!(Segments::open(dir.path(), OPTIONS).unwrap_err().to_string().contains("another process"));
    drop(s);
    open(dir.path());
}

#[test]
fn a_folder_may_begin_anywhere_but_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = Segments::create_at(dir.path(), 41, OPTIONS).unwrap();
    s.append(41, 1, b"x").unwrap();
    s.sync().unwrap();
    drop(s);
    assert!(Segments::create_at(dir.path(), 50, OPTIONS).is_err());
    let s = open(dir.path());
    assert_eq!((s.first_seq(), s.next_seq()), (41, 42));
    assert!(matches!(s.reader().read_from(40, ALL), Err(LogError::Dropped { wanted: 40, first: 41, .. })));
}

#[test]
fn old_files_are_dropped_whole_and_readers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(dir.path());
    for i in 0..40 {
        s.append(i, 1, &[i as u8; 50]).unwrap();
        s.sync().unwrap();
    }
    let reader = s.reader();
    let files = reader.files();
    assert!(files.len() > 5);
    assert_eq!(s.bytes(), files.iter().map(|f| f.1).sum::<u64>());
    let (third, before) = (files[2].0, s.bytes());
    let mut slow = reader.frames();
    slow.next().unwrap().unwrap();
    let freed = s.drop_before(third + 1).unwrap();
    assert_eq!(freed, files[0].1 + files[1].1, "the file that holds a later item stays");
    assert_eq!((s.first_seq(), s.bytes()), (third, before - freed));
    assert!(matches!(reader.read_from(third - 1, ALL), Err(LogError::Dropped { .. })));
    assert_eq!(reader.read_from(third, ALL).unwrap().len() as u64, 40 - third);
    assert!(slow.any(|f| matches!(f, Err(LogError::Dropped { .. }))), "a reader that was overtaken learns it");
    s.drop_before(u64::MAX).unwrap();
    assert_eq!(reader.files().len(), 1, "the file being written is never dropped");
    drop(s);
    let s = open(dir.path());
    assert_eq!((s.first_seq(), s.next_seq()), (reader.first_seq(), 40));
}

#[test]
fn limits_hold_and_at_least_one_frame_comes() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(dir.path());
    for i in 0..10 {
        s.append(i * 2, 2, &[7; 100]).unwrap();
    }
    s.sync().unwrap();
    let reader = s.reader();
    let firsts = |seq, records, bytes| -> Vec<u64> {
        reader.read_from(seq, Limit { records, bytes }).unwrap().iter().map(|f| f.first).collect()
    };
    assert_eq!(firsts(0, 1, 1), [0]);
    assert_eq!(firsts(3, 1, 1_000), [2]);
    assert_eq!(firsts(3, 2, 1_000), [2, 4], "only items from 3 on count");
    assert_eq!(firsts(4, 100, 250), [4, 6]);
    assert_eq!(firsts(19, 100, 250), [18]);
}

#[test]
fn a_failed_fsync_poisons_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(dir.path());
    s.append(0, 1, b"kept").unwrap();
    s.sync().unwrap();
    s.append(1, 1, b"in doubt").unwrap();
    faults::set(dir.path(), Some(Fault::Sync));
    assert!(matches!(s.sync(), Err(LogError::Io { doing: "fsync", .. })));
    faults::set(dir.path(), None);
    assert!(matches!(s.sync(), Err(LogError::Poisoned { .. })), "never tried again");
    assert!(matches!(s.append(2, 1, b"x"), Err(LogError::Poisoned { .. })));
    assert_eq!((s.durable_seq(), payloads(&s.reader()).len()), (1, 1));
    drop(s);
    let s = open(dir.path());
    assert_eq!(payloads(&s.reader()), [b"kept".to_vec(), b"in doubt".to_vec()], "opening wrote and synced it again");
}

#[test]
fn a_failed_fsync_on_a_new_file_poisons_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(dir.path());
    s.append(0, 1, &[1; 300]).unwrap();
    s.sync().unwrap();
    faults::set(dir.path(), Some(Fault::Sync));
    assert!(s.append(1, 1, b"x").is_err());
    faults::set(dir.path(), None);
    assert!(matches!(s.append(1, 1, b"x"), Err(LogError::Poisoned { .. })));
}

#[test]
fn a_full_disk_leaves_no_partial_frame_and_the_writer_goes_on() {
    for kept in [0, 1, 35, 36, 40] {
        let dir = tempfile::tempdir().unwrap();
        let mut s = open(dir.path());
        s.append(0, 1, b"first").unwrap();
        let bytes = s.bytes();
        faults::set(dir.path(), Some(Fault::NoSpaceAfter(kept)));
        for _ in 0..2 {
            assert!(matches!(s.append(1, 1, b"second"), Err(LogError::Full { path }) if path == dir.path()));
        }
        faults::set(dir.path(), None);
        let len = std::fs::metadata(dir.path().join(file_name(0))).unwrap().len();
        assert_eq!((s.bytes(), len), (bytes, bytes));
        s.append(1, 1, b"third").unwrap();
        s.sync().unwrap();
        drop(s);
        let (s, repair) = Segments::open(dir.path(), OPTIONS).unwrap();
        assert_eq!((payloads(&s.reader()), repair), (vec![b"first".to_vec(), b"third".to_vec()], None));
    }
}

#[test]
fn reading_on_while_writing_sees_each_frame_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = Segments::open(dir.path(), SegmentOptions { segment_bytes: 4_000, sync: SyncMode::None }).unwrap().0;
    let reader = s.reader();
    let follower = std::thread::spawn(move || {
        let mut next = 0;
        while next < 5_000 {
            for frame in reader.read_from(next, Limit { records: 7, bytes: 500 }).unwrap() {
                assert_eq!((frame.first, &frame.payload[..8]), (next, &next.to_le_bytes()[..]));
                next = frame.next();
            }
            std::thread::yield_now();
        }
    });
    let mut first = 0u64;
    while first < 5_000 {
        let count = 1 + (first % 3) as u32;
        let mut payload = first.to_le_bytes().to_vec();
        payload.resize(8 + (first % 90) as usize, 1);
        s.append(first, count, &payload).unwrap();
        first += u64::from(count);
        if first.is_multiple_of(4) {
            s.sync().unwrap();
        }
    }
    s.sync().unwrap();
    follower.join().unwrap();
}

#[test]
fn a_reader_at_the_end_of_a_file_that_is_dropped_goes_on_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(dir.path());
    for n in 0..3 {
        s.append(n, 1, &[n as u8; 200]).unwrap();
    }
    s.sync().unwrap();
    let reader = s.reader();
    let one = Limit { records: 1, bytes: usize::MAX };
    assert_eq!(reader.read_from(0, one).unwrap().len(), 1);
    s.drop_before(1).unwrap();
    assert_eq!(reader.first_seq(), 1, "the file that it stands in is gone");
    assert_eq!(reader.read_from(1, one).unwrap()[0].first, 1);
}
