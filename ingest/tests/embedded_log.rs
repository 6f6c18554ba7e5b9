//! The embedded log on its own: its files, its retention, and what a crash leaves of outputs.
#![allow(clippy::unwrap_used)] // tests

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use gravity_events::body::Moment;
use gravity_events::{Body, Record, Topic, codec};
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions, Reserve, Retention};
use gravity_ingest::log::{Log, LogError, OutputEpoch, Produce};
use gravity_ingest::segment::{SegmentOptions, Segments, SyncMode};

#[allow(dead_code, unused_imports, unused_macros)] // what is shared with the suite is a part of it
#[path = "conformance/suite.rs"]
mod conformance;
#[path = "support/scratch.rs"]
mod scratch;

use conformance::outputs::{check, epoch};
use conformance::{ALL, NOW, all, append, bound, placed, values};

fn options() -> EmbeddedOptions {
    EmbeddedOptions { reserve: Reserve::NONE, ..EmbeddedOptions::default() }
}

fn open(dir: &Path) -> EmbeddedLog {
    EmbeddedLog::open(dir, options()).unwrap()
}

#[test]
fn the_number_of_partitions_stays() {
    let dir = scratch::folder();
    let with = |n| EmbeddedOptions { partitions: BTreeMap::from([(Topic::Usage, n)]), ..options() };
    let log = EmbeddedLog::open(dir.path(), with(3)).unwrap();
    let counts = |log: &EmbeddedLog| [Topic::Reference, Topic::Usage, Topic::Labs].map(|t| log.partitions(t));
    assert_eq!(counts(&log), [1, 3, 2]);
    drop(log);
    match EmbeddedLog::open(dir.path(), with(4)) {
        Err(error @ LogError::Partitions { topic: Topic::Usage, stored: 3, configured: 4 }) => {
            assert!(error.to_string().contains("set 3"), "{error}");
        }
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(counts(&open(dir.path())), [1, 3, 2], "not configured: as it was");
    assert!(EmbeddedLog::open(scratch::folder().path(), with(0)).is_err());
}

#[test]
fn files_that_are_missing_or_newer_are_named() {
    let dir = scratch::folder();
    drop(open(dir.path()));
    let partition = dir.path().join("gravity.labs.v1/1");
    fs::rename(&partition, dir.path().join("away")).unwrap();
    assert!(
        matches!(EmbeddedLog::open(dir.path(), options()), Err(LogError::Damaged { path, .. }) if path == partition)
    );
    fs::rename(dir.path().join("away"), &partition).unwrap();
    let topics = dir.path().join("topics.json");
    let text = fs::read_to_string(&topics).unwrap();
    fs::write(&topics, text.replace("\"format\": 1", "\"format\": 7")).unwrap();
    assert!(matches!(EmbeddedLog::open(dir.path(), options()), Err(LogError::TooNew { found: 7, .. })));
    fs::write(&topics, "[").unwrap();
    assert!(matches!(EmbeddedLog::open(dir.path(), options()), Err(LogError::Damaged { path, .. }) if path == topics));
}

#[test]
fn a_second_process_is_refused() {
    let dir = scratch::folder();
    let log = open(dir.path());
    let error = EmbeddedLog::open(dir.path(), options()).err().unwrap();
    assert!(error.to_string().contains("another process"), "{error}");
    log.close();
    open(dir.path());
}

#[test]
fn an_offset_after_the_end_is_an_error() {
    let dir = scratch::folder();
    let log = open(dir.path());
    append(&log, vec![placed(Topic::Usage, 0, "x")]);
    assert!(log.tail(vec![bound(Topic::Usage, 0, 1)]).is_ok());
    let error = log.read(Topic::Usage, 0, 2, ALL).unwrap_err();
    assert!(matches!(error, LogError::Beyond { wanted: 2, next: 1, .. }), "{error}");
}

#[test]
fn damage_is_named_and_what_comes_before_it_is_read() {
    let dir = scratch::folder();
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions { segment_bytes: 1_000, ..options() }).unwrap();
    for i in 0..40 {
        append(&log, vec![placed(Topic::Usage, 0, format!("{i:100}"))]);
    }
    drop(log);
    let folder = dir.path().join("gravity.usage.v1/0");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "seg"));
    files.sort();
    assert!(files.len() > 3);
    let mut bytes = fs::read(&files[1]).unwrap();
    bytes[500] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    let log = open(dir.path());
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    let mut seen = 0;
    let error = loop {
        match tail.poll(ALL, NOW) {
            Ok(entries) => {
                assert!(!entries.is_empty(), "never a silent end");
                seen += entries.len();
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LogError::Damaged { path, at, .. } if *path == files[1] && *at < 500 && 500 - at < 160));
    assert!(seen > 0 && seen < 20);
    assert!(matches!(tail.poll(ALL, NOW), Err(LogError::Damaged { .. })), "and again");
}

