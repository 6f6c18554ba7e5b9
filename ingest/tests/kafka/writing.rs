//! Appends.

use std::sync::mpsc;

use bytes::Bytes;
use futures::executor::block_on;
use gravity_events::Topic;
use gravity_ingest::log::kafka::{KafkaLog, MAX_MESSAGE_BYTES};
use gravity_ingest::log::{Log, LogError, Produce};

use crate::common::*;
use crate::server::KafkaServer;

#[test]
fn positions_are_where_the_records_stand() {
    let log = KafkaServer::shared().log();
    let records: Vec<Produce> = (0..300)
        .map(|i| record(Topic::Submissions, &format!("k{}", i % 7), &i.to_string()))
        .collect();
    let before_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64;
    let positions = append(&log, records.clone());
    assert_eq!(positions.len(), records.len());
    for (record, position) in records.iter().zip(&positions) {
        let limit = gravity_ingest::log::Limit { records: 1, bytes: 1 };
        let found = log
            .read(Topic::Submissions, position.partition, position.offset, limit)
            .unwrap();
        assert_eq!(
            (found[0].position, &found[0].key, &found[0].value),
            (*position, &record.key, &record.value)
        );
        assert!(found[0].appended_at_ms >= before_ms - 1000);
    }
    // Each key stays in one partition, in order.
    for key in 0..7 {
        let of_key: Vec<_> = positions.iter().skip(key).step_by(7).collect();
        assert!(
            of_key
                .windows(2)
                .all(|w| w[0].partition == w[1].partition && w[0].offset < w[1].offset)
        );
    }
}

#[test]
fn records_without_a_key_and_without_a_value_come_back_as_they_were() {
    let log = KafkaServer::shared().log();
    let p = append(
        &log,
        vec![record(Topic::DeadLetter, "", "a"), record(Topic::Usage, "k", "")],
    );
    assert_eq!(read_all(&log, Topic::DeadLetter, p[0].partition)[0].key, Bytes::new());
    assert_eq!(read_all(&log, Topic::Usage, p[1].partition)[0].value, Bytes::new());
}

#[test]
fn a_batch_that_cannot_be_written_is_refused_whole() {
    let log = KafkaServer::shared().log();
    let bad = vec![at(Topic::Usage, 0, "good"), at(Topic::Usage, 3, "no such partition")];
    assert!(matches!(
        block_on(log.append(bad)),
        Err(LogError::NoPartition {
            partition: 3,
            partitions: 3,
            ..
        })
    ));
    let large = Produce {
        value: Bytes::from(vec![b'x'; MAX_MESSAGE_BYTES]),
        ..at(Topic::Usage, 0, "")
    };
    let error = block_on(log.append(vec![at(Topic::Usage, 0, "good"), large])).unwrap_err();
    assert!(
        matches!(&error, LogError::Kafka { retriable: false, what, .. } if what.contains("smaller records")),
        "{error}"
    );
    assert_eq!(log.range(Topic::Usage, 0).unwrap(), (0, 0));
    assert_eq!(append(&log, Vec::new()), Vec::new());
}

#[test]
fn records_of_several_mebibytes_pass_a_bounded_queue() {
    let log = KafkaServer::shared().log();
    // More than the queue holds: the append waits for room, it does not fail.
    let large = Bytes::from(vec![b'x'; 3 << 20]);
    let records: Vec<Produce> = (0..30)
        .map(|i| Produce {
            value: large.clone(),
            ..at(Topic::Usage, i % 3, "")
        })
        .collect();
    let positions = append(&log, records);
    assert_eq!(positions.iter().map(|p| p.offset).max(), Some(9));
    assert_eq!(read_all(&log, Topic::Usage, 1).len(), 10);
}

#[test]
fn keys_go_where_our_own_partitioner_says() {
    let log = KafkaServer::shared().log();
    let keys: Vec<String> = (0..200)
        .map(|i| "tenant/événement/équipe-".chars().cycle().take(i + 1).collect())
        .collect();
    let records = keys.iter().map(|k| record(Topic::Judgements, k, "v")).collect();
    for (key, position) in keys.iter().zip(append(&log, records)) {
        assert_eq!(
            position.partition,
            gravity_ingest::log::partitioner::partition_of(key.as_bytes(), 3),
            "{key}"
        );
    }
}

#[test]
fn a_closed_log_takes_nothing_and_ends_waits() {
    let log = std::sync::Arc::new(KafkaServer::shared().log());
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    let (waiting, said) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        waiting.send(()).unwrap();
        tail.poll(LIMIT, LONG).map(|_| ())
    });
    said.recv().unwrap();
    let under_way = log.append(vec![record(Topic::Usage, "k", "v")]);
    log.close();
    assert!(block_on(under_way).is_ok(), "what was accepted is written first");
    assert!(matches!(waiter.join().unwrap(), Err(LogError::Closed)) || log.range(Topic::Usage, 0).is_err());
    assert!(matches!(
        block_on(log.append(vec![record(Topic::Usage, "k", "v")])),
        Err(LogError::Closed)
    ));
    assert!(matches!(log.read(Topic::Usage, 0, 0, LIMIT), Err(LogError::Closed)));
    assert!(matches!(log.outputs("boards").map(|_| ()), Err(LogError::Closed)));
    log.close();
}

#[test]
fn a_broker_that_is_not_there_is_given_up_after_the_configured_time() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut options = KafkaServer::shared().options();
    options.brokers = unused.to_string();
    options.give_up_after = Some(std::time::Duration::from_millis(300));
    let error = KafkaLog::open(options).map(|_| ()).unwrap_err();
    assert!(matches!(&error, LogError::Kafka { retriable: true, .. }), "{error}");
    assert!(error.to_string().contains(&unused.to_string()), "{error}");
}

#[test]
fn an_unknown_setting_is_refused() {
    let mut options = KafkaServer::shared().options();
    options.security.insert("security.protokol".into(), "ssl".into());
    let error = KafkaLog::open(options).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("security.protokol"), "{error}");
}
