//! Reading: ranges, limits, what is gone.

use bytes::Bytes;
use gravity_events::Topic;
use gravity_ingest::log::{Limit, LogError, Produce, scan};

use super::{ALL, Make, Setup, all, append, bound, placed, values};

pub fn a_range_is_what_is_there(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    assert_eq!(log.range(Topic::Usage, 1).unwrap(), (0, 0));
    assert_eq!(log.read(Topic::Usage, 1, 0, ALL).unwrap(), []);
    append(&*log, (0..5).map(|i| placed(Topic::Usage, 1, format!("{i}"))).collect());
    assert_eq!((log.range(Topic::Usage, 1).unwrap(), log.range(Topic::Usage, 0).unwrap()), ((0, 5), (0, 0)));
    assert_eq!(log.read(Topic::Usage, 1, 5, ALL).unwrap(), []);
}

pub fn limits_hold_and_one_record_always_comes(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    // Keys have 3 bytes, values 97.
    append(&*log, (0..10).map(|_| placed(Topic::Usage, 0, vec![1; 97])).collect());
    append(&*log, (0..10).map(|_| placed(Topic::Usage, 0, vec![2; 97])).collect());
    for from in [0, 3, 9, 10, 17] {
        for (records, bytes) in [(1, 1 << 20), (4, 1 << 20), (100, 350), (100, 100), (100, 1)] {
            let read = log.read(Topic::Usage, 0, from, Limit { records, bytes }).unwrap();
            let size: usize = read.iter().map(|e| e.key.len() + e.value.len()).sum();
            assert!(!read.is_empty() && read.len() <= records);
            assert!(size <= bytes || read.len() == 1, "{size} bytes, {bytes} allowed");
            assert!(read.iter().enumerate().all(|(i, e)| e.position.offset == from + i as u64));
        }
    }
}

pub fn every_offset_can_be_read_from(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut value = 0;
    for batch in [1, 7, 1, 30, 2, 100, 1] {
        append(&*log, (0..batch).map(|i| placed(Topic::Labs, 1, format!("{}", value + i))).collect());
        value += batch;
    }
    for from in 0..value {
        let read = log.read(Topic::Labs, 1, from, Limit { records: 3, bytes: 1 << 20 }).unwrap();
        assert_eq!((read[0].position.offset, values(&read)[0].clone()), (from, from.to_string()));
    }
}

pub fn records_come_back_as_given(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let every_byte: Vec<u8> = (0..=255).collect();
    let given: Vec<(Bytes, Bytes)> = vec![
        ("tenant/event%2F1/ü".into(), "{\"a\":1}".into()),
        (every_byte.clone().into(), every_byte.into()),
        ("k".into(), Bytes::new()),
    ];
    let produce = |(key, value): &(Bytes, Bytes)| Produce {
        topic: Topic::Reference,
        key: key.clone(),
        partition: None,
        value: value.clone(),
    };
    append(&*log, given.iter().map(produce).collect());
    let read = all(&*log, Topic::Reference, 0);
    assert_eq!(read.iter().map(|e| (e.key.clone(), e.value.clone())).collect::<Vec<_>>(), given);
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!(read.iter().all(|e| (now_ms - 600_000..now_ms + 600_000).contains(&e.appended_at_ms)));
}

pub fn a_scan_is_a_stretch(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    // More than one read returns.
    append(&*log, (0..10_050).map(|i| placed(Topic::Usage, 0, format!("{i}"))).collect());
    for (from, to) in
        [(0, 0), (0, 1), (3, 9_999), (9_990, 10_010), (10_049, u64::MAX), (0, u64::MAX), (10_050, u64::MAX)]
    {
        let offsets: Vec<u64> = scan(&*log, Topic::Usage, 0, from, to).map(|e| e.unwrap().position.offset).collect();
        assert_eq!(offsets, (from..to.min(10_050)).collect::<Vec<_>>());
    }
    assert!(matches!(scan(&*log, Topic::Usage, 9, 0, 1).next(), Some(Err(LogError::NoPartition { .. }))));
}

pub fn what_retention_dropped_is_gone(make: Make) {
    let mut test = make(Setup { retain_little: true, ..Setup::default() });
    let log = test.log();
    for i in 0..100 {
        append(&*log, vec![placed(Topic::Telemetry, 0, format!("{i}")), placed(Topic::Reference, 0, format!("{i}"))]);
    }
    let mut tail = log.tail(vec![bound(Topic::Telemetry, 0, 0)]).unwrap();
    drop(log);
    if !test.retain() {
        return;
    }
    let log = test.log();
    let (first, next) = log.range(Topic::Telemetry, 0).unwrap();
    assert!(first > 0 && first < 100 && next == 100, "{first}..{next}");
    match log.read(Topic::Telemetry, 0, first - 1, ALL) {
        Err(LogError::Gone { topic: Topic::Telemetry, partition: 0, wanted, first: said }) => {
            assert_eq!((wanted, said), (first - 1, first));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(tail.poll(ALL, super::LONG), Err(LogError::Gone { wanted: 0, .. })), "a follower is told too");
    assert!(matches!(log.tail(vec![bound(Topic::Telemetry, 0, 0)]), Err(LogError::Gone { .. })));
    assert_eq!(values(&log.read(Topic::Telemetry, 0, first, ALL).unwrap())[0], first.to_string());
    assert_eq!(log.range(Topic::Reference, 0).unwrap(), (0, 100), "reference data has no retention");
}

pub fn a_holder_keeps_what_it_needs(make: Make) {
    let mut test = make(Setup { retain_little: true, ..Setup::default() });
    let log = test.log();
    log.hold("slow", &[bound(Topic::Telemetry, 0, 40)]);
    log.hold("fast", &[bound(Topic::Telemetry, 0, 90)]);
    for i in 0..100 {
        append(&*log, vec![placed(Topic::Telemetry, 0, format!("{i}"))]);
    }
    drop(log);
    if !test.retain() {
        return;
    }
    let first = test.log().range(Topic::Telemetry, 0).unwrap().0;
    assert!(first > 0 && first <= 40, "{first}");
    test.reopen();
    assert!(test.retain());
    assert_eq!(test.log().range(Topic::Telemetry, 0).unwrap().0, first, "a restart releases nobody");
    test.log().hold("slow", &[bound(Topic::Telemetry, 0, 95)]);
    assert!(test.retain());
    let second = test.log().range(Topic::Telemetry, 0).unwrap().0;
    assert!(second > first && second <= 90, "{second}");
    test.log().hold("fast", &[]);
    assert!(test.retain());
    assert!(test.log().range(Topic::Telemetry, 0).unwrap().0 >= second);
}
