//! Reads, tails and holds.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use gravity_events::Topic;
use gravity_ingest::log::kafka::KafkaOptions;
use gravity_ingest::log::{Limit, Log, LogError, Produce};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::common::*;
use crate::server::KafkaServer;

/// Drops what is before an offset, as retention does.
fn drop_before(options: &KafkaOptions, topic: Topic, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&options.topic_name(topic), partition, Offset::Offset(offset)).unwrap();
    block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}

#[test]
fn reads_go_on_where_they_stopped_within_their_limits() {
    let log = KafkaServer::shared().log();
    append(&log, (0..50).map(|i| at(Topic::Usage, 1, &format!("{i:04}"))).collect());
    let read = |from, records, bytes| log.read(Topic::Usage, 1, from, Limit { records, bytes }).unwrap();
    assert_eq!(texts(&read(0, 3, 1000)), ["0000", "0001", "0002"]);
    assert_eq!(texts(&read(3, 100, 11)), ["0003", "0004"], "a key of 1 and a value of 4 bytes each");
    assert_eq!(texts(&read(5, 100, 1)), ["0005"], "at least one, however large");
    assert_eq!(texts(&read(6, 0, 0)), ["0006"]);
    assert_eq!(read(7, 1000, 1 << 20).len(), 43);
    assert_eq!(read(50, 10, 10), []);
    // What comes later is found by a consumer that has seen the end.
    append(&log, vec![at(Topic::Usage, 1, "later")]);
    assert_eq!(texts(&read(48, 1, 1000)), ["0048"]);
    append(&log, vec![at(Topic::Usage, 1, "last")]);
    assert_eq!(texts(&read(49, 10, 1000)), ["0049", "later", "last"]);
    assert!(matches!(log.read(Topic::Usage, 1, 99, LIMIT), Err(LogError::Beyond { wanted: 99, next: 52, .. })));
    assert!(matches!(log.read(Topic::Usage, 7, 0, LIMIT), Err(LogError::NoPartition { partitions: 3, .. })));
}

#[test]
fn many_threads_read_at_once() {
    let log = KafkaServer::shared().log();
    for partition in 0..3 {
        append(&log, (0..200).map(|i| at(Topic::Usage, partition, &i.to_string())).collect());
    }
    std::thread::scope(|scope| {
        for reader in 0..6 {
            let log = &log;
            scope.spawn(move || {
                let mut next = 0;
                while next < 200 {
                    let part = log.read(Topic::Usage, reader % 3, next, Limit { records: 30, bytes: 1 << 20 }).unwrap();
                    assert_eq!(part[0].position.offset, next);
                    next += part.len() as u64;
                }
            });
        }
    });
}

#[test]
fn a_tail_returns_each_record_once_in_the_order_of_assignment() {
    let log = KafkaServer::shared().log();
    append(&log, (0..20).map(|i| at(Topic::Usage, 2, &format!("u{i}"))).collect());
    append(&log, (0..20).map(|i| at(Topic::Reference, 0, &format!("r{i}"))).collect());
    let mut tail = log.tail(vec![bound(Topic::Reference, 0, 5), bound(Topic::Usage, 2, 0)]).unwrap();
    let mut all = Vec::new();
    while all.len() < 35 {
        let part = tail.poll(Limit { records: 9, bytes: 1 << 20 }, LONG).unwrap();
        assert!((1..=9).contains(&part.len()));
        let topics: Vec<Topic> = part.iter().map(|e| e.position.topic).collect();
        assert!(topics.is_sorted(), "{topics:?}");
        all.extend(part);
    }
    let of = |topic| {
        texts(&all).into_iter().zip(&all).filter(|(_, e)| e.position.topic == topic).map(|(t, _)| t).collect::<Vec<_>>()
    };
    assert_eq!(of(Topic::Reference), (5..20).map(|i| format!("r{i}")).collect::<Vec<_>>());
    assert_eq!(of(Topic::Usage), (0..20).map(|i| format!("u{i}")).collect::<Vec<_>>());
    assert_eq!(tail.poll(LIMIT, Duration::ZERO).unwrap(), []);
    // The limit in bytes holds back, and loses nothing.
    append(&log, (0..3).map(|i| at(Topic::Usage, 2, &format!("next{i}"))).collect());
    let tight = Limit { records: 10, bytes: 1 };
    let one_by_one: Vec<_> = (0..3).flat_map(|_| tail.poll(tight, LONG).unwrap()).collect();
    assert_eq!(texts(&one_by_one), ["next0", "next1", "next2"]);
}