#[test]
fn retention_by_size_keeps_that_much_and_markers() {
    let dir = scratch::folder();
    let policy = Retention { age: None, bytes: Some(3_000) };
    let retention = BTreeMap::from([(Topic::Scores, policy), (Topic::Usage, policy)]);
    let options = EmbeddedOptions { segment_bytes: 1_000, retention, ..options() };
    let log = EmbeddedLog::open(dir.path(), options.clone()).unwrap();
    let record = |n: u32| Produce { topic: Topic::Scores, ..placed(Topic::Scores, 0, format!("{n:100}")) };
    let one = |n: u32| OutputEpoch { epoch: n.into(), now_ms: 0, bound: Vec::new(), records: vec![record(n)] };
    log.outputs("boards").unwrap().publish(&[one(1)]).unwrap();
    for _ in 0..100 {
        // Another's records push the marker far back.
        append(&log, vec![record(0), placed(Topic::Usage, 1, format!("{:100}", 0))]);
    }
    assert!(log.apply_retention().unwrap() > 0);
    let kept = log.bytes(Topic::Usage);
    assert!((3_000..5_000).contains(&kept), "{kept}");
    assert_eq!(log.range(Topic::Scores, 0).unwrap().0, 0, "the newest marker is kept");
    log.outputs("boards").unwrap().publish(&[one(1), one(2)]).unwrap();
    log.apply_retention().unwrap();
    assert!(log.range(Topic::Scores, 0).unwrap().0 > 50, "an older one is not");
    drop(log);
    let log = EmbeddedLog::open(dir.path(), options).unwrap();
    assert_eq!(log.outputs("boards").unwrap().last_epoch().unwrap(), Some(2));
}

#[test]
fn retention_by_age_keeps_what_is_young() {
    let dir = scratch::folder();
    let policy = |age| Retention { age: Some(age), bytes: None };
    let retention =
        BTreeMap::from([(Topic::Usage, policy(Duration::from_secs(3_600))), (Topic::Labs, policy(Duration::ZERO))]);
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions { segment_bytes: 1_000, retention, ..options() }).unwrap();
    for _ in 0..50 {
        append(&log, [Topic::Usage, Topic::Labs, Topic::Telemetry].map(|t| placed(t, 0, vec![1; 100])).to_vec());
    }
    log.apply_retention().unwrap();
    let first = |topic| log.range(topic, 0).unwrap().0;
    assert!(first(Topic::Labs) > 30);
    assert_eq!((first(Topic::Usage), first(Topic::Telemetry)), (0, 0));
}

