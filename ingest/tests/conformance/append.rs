//! Appending: positions, order, durability.

use std::collections::BTreeMap;

use gravity_events::Topic;
use gravity_ingest::log::partitioner::partition_of;
use gravity_ingest::log::{Log, LogError};

use super::{Make, Setup, all, append, block_on, placed, record, values};

pub fn positions_are_dense_and_in_order(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut next = BTreeMap::new();
    for batch in 0..5 {
        let records: Vec<_> = (0..20)
            .map(|i| record(Topic::Usage, &format!("t/{i}"), format!("{batch}/{i}")))
            .collect();
        let positions = append(&*log, records.clone());
        assert_eq!(positions.len(), records.len());
        for (position, record) in positions.iter().zip(&records) {
            let expected = next.entry(position.partition).or_insert(0);
            assert_eq!((position.topic, position.offset), (Topic::Usage, *expected));
            *expected += 1;
            let read = log
                .read(Topic::Usage, position.partition, position.offset, super::ALL)
                .unwrap();
            assert_eq!((read[0].position, &read[0].value), (*position, &record.value));
        }
    }
    assert_eq!(next.len(), 2, "both partitions are used");
}

pub fn keys_go_where_kafka_sends_them(make: Make) {
    let test = make(Setup {
        partitions: 5,
        ..Setup::default()
    });
    let log = test.log();
    let keys: Vec<String> = (0..50).map(|i| format!("tenant/event/{i}")).collect();
    let positions = append(&*log, keys.iter().map(|k| record(Topic::Submissions, k, "x")).collect());
    for (key, position) in keys.iter().zip(positions) {
        assert_eq!(position.partition, partition_of(key.as_bytes(), 5));
    }
    assert_eq!(
        (log.partitions(Topic::Submissions), log.partitions(Topic::Reference)),
        (5, 1)
    );
}

pub fn a_partition_may_be_named(make: Make) {
    let test = make(Setup {
        partitions: 3,
        ..Setup::default()
    });
    let log = test.log();
    for partition in [2, 0, 1] {
        assert_eq!(
            append(&*log, vec![placed(Topic::Labs, partition, "x")])[0].partition,
            partition
        );
    }
}

pub fn a_key_keeps_its_order(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    for i in 0..200 {
        append(
            &*log,
            (0..3)
                .map(|k| record(Topic::Judgements, &format!("t/{k}"), format!("{i}")))
                .collect(),
        );
    }
    let expected: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    for k in 0..3 {
        let key = format!("t/{k}");
        let entries = all(&*log, Topic::Judgements, partition_of(key.as_bytes(), 2));
        let own: Vec<_> = entries.into_iter().filter(|e| e.key == key.as_bytes()).collect();
        assert_eq!(values(&own), expected);
    }
}

pub fn eight_producers_lose_nothing(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    std::thread::scope(|scope| {
        for producer in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for i in 0..50 {
                    let one = |n: i32| {
                        record(
                            Topic::Usage,
                            &format!("t/{producer}"),
                            format!("{producer}:{}", i * 3 + n),
                        )
                    };
                    append(&**log, (0..3).map(one).collect());
                }
            });
        }
    });
    let mut found = 0;
    for partition in 0..2 {
        let entries = all(&*log, Topic::Usage, partition);
        assert!(entries.iter().enumerate().all(|(i, e)| e.position.offset == i as u64));
        let mut next: BTreeMap<String, u32> = BTreeMap::new();
        for value in values(&entries) {
            let (producer, number) = value.split_once(':').unwrap();
            let expected = next.entry(producer.into()).or_default();
            assert_eq!(
                number.parse::<u32>().unwrap(),
                *expected,
                "producer {producer} keeps its order"
            );
            *expected += 1;
        }
        assert!(next.values().all(|n| *n == 150));
        found += entries.len();
    }
    assert_eq!(found, 8 * 150);
}

pub fn durable_on_return_and_after_reopening(make: Make) {
    let mut test = make(Setup::default());
    let mut before = Vec::new();
    for round in 0..3 {
        let log = test.log();
        let records = (0..30)
            .map(|i| record(Topic::Telemetry, &format!("t/{i}"), format!("{round}/{i}")))
            .collect();
        append(&*log, records);
        before = [all(&*log, Topic::Telemetry, 0), all(&*log, Topic::Telemetry, 1)].concat();
        assert_eq!(before.len(), 30 * (round + 1));
        drop(log);
        test.reopen();
        let log = test.log();
        assert_eq!(
            [all(&*log, Topic::Telemetry, 0), all(&*log, Topic::Telemetry, 1)].concat(),
            before
        );
    }
    let position = append(&*test.log(), vec![placed(Topic::Telemetry, 0, "more")])[0];
    let last = before.iter().rfind(|e| e.position.partition == 0).unwrap();
    assert_eq!(position.offset, last.position.offset + 1, "offsets go on");
}

pub fn an_empty_append_is_fine(make: Make) {
    let test = make(Setup::default());
    assert_eq!(append(&*test.log(), Vec::new()), []);
}

pub fn large_records_pass(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let large = |n: u8| vec![n; 1 << 20];
    let mut records = vec![placed(Topic::Usage, 0, "small")];
    records.extend((0..4).map(|n| placed(Topic::Usage, 0, large(n))));
    records.push(placed(Topic::Usage, 0, "small too"));
    append(&*log, records);
    let entries = all(&*log, Topic::Usage, 0);
    assert_eq!(entries.len(), 6);
    assert!((0..4).all(|n| entries[1 + n].value == large(n as u8)));
    assert_eq!(
        (&entries[0].value[..], &entries[5].value[..]),
        (&b"small"[..], &b"small too"[..])
    );
}

pub fn a_partition_that_is_not_there_is_refused(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let error = block_on(log.append(vec![placed(Topic::Usage, 2, "x")])).unwrap_err();
    assert!(
        matches!(
            error,
            LogError::NoPartition {
                topic: Topic::Usage,
                partition: 2,
                partitions: 2
            }
        ),
        "{error}"
    );
    assert!(matches!(log.range(Topic::Usage, 7), Err(LogError::NoPartition { .. })));
    assert!(matches!(
        log.read(Topic::Usage, 7, 0, super::ALL),
        Err(LogError::NoPartition { .. })
    ));
    assert!(matches!(
        log.tail(vec![super::bound(Topic::Usage, 7, 0)]),
        Err(LogError::NoPartition { .. })
    ));
}

pub fn nothing_is_taken_after_close(make: Make) {
    let mut test = make(Setup::default());
    let log = test.log();
    append(&*log, vec![placed(Topic::Usage, 0, "before")]);
    log.close();
    log.close();
    assert!(matches!(
        block_on(log.append(vec![placed(Topic::Usage, 0, "after")])),
        Err(LogError::Closed)
    ));
    drop(log);
    test.reopen();
    assert_eq!(values(&all(&*test.log() as &dyn Log, Topic::Usage, 0)), ["before"]);
}
