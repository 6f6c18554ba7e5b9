//! The embedded log on a disk that is full or fails, and its bounds in memory.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::wait::block_on;
use super::*;
use crate::log::OutputEpoch;
use crate::segment::disk::faults::{self, Fault};

const ALL: Limit = Limit {
    records: usize::MAX,
    bytes: usize::MAX,
};

fn open(dir: &Path, change: impl FnOnce(&mut EmbeddedOptions)) -> EmbeddedLog {
    let mut options = EmbeddedOptions {
        reserve: Reserve::NONE,
        ..EmbeddedOptions::default()
    };
    change(&mut options);
    EmbeddedLog::open(dir, options).unwrap()
}

fn usage(partition: u32, value: &str) -> Produce {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Produce {
        topic: Topic::Usage,
        key: "t/k".into(),
        partition: Some(partition),
        value,
    }
}

fn append(log: &EmbeddedLog, records: Vec<Produce>) -> Result<Vec<u64>, LogError> {
    Ok(block_on(log.append(records))?.into_iter().map(|p| p.offset).collect())
}

fn values(log: &EmbeddedLog, topic: Topic, partition: u32) -> Vec<String> {
    let entries = log.read(topic, partition, 0, ALL).unwrap();
    entries
        .iter()
        .map(|e| String::from_utf8_lossy(&e.value).into_owned())
        .collect()
}

#[test]
fn a_nearly_full_disk_refuses_appends_until_space_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let reserve = Reserve {
        percent: 5,
        bytes: 1_000,
    };
    let log = open(dir.path(), |o| o.reserve = reserve);
    faults::set(dir.path(), Some(Fault::Free(60_000, 1_000_000)));
    append(&log, vec![usage(0, "a")]).unwrap();
    for (free, all) in [(49_999, 1_000_000), (50_010, 1_000_000), (1_010, 10_000)] {
        faults::set(dir.path(), Some(Fault::Free(free, all)));
        assert!(matches!(append(&log, vec![usage(0, "refused")]), Err(LogError::Full { path }) if path == dir.path()));
    }
    assert_eq!(values(&log, Topic::Usage, 0), ["a"], "reads go on");
    let mut tail = log
        .tail(vec![Bound {
            topic: Topic::Usage,
            partition: 0,
            offset: 0,
        }])
        .unwrap();
    assert_eq!(tail.poll(ALL, Duration::ZERO).unwrap().len(), 1);
    faults::set(dir.path(), Some(Fault::Free(0, 0)));
    append(&log, vec![usage(0, "b")]).unwrap();
    faults::set(dir.path(), None);
    append(&log, vec![usage(0, "c")]).unwrap();
    assert_eq!(values(&log, Topic::Usage, 0), ["a", "b", "c"]);
}

#[test]
fn a_full_disk_fails_what_it_must_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |_| {});
    append(&log, vec![usage(0, "a"), usage(1, "a")]).unwrap();
    let first = dir.path().join("gravity.usage.v1/0");
    faults::set(&first, Some(Fault::NoSpaceAfter(20)));
    for _ in 0..2 {
        assert!(matches!(append(&log, vec![usage(0, "x")]), Err(LogError::Full { path }) if path == first));
    }
    assert_eq!(
        append(&log, vec![usage(1, "b")]).unwrap(),
        [1],
        "the other partition has space"
    );
    faults::set(&first, None);
    assert_eq!(append(&log, vec![usage(0, "b")]).unwrap(), [1]);
    drop(log);
    let log = open(dir.path(), |_| {});
    assert_eq!(log.repairs(), []);
    assert_eq!(
        (values(&log, Topic::Usage, 0), values(&log, Topic::Usage, 1)),
        (vec!["a".into(), "b".into()], vec!["a".into(), "b".into()])
    );
}

#[test]
fn a_failed_fsync_ends_appends_to_that_partition_only() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |_| {});
    append(&log, vec![usage(0, "a")]).unwrap();
    let first = dir.path().join("gravity.usage.v1/0");
    faults::set(&first, Some(Fault::Sync));
    assert!(matches!(
        append(&log, vec![usage(0, "doubtful"), usage(1, "b")]),
        Err(LogError::Io { .. })
    ));
    faults::set(&first, None);
    assert!(matches!(
        append(&log, vec![usage(0, "x")]),
        Err(LogError::Poisoned { .. })
    ));
    assert_eq!(append(&log, vec![usage(1, "c")]).unwrap(), [1]);
    assert_eq!(values(&log, Topic::Usage, 0), ["a"], "what is not durable is not read");
    drop(log);
    let log = open(dir.path(), |_| {});
    assert_eq!(
        values(&log, Topic::Usage, 0),
        ["a", "doubtful"],
        "never acknowledged, and there as a whole"
    );
    assert_eq!(append(&log, vec![usage(0, "d")]).unwrap(), [2]);
}