#[test]
fn retention_keeps_the_records_of_an_event_until_it_is_sealed() {
    let dir = scratch::folder();
    let policy = Retention { age: None, bytes: Some(0) };
    let retention = BTreeMap::from([(Topic::Submissions, policy), (Topic::Usage, policy)]);
    let options = EmbeddedOptions { segment_bytes: 1_000, retention, ..options() };
    let open = || EmbeddedLog::open(dir.path(), options.clone()).unwrap();
    let of =
        |event: &str| Produce { key: format!("t/{event}/team").into(), ..placed(Topic::Submissions, 0, vec![1; 100]) };
    let say = |log: &EmbeddedLog, event: &str, body: Body| {
        let (id, source, tenant) = (body.kind().into(), "test".into(), "t".into());
        let record = Record {
            id,
            source,
            tenant,
            event: Some(event.into()),
            subject: None,
            time_ms: None,
            backfill: false,
            body,
        };
        let (key, value) = (record.key().into(), codec::encode(&record).into());
        append(log, vec![Produce { topic: Topic::Reference, partition: Some(0), key, value }]);
    };
    let at = |at| Moment { at, contest_time_ms: None };
    let log = open();
    for n in 0..60 {
        let event = if n < 20 { "first" } else { ["second", "third"][n % 2] };
        append(&log, vec![of(event), placed(Topic::Usage, 0, vec![1; 100])]);
    }
    let first = |log: &EmbeddedLog| {
        log.apply_retention().unwrap();
        log.range(Topic::Submissions, 0).unwrap().0
    };
    assert_eq!(first(&log), 0, "no event is sealed");
    assert!(log.range(Topic::Usage, 0).unwrap().0 > 50, "usage is of no event");
    // A file that holds a record of another event waits for that one, too.
    say(&log, "first", Body::EventSealed(at(Some(1))));
    let kept = first(&log);
    assert!((10..=20).contains(&kept), "{kept}");
    say(&log, "second", Body::EventSealed(at(Some(1))));
    say(&log, "third", Body::EventSealed(at(Some(1))));
    say(&log, "third", Body::EventReopened(at(Some(2))));
    assert_eq!(first(&log), kept, "one is open again");
    drop(log);
    let log = open();
    assert_eq!(first(&log), kept, "also after a restart");
    say(&log, "third", Body::EventReopened(at(None)));
    assert!(first(&log) > 50, "that was taken back");
    say(&log, "fourth", Body::EventSealed(at(Some(1))));
    say(&log, "fourth", Body::EventSealed(at(None)));
    (0..40).for_each(|_| drop(append(&log, vec![of("fourth")])));
    let kept = first(&log);
    assert!((50..=60).contains(&kept), "{kept}: taken back, it is not sealed");
}

