//! Outputs: exactly once, whole epochs, one writer.

use std::time::Duration;

use gravity_events::body::EpochClosed;
use gravity_events::{Body, Topic, codec};
use gravity_ingest::log::kafka::{KafkaLog, KafkaOptions};
use gravity_ingest::log::{Log, LogError, OutputEpoch};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset};

use crate::common::*;
use crate::reading::committed;
use crate::server::KafkaServer;

fn epoch(n: u64, records: &[(Topic, u32)]) -> OutputEpoch {
    OutputEpoch {
        epoch: n,
        now_ms: 1000 * n as i64,
        bound: vec![bound(Topic::Usage, 1, 10 * n), bound(Topic::Reference, 0, n)],
        records: records.iter().map(|(t, p)| at(*t, *p, &format!("e{n}"))).collect(),
    }
}

fn transactional(options: &KafkaOptions, id: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &options.brokers)
        .set("transactional.id", options.group_name(id))
        .create()
        .unwrap();
    producer.init_transactions(LONG).unwrap();
    producer.begin_transaction().unwrap();
    producer
}

fn send(producer: &BaseProducer, options: &KafkaOptions, topic: Topic, partition: i32, value: &str) {
    let name = options.topic_name(topic);
    producer.send(BaseRecord::<str, str>::to(&name).partition(partition).payload(value)).map_err(|(e, _)| e).unwrap();
    producer.flush(LONG).unwrap();
}

/// The marker, or the text of a plain record.
fn marks(log: &KafkaLog, topic: Topic, partition: u32) -> Vec<Result<EpochClosed, String>> {
    read_all(log, topic, partition)
        .into_iter()
        .map(|e| match codec::decode(&e.value) {
            Ok(record) => match record.body {
                Body::EpochClosed(closed) => Ok(closed),
                other => panic!("{other:?}"),
            },
            Err(_) => Err(String::from_utf8(e.value.to_vec()).unwrap()),
        })
        .collect()
}

#[test]
fn epochs_are_written_whole_once_and_with_their_binding() {
    let log = KafkaServer::shared().log();
    let mut outputs = log.outputs("boards").unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), None);
    let first = epoch(1, &[(Topic::BoardsPublic, 0), (Topic::BoardsPublic, 0), (Topic::BoardsJury, 2)]);
    outputs.publish(std::slice::from_ref(&first)).unwrap();
    outputs.publish(&[first.clone(), epoch(2, &[]), epoch(4, &[(Topic::BoardsPublic, 0)])]).unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), Some(4));

    let closed = |epoch, records| Ok(EpochClosed { pipeline: "boards".into(), epoch, records });
    let text = |t: &str| Err(t.to_owned());
    assert_eq!(marks(&log, Topic::BoardsPublic, 0), [text("e1"), text("e1"), closed(1, 2), text("e4"), closed(4, 1)]);
    assert_eq!(marks(&log, Topic::BoardsJury, 2), [text("e1"), closed(1, 1)]);
    assert_eq!(marks(&log, Topic::BoardsPublic, 1), []);

    let bindings = read_all(&log, Topic::Epochs, 0);
    assert_eq!(bindings[0].key, "boards");
    assert_eq!(
        std::str::from_utf8(&bindings[0].value),
        Ok(
            r#"{"pipeline":"boards","epoch":1,"now_ms":1000,"bound":[["gravity.usage.v1",1,10],["gravity.reference.v1",0,1]]}"#
        )
    );
    let after = |n: u64| epoch(n, &[]).bound;
    assert_eq!(outputs.bindings_after(1).unwrap(), [(2, 2000, after(2)), (4, 4000, after(4))]);
    assert_eq!(outputs.bindings_after(4).unwrap(), []);
    assert_eq!(outputs.bindings_after(0).unwrap().len(), 3);
    assert_eq!(committed(log.options(), "boards", Topic::Usage, 1), Offset::Offset(40));

    // The next process knows what is there, and writes nothing twice. Other pipelines have their own count.
    drop(outputs);
    let mut next = log.outputs("boards").unwrap();
    assert_eq!(next.last_epoch().unwrap(), Some(4));
    next.publish(&[first, epoch(4, &[(Topic::BoardsPublic, 0)])]).unwrap();
    assert_eq!(marks(&log, Topic::BoardsPublic, 0).len(), 5);
    assert_eq!(log.outputs("burn").unwrap().last_epoch().unwrap(), None);
}

#[test]
fn bindings_are_found_far_from_the_end_of_the_topic() {
    let log = KafkaServer::shared().log();
    let mut rare = log.outputs("rare").unwrap();
    rare.publish(&[epoch(7, &[]), epoch(8, &[])]).unwrap();
    let mut busy = log.outputs("busy").unwrap();
    let many: Vec<OutputEpoch> = (1..=700).map(|n| epoch(n, &[])).collect();
    busy.publish(&many).unwrap();
    assert_eq!(log.outputs("rare").unwrap().last_epoch().unwrap(), Some(8));
    let mut busy = log.outputs("busy").unwrap();
    let after: Vec<u64> = busy.bindings_after(100).unwrap().into_iter().map(|(epoch, ..)| epoch).collect();
    assert_eq!(after, (101..=700).collect::<Vec<_>>());
}