#[test]
fn outputs_that_found_no_space_are_completed_later() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |_| {});
    let epoch = |number: u64| {
        let record = |topic, partition: u32| Produce {
            topic,
            ..usage(partition, &format!("e{number}"))
        };
        let records = [Topic::Scores, Topic::BoardsJury]
            .map(|t| [record(t, 0), record(t, 1)])
            .concat();
        OutputEpoch {
            epoch: number,
            now_ms: 0,
            bound: Vec::new(),
            records,
        }
    };
    let mut outputs = log.outputs("boards").unwrap();
    outputs.publish(&[epoch(1)]).unwrap();
    for (number, place) in [
        (2, "gravity.scores.v1/1"),
        (3, "gravity.boards.jury.v1/0"),
        (4, "gravity.epochs.v1/0"),
    ] {
        let place = dir.path().join(place);
        faults::set(&place, Some(Fault::NoSpaceAfter(7)));
        assert!(matches!(outputs.publish(&[epoch(number)]), Err(LogError::Full { .. })));
        assert_eq!(outputs.last_epoch().unwrap(), Some(number - 1), "not whole");
        faults::set(&place, None);
        outputs.publish(&[epoch(number)]).unwrap();
        assert_eq!(outputs.last_epoch().unwrap(), Some(number));
    }
    for (topic, partition) in [
        (Topic::Scores, 0),
        (Topic::Scores, 1),
        (Topic::BoardsJury, 0),
        (Topic::BoardsJury, 1),
    ] {
        let values = values(&log, topic, partition);
        assert_eq!(values.len(), 8, "four records, four markers: {values:?}");
        assert!((0..4).all(|i| values[2 * i] == format!("e{}", i + 1)));
    }
}

#[test]
fn a_place_to_be_held_is_saved_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |_| {});
    let record = Produce {
        topic: Topic::Alerts,
        ..usage(0, "x")
    };
    let epoch = OutputEpoch {
        epoch: 1,
        now_ms: 0,
        bound: Vec::new(),
        records: vec![record],
    };
    let mut outputs = log.outputs("burn").unwrap();
    faults::set(&dir.path().join("holds.json.tmp"), Some(Fault::Sync));
    for _ in 0..2 {
        assert!(outputs.publish(std::slice::from_ref(&epoch)).is_err());
        assert_eq!(log.range(Topic::Alerts, 0).unwrap(), (0, 0));
    }
    faults::set(&dir.path().join("holds.json.tmp"), None);
    outputs.publish(&[epoch]).unwrap();
    assert_eq!(log.range(Topic::Alerts, 0).unwrap(), (0, 2));
}

fn poll(future: &mut Appended) -> Poll<Result<Vec<Position>, LogError>> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn appends_wait_while_the_queue_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |o| o.queue_bytes = 1_000);
    let stuck = log.inner.partition(Topic::Usage, 0).unwrap().segments.lock();
    let value = "x".repeat(289); // 300 bytes with key and lengths
    // What the committer has taken still counts until it is durable.
    let mut accepted: Vec<Appended> = (0..3).map(|_| log.append(vec![usage(0, &value)])).collect();
    let mut waiting: Vec<Appended> = (0..2).map(|_| log.append(vec![usage(0, &value)])).collect();
    assert!(accepted.iter_mut().chain(&mut waiting).all(|f| poll(f).is_pending()));
    let small = log.append(vec![usage(0, "overtakes nobody")]);
    drop(stuck);
    for (expected, future) in accepted.into_iter().chain(waiting).enumerate() {
        assert_eq!(block_on(future).unwrap()[0].offset, expected as u64);
    }
    assert_eq!(block_on(small).unwrap()[0].offset, 5);
    let large = "x".repeat(5_000);
    assert_eq!(
        append(&log, vec![usage(0, &large)]).unwrap(),
        [6],
        "larger than the queue: alone"
    );
}

#[test]
fn close_answers_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |o| o.queue_bytes = 100);
    let stuck = log.inner.partition(Topic::Usage, 0).unwrap().segments.lock();
    let accepted = log.append(vec![usage(0, &"x".repeat(80))]);
    let mut waiting = log.append(vec![usage(0, &"x".repeat(80))]);
    assert!(poll(&mut waiting).is_pending());
    let mut tail = log.tail(vec![Bound {
        topic: Topic::Usage,
        partition: 0,
        offset: 1,
    }]);
    assert!(matches!(tail, Err(LogError::Beyond { wanted: 1, next: 0, .. })));
    tail = log.tail(vec![Bound {
        topic: Topic::Usage,
        partition: 1,
        offset: 0,
    }]);
    let mut tail = tail.unwrap();
    std::thread::scope(|scope| {
        let follower = scope.spawn(move || tail.poll(ALL, Duration::from_secs(600)));
        let closer = scope.spawn(|| log.close());
        assert!(matches!(block_on(waiting), Err(LogError::Closed)));
        drop(stuck);
        assert_eq!(block_on(accepted).unwrap()[0].offset, 0, "what was accepted is written");
        closer.join().unwrap();
        assert!(matches!(follower.join(), Ok(Err(LogError::Closed))));
    });
    assert!(matches!(append(&log, vec![usage(0, "x")]), Err(LogError::Closed)));
    assert_eq!(log.read(Topic::Usage, 0, 0, ALL).unwrap().len(), 1, "reads go on");
}
