//! Whole epochs, each exactly once.

use std::collections::BTreeMap;

use gravity_events::{Body, Topic, codec};
use gravity_ingest::log::{Log, LogError, OutputEpoch, Produce};

use super::{Make, Setup, all, record};

const TOPICS: [Topic; 3] = [Topic::BoardsPublic, Topic::BoardsJury, Topic::Scores];

/// An epoch with a few records; every third goes to one topic only.
pub fn epoch(number: u64) -> OutputEpoch {
    let topics = if number.is_multiple_of(3) {
        &TOPICS[..1]
    } else {
        &TOPICS[..]
    };
    let one = |i: u64| {
        let topic = topics[i as usize % topics.len()];
        record(
            topic,
            &format!("t/{}", i * 7),
            format!("{{\"epoch\":{number},\"i\":{i}}}"),
        )
    };
    let records: Vec<Produce> = (0..12).map(one).collect();
    OutputEpoch {
        epoch: number,
        now_ms: number as i64 * 1_000,
        bound: Vec::new(),
        records,
    }
}

fn epochs(numbers: std::ops::RangeInclusive<u64>) -> Vec<OutputEpoch> {
    numbers.map(epoch).collect()
}

/// Checks that a partition holds exactly these epochs of a pipeline, each followed by its marker.
pub fn check(log: &dyn Log, pipeline: &str, epochs: &[OutputEpoch]) {
    for topic in TOPICS {
        for partition in 0..log.partitions(topic) {
            let mut left = BTreeMap::new();
            for epoch in epochs {
                let own = |r: &&Produce| {
                    let of_key = gravity_ingest::log::partitioner::partition_of(&r.key, log.partitions(topic));
                    r.topic == topic && of_key == partition
                };
                let own: Vec<_> = epoch.records.iter().filter(own).map(|r| r.value.clone()).collect();
                if !own.is_empty() {
                    left.insert(epoch.epoch, own);
                }
            }
            let mut open = Vec::new();
            for entry in all(log, topic, partition) {
                let Ok(found) = codec::decode(&entry.value) else {
                    open.push(entry.value);
                    continue;
                };
                let Body::EpochClosed(closed) = found.body else {
                    panic!("an unknown record in {topic}")
                };
                assert_eq!((&*closed.pipeline, &*found.tenant), (pipeline, "-"));
                assert_eq!(&*found.source, format!("pipeline:{pipeline}"));
                assert_eq!(&*found.id, format!("{}/{}/{partition}", closed.epoch, topic.code()));
                assert_eq!(closed.records, open.len() as u64);
                let (first, expected) = left.pop_first().unwrap();
                assert_eq!(
                    (closed.epoch, std::mem::take(&mut open)),
                    (first, expected),
                    "{topic}/{partition}"
                );
            }
            assert!(
                open.is_empty() && left.is_empty(),
                "{topic}/{partition}: {} records, {left:?} missing",
                open.len()
            );
        }
    }
}

pub fn whole_epochs_end_with_a_marker(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut outputs = log.outputs("boards").unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), None);
    outputs.publish(&epochs(1..=1)).unwrap();
    outputs.publish(&epochs(2..=5)).unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), Some(5));
    check(&*log, "boards", &epochs(1..=5));
}

pub fn published_epochs_are_skipped(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut outputs = log.outputs("boards").unwrap();
    outputs.publish(&epochs(1..=3)).unwrap();
    outputs.publish(&epochs(1..=3)).unwrap();
    outputs.publish(&epochs(2..=4)).unwrap();
    outputs.publish(&[]).unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), Some(4));
    check(&*log, "boards", &epochs(1..=4));
}

pub fn reopening_finds_the_last_epoch(make: Make) {
    let mut test = make(Setup::default());
    for last in [2, 3, 7] {
        let mut outputs = test.log().outputs("boards").unwrap();
        outputs.publish(&epochs(1..=last)).unwrap();
        drop(outputs);
        test.reopen();
        let mut outputs = test.log().outputs("boards").unwrap();
        assert_eq!(outputs.last_epoch().unwrap(), Some(last));
        check(&*test.log(), "boards", &epochs(1..=last));
    }
}

pub fn an_epoch_without_records_counts(make: Make) {
    let mut test = make(Setup::default());
    let empty = |n| OutputEpoch {
        records: Vec::new(),
        ..epoch(n)
    };
    let mut outputs = test.log().outputs("boards").unwrap();
    outputs.publish(&[epoch(1), empty(2), epoch(3), empty(4)]).unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), Some(4));
    drop(outputs);
    test.reopen();
    assert_eq!(test.log().outputs("boards").unwrap().last_epoch().unwrap(), Some(4));
    check(&*test.log(), "boards", &[epoch(1), epoch(3)]);
}

pub fn pipelines_do_not_see_each_other(make: Make) {
    let mut test = make(Setup::default());
    let alert = |n: u64| {
        let records = vec![record(Topic::Alerts, "t/a", format!("{n}"))];
        OutputEpoch {
            epoch: n,
            now_ms: 0,
            bound: Vec::new(),
            records,
        }
    };
    let (mut burn, mut boards) = (
        test.log().outputs("burn").unwrap(),
        test.log().outputs("boards").unwrap(),
    );
    for n in 1..5 {
        burn.publish(&[alert(n)]).unwrap();
        boards.publish(&[alert(n * 10)]).unwrap();
    }
    drop((burn, boards));
    test.reopen();
    let log = test.log();
    let (mut burn, mut boards) = (log.outputs("burn").unwrap(), log.outputs("boards").unwrap());
    assert_eq!(
        (burn.last_epoch().unwrap(), boards.last_epoch().unwrap()),
        (Some(4), Some(40))
    );
    burn.publish(&(1..=5).map(alert).collect::<Vec<_>>()).unwrap();
    let partition = gravity_ingest::log::partitioner::partition_of(b"t/a", log.partitions(Topic::Alerts));
    let plain = |e: &gravity_ingest::log::Entry| codec::decode(&e.value).is_err();
    let entries: Vec<_> = all(&*log, Topic::Alerts, partition).into_iter().filter(plain).collect();
    assert_eq!(
        super::values(&entries),
        ["1", "10", "2", "20", "3", "30", "4", "40", "5"]
    );
}

pub fn a_newer_writer_fences_an_older_one(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut old = log.outputs("boards").unwrap();
    old.publish(&epochs(1..=2)).unwrap();
    let mut new = log.outputs("boards").unwrap();
    assert_eq!(new.last_epoch().unwrap(), Some(2));
    assert!(matches!(old.publish(&epochs(3..=3)), Err(LogError::Fenced { pipeline }) if pipeline == "boards"));
    new.publish(&epochs(1..=3)).unwrap();
    check(&*log, "boards", &epochs(1..=3));
}