#[test]
fn an_aborted_transaction_is_invisible_and_reads_pass_over_its_hole() {
    let log = KafkaServer::shared().log();
    append(&log, vec![at(Topic::Scores, 0, "before")]);
    let mut tail = log.tail(vec![bound(Topic::Scores, 0, 0)]).unwrap();
    let half_way = transactional(log.options(), "someone");
    send(&half_way, log.options(), Topic::Scores, 0, "aborted");
    append(&log, vec![at(Topic::Scores, 0, "after")]);
    // Open: not durable yet, nor is what comes after it.
    assert_eq!(log.range(Topic::Scores, 0).unwrap(), (0, 1));
    assert_eq!(texts(&read_all(&log, Topic::Scores, 0)), ["before"]);
    assert_eq!(texts(&poll_until(&mut *tail, 1)), ["before"]);
    half_way.abort_transaction(LONG).unwrap();
    assert_eq!(texts(&poll_until(&mut *tail, 1)), ["after"]);
    assert_eq!(texts(&read_all(&log, Topic::Scores, 0)), ["before", "after"]);
    // The last offset is the transaction's marker: nothing is there, and the read says so at once.
    assert_eq!(log.range(Topic::Scores, 0).unwrap(), (0, 4));
    assert_eq!(log.read(Topic::Scores, 0, 3, LIMIT).unwrap(), []);
    assert_eq!(tail.poll(LIMIT, Duration::ZERO).unwrap(), []);
}

#[test]
fn what_a_dead_process_left_half_way_never_shows() {
    let log = KafkaServer::shared().log();
    log.outputs("boards").unwrap().publish(&[epoch(1, &[(Topic::BoardsPublic, 0)])]).unwrap();
    let dead = transactional(log.options(), "boards");
    send(&dead, log.options(), Topic::BoardsPublic, 0, "half of epoch 2");
    // Taking over aborts it, without waiting for its time-out.
    let mut outputs = log.outputs("boards").unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), Some(1));
    outputs.publish(&[epoch(2, &[(Topic::BoardsPublic, 0)])]).unwrap();
    let plain: Vec<String> = marks(&log, Topic::BoardsPublic, 0).into_iter().filter_map(Result::err).collect();
    assert_eq!(plain, ["e1", "e2"]);
}

#[test]
fn an_older_writer_is_fenced_and_changes_nothing() {
    let log = KafkaServer::shared().log();
    let mut older = log.outputs("boards").unwrap();
    older.publish(&[epoch(1, &[(Topic::BoardsPublic, 0)])]).unwrap();
    let mut newer = log.outputs("boards").unwrap();
    let stale = older.publish(&[epoch(2, &[(Topic::BoardsPublic, 0)])]).unwrap_err();
    assert!(matches!(&stale, LogError::Fenced { pipeline } if pipeline == "boards"), "{stale:?}");
    assert!(older.publish(&[epoch(2, &[])]).is_err(), "it stays that way");
    assert_eq!(newer.last_epoch().unwrap(), Some(1));
    newer.publish(&[epoch(2, &[(Topic::BoardsPublic, 0)])]).unwrap();
    assert_eq!(marks(&log, Topic::BoardsPublic, 0).len(), 4);
    log.outputs("burn").unwrap().publish(&[epoch(1, &[])]).unwrap();
}

#[test]
fn the_last_epoch_is_known_in_spite_of_another_pipelines_open_transaction() {
    let log = KafkaServer::shared().log();
    let mut boards = log.outputs("boards").unwrap();
    assert_eq!(boards.last_epoch().unwrap(), None);
    let other = transactional(log.options(), "other");
    send(&other, log.options(), Topic::Epochs, 0, "{}");
    // Committed, but behind the open transaction: hidden from readers for now.
    boards.publish(&[epoch(1, &[])]).unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| log.outputs("boards").unwrap().last_epoch().unwrap());
        // On a busy machine the broker may have aborted it already, which comes to the same.
        let _ = other.abort_transaction(LONG);
        assert_eq!(asked.join().unwrap(), Some(1));
    });
}

#[test]
fn an_epoch_for_a_partition_that_is_not_there_is_refused_before_anything_is_written() {
    let log = KafkaServer::shared().log();
    let mut outputs = log.outputs("boards").unwrap();
    let bad = epoch(1, &[(Topic::BoardsPublic, 0), (Topic::BoardsPublic, 9)]);
    assert!(matches!(outputs.publish(&[bad]), Err(LogError::NoPartition { partition: 9, .. })));
    outputs.publish(&[epoch(1, &[(Topic::BoardsPublic, 0)])]).unwrap();
    assert_eq!(outputs.last_epoch().unwrap(), Some(1));
}