/// Ends of the frames of a partition's only file.
fn frame_ends(folder: &Path) -> Vec<u64> {
    let options = SegmentOptions { segment_bytes: 64 << 20, sync: SyncMode::Fsync };
    let (segments, _) = Segments::open(folder, options).unwrap();
    let mut ends = vec![64];
    for frame in segments.reader().frames() {
        ends.push(ends.last().unwrap() + 36 + frame.unwrap().payload.len() as u64);
    }
    ends
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// A power loss while an epoch was being published may have kept its part in any of the partitions, and its note in
/// none. All 2^n leftovers are completed.
#[test]
fn a_partly_written_epoch_is_completed_whatever_was_kept() {
    let whole = scratch::folder();
    let log = open(whole.path());
    for n in 1..=3 {
        log.outputs("boards").unwrap().publish(&[epoch(n)]).unwrap();
    }
    drop(log);
    // As saved last before the crash.
    let holds = fs::read(whole.path().join("holds.json")).unwrap();
    let log = open(whole.path());
    log.outputs("boards").unwrap().publish(&[epoch(4)]).unwrap();
    drop(log);
    fs::write(whole.path().join("holds.json"), holds).unwrap();
    let places: Vec<_> = ["gravity.boards.public.v1/0", "gravity.boards.public.v1/1", "gravity.boards.jury.v1/0"]
        .into_iter()
        .chain(["gravity.boards.jury.v1/1", "gravity.scores.v1/0", "gravity.scores.v1/1"])
        .collect();
    let ends: Vec<Vec<u64>> = places.iter().map(|p| frame_ends(&whole.path().join(p))).collect();
    let note = frame_ends(&whole.path().join("gravity.epochs.v1/0"));
    let cut = |folder: &Path, ends: &[u64]| {
        let file = fs::File::options().write(true).open(folder.join("00000000000000000000.seg")).unwrap();
        file.set_len(ends[ends.len() - 2]).unwrap();
        fs::remove_file(folder.join("durable.mark")).unwrap();
    };
    for lost in 0..1u32 << places.len() {
        let dir = scratch::folder();
        copy(whole.path(), dir.path());
        cut(&dir.path().join("gravity.epochs.v1/0"), &note);
        for (i, place) in places.iter().enumerate().filter(|(i, _)| lost & (1 << i) != 0) {
            cut(&dir.path().join(place), &ends[i]);
        }
        let log = open(dir.path());
        let mut outputs = log.outputs("boards").unwrap();
        assert_eq!(outputs.last_epoch().unwrap(), Some(3), "{lost:b}");
        let all: Vec<OutputEpoch> = (1..=5).map(epoch).collect();
        outputs.publish(&all).unwrap();
        check(&log, "boards", &all);
        drop((outputs, log));
        assert_eq!(open(dir.path()).outputs("boards").unwrap().last_epoch().unwrap(), Some(5));
    }
}

/// A large epoch is written in several frames; a prefix of its records may be there, and others' between them.
#[test]
fn records_that_are_there_are_skipped_exactly() {
    let all_epochs: Vec<OutputEpoch> = (1..=2).map(epoch).collect();
    for there in 0..=all_epochs[1].records.len() {
        let dir = scratch::folder();
        let log = open(dir.path());
        log.outputs("boards").unwrap().publish(&all_epochs[..1]).unwrap();
        append(&log, all_epochs[1].records[..there].to_vec());
        drop(log);
        let log = open(dir.path());
        log.outputs("boards").unwrap().publish(&all_epochs).unwrap();
        check(&log, "boards", &all_epochs);
    }
    let dir = scratch::folder();
    let log = open(dir.path());
    let record = |text: &str| placed(Topic::Alerts, 0, text.to_string());
    let one = |n, records| OutputEpoch { epoch: n, now_ms: 0, bound: Vec::new(), records };
    let mut outputs = log.outputs("burn").unwrap();
    outputs.publish(&[one(1, vec![record("a")])]).unwrap();
    append(&log, ["b", "other's", "b", "c"].map(record).to_vec());
    let mut outputs = log.outputs("burn").unwrap();
    outputs.publish(&[one(2, ["b", "b", "c", "c", "d"].map(record).to_vec())]).unwrap();
    let plain: Vec<_> =
        values(&all(&log, Topic::Alerts, 0)).into_iter().filter(|v| !v.contains("epoch.closed")).collect();
    assert_eq!(plain, ["a", "b", "other's", "b", "c", "c", "d"]);
}

#[test]
fn lost_holds_are_found_anew() {
    let dir = scratch::folder();
    let log = open(dir.path());
    let epochs: Vec<OutputEpoch> = (1..=3).map(epoch).collect();
    log.outputs("boards").unwrap().publish(&epochs).unwrap();
    drop(log);
    for garbled in [false, true] {
        let holds = dir.path().join("holds.json");
        fs::remove_file(&holds).unwrap();
        if garbled {
            fs::write(&holds, "{\"format\":1").unwrap();
        }
        let log = open(dir.path());
        let mut outputs = log.outputs("boards").unwrap();
        assert_eq!(outputs.last_epoch().unwrap(), Some(3));
        outputs.publish(&epochs).unwrap();
        check(&log, "boards", &epochs);
    }
}

/// Pieces of an output that is larger than the queue, and than what is appended at once.
#[test]
fn large_outputs_pass() {
    let dir = scratch::folder();
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions { queue_bytes: 100_000, ..options() }).unwrap();
    let record = |n: u64| placed(Topic::BoardsJury, (n % 2) as u32, vec![n as u8; 200_000]);
    let one = |n: u64| OutputEpoch {
        epoch: n,
        now_ms: 0,
        bound: Vec::new(),
        records: (0..10).map(|i| record(n * 10 + i)).collect(),
    };
    let mut outputs = log.outputs("boards").unwrap();
    outputs.publish(&(1..=9).map(one).collect::<Vec<_>>()).unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), Some(9));
    for partition in 0..2 {
        let entries = all(&log, Topic::BoardsJury, partition);
        assert_eq!(entries.len(), 9 * 6);
        assert!(entries.chunks(6).all(|c| c[..5].iter().all(|e| e.value.len() == 200_000) && c[5].value.len() < 1_000));
    }
}