#[test]
fn a_waiting_tail_is_woken_by_records_and_by_its_waker() {
    let log = KafkaServer::shared().log();
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    let waker = tail.waker();
    std::thread::scope(|scope| {
        scope.spawn(|| append(&log, vec![at(Topic::Usage, 0, "news")]));
        assert_eq!(texts(&poll_until(&mut *tail, 1)), ["news"]);
    });
    // The wait is far longer than a test may last: it returns because it was woken.
    let long = Duration::from_secs(3600);
    waker();
    assert_eq!(tail.poll(LIMIT, long).unwrap(), [], "a wake before the poll counts");
    std::thread::scope(|scope| {
        scope.spawn(|| waker());
        assert_eq!(tail.poll(LIMIT, long).unwrap(), []);
    });
    // It counted once: this one ends by its time.
    let started = Instant::now();
    assert_eq!(tail.poll(LIMIT, Duration::from_millis(60)).unwrap(), []);
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[test]
fn an_offset_that_retention_dropped_is_gone_and_never_replaced() {
    let server = KafkaServer::shared();
    let log = server.log();
    append(&log, (0..10).map(|i| at(Topic::Usage, 0, &i.to_string())).collect());
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    assert_eq!(poll_until(&mut *tail, 10).len(), 10);
    drop_before(log.options(), Topic::Usage, 0, 6);
    let gone = |r: Result<(), LogError>| match r {
        Err(LogError::Gone { topic: Topic::Usage, partition: 0, wanted, first }) => (wanted, first),
        other => panic!("{other:?}"),
    };
    assert_eq!(log.range(Topic::Usage, 0).unwrap(), (6, 10));
    assert_eq!(gone(log.read(Topic::Usage, 0, 2, LIMIT).map(|_| ())), (2, 6));
    assert_eq!(gone(log.tail(vec![bound(Topic::Usage, 0, 5)]).map(|_| ())), (5, 6));
    assert_eq!(texts(&log.read(Topic::Usage, 0, 6, LIMIT).unwrap()), ["6", "7", "8", "9"]);
    // One that has read past it is not concerned.
    append(&log, vec![at(Topic::Usage, 0, "10")]);
    assert_eq!(texts(&poll_until(&mut *tail, 1)), ["10"]);
}

#[test]
fn a_tail_that_retention_overtakes_says_so() {
    let log = KafkaServer::shared().log();
    // More than a tail fetches ahead.
    let large = Bytes::from(vec![b'x'; 3 << 20]);
    // One at a time: sixty megabytes at once may take a busy broker so long that it is asked again, and then says no offset.
    for _ in 0..20 {
        append(&log, vec![Produce { value: large.clone(), ..at(Topic::Usage, 0, "") }]);
    }
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    let mut next = 0;
    let mut poll = || -> Result<(), LogError> {
        for e in tail.poll(Limit { records: 1, bytes: 1 }, LONG)? {
            assert_eq!(e.position.offset, next);
            next += 1;
        }
        Ok(())
    };
    poll().unwrap();
    drop_before(log.options(), Topic::Usage, 0, 20);
    let end = loop {
        if let Err(e) = poll() {
            break e;
        }
    };
    assert!(
        matches!(end, LogError::Gone { wanted, first: 20, .. } if wanted == next && next < 20),
        "{end} after {next}"
    );
}

#[test]
fn a_tail_does_not_begin_past_the_end() {
    let log = KafkaServer::shared().log();
    append(&log, vec![at(Topic::Usage, 0, "only")]);
    let beyond = log.tail(vec![bound(Topic::Usage, 0, 2)]).map(|_| ());
    assert!(matches!(beyond, Err(LogError::Beyond { wanted: 2, next: 1, .. })), "{beyond:?}");
}

#[test]
fn bounds_show_as_offsets_of_a_group_per_holder() {
    let log = KafkaServer::shared().log();
    append(&log, (0..10).map(|i| at(Topic::Usage, 2, &i.to_string())).collect());
    log.hold("analytics", &[bound(Topic::Usage, 2, 4), bound(Topic::Usage, 0, 0)]);
    log.hold("analytics", &[bound(Topic::Usage, 2, 7)]);
    log.hold("analytics", &[bound(Topic::Usage, 2, 5)]);
    let offset = |partition| committed(log.options(), "analytics", Topic::Usage, partition);
    let until = Instant::now() + LONG;
    while offset(2) != Offset::Offset(7) && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!((offset(2), offset(0), offset(1)), (Offset::Offset(7), Offset::Offset(0), Offset::Invalid));
    // What is noted last is mirrored before the end.
    log.hold("analytics", &[bound(Topic::Usage, 2, 9)]);
    log.close();
    assert_eq!(offset(2), Offset::Offset(9));
}

/// What lag tools see.
pub fn committed(options: &KafkaOptions, holder: &str, topic: Topic, partition: u32) -> Offset {
    let group: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &options.brokers)
        .set("group.id", options.group_name(holder))
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&options.topic_name(topic), partition as i32);
    group.committed_offsets(list, LONG).unwrap().elements()[0].offset()
}
