//! A broker that is killed and comes back on its data.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use gravity_events::{Body, Topic, codec};
use gravity_ingest::log::kafka::KafkaLog;
use gravity_ingest::log::{Log, LogError, OutputEpoch};

use crate::common::*;
use crate::server::KafkaServer;

/// What the process logs, as text.
fn logged() -> &'static Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LOGGED: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOGGED.get_or_init(|| {
        let sink = Sink(Arc::default());
        let writer = sink.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
        sink.0
    })
}

fn lines_with(brokers: &str, what: &str) -> usize {
    let text = String::from_utf8(logged().lock().unwrap().clone()).unwrap();
    text.lines().filter(|l| l.contains(brokers) && l.contains(what)).count()
}

fn until_lines(brokers: &str, what: &str, n: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    while lines_with(brokers, what) < n {
        assert!(Instant::now() < until, "`{what}` was not said {n} times in a minute");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn nothing_is_lost_and_the_client_waits_when_the_broker_is_killed_and_restarted() {
    logged();
    let server = KafkaServer::start();
    // Ends the threads of a test that fails.
    let mut options = server.options();
    options.give_up_after = Some(Duration::from_secs(60));
    let log = KafkaLog::open(options).unwrap();
    let stop = AtomicBool::new(false);
    let accepted = AtomicUsize::new(0);
    let published = AtomicUsize::new(0);
    let at_least = |counter: &AtomicUsize, count: usize| {
        while counter.load(Ordering::Acquire) < count {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    let (acknowledged, followed) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (log, stop, accepted) = (&log, &stop, &accepted);
                scope.spawn(move || {
                    let mut positions = Vec::new();
                    for n in 0.. {
                        if stop.load(Ordering::Acquire) {
                            break;
                        }
                        let batch = (0..5)
                            .map(|i| record(Topic::Submissions, &format!("w{writer}"), &format!("{}", 5 * n + i)));
                        positions.extend(append(log, batch.collect()));
                        accepted.fetch_add(5, Ordering::AcqRel);
                    }
                    positions
                })
            })
            .collect();
        let pipeline = scope.spawn(|| {
            let mut outputs = log.outputs("boards").unwrap();
            for n in 1.. {
                if stop.load(Ordering::Acquire) {
                    return n - 1;
                }
                let records = vec![at(Topic::BoardsPublic, 0, "row"); 3];
                outputs
                    .publish(&[OutputEpoch {
                        epoch: n,
                        now_ms: 0,
                        bound: vec![bound(Topic::Submissions, 0, n)],
                        records,
                    }])
                    .unwrap();
                published.store(n as usize, Ordering::Release);
            }
            unreachable!()
        });
        let follower = scope.spawn(|| {
            let mut tail = log.tail((0..3).map(|p| bound(Topic::Submissions, p, 0)).collect()).unwrap();
            let mut all = Vec::new();
            loop {
                let done = stop.load(Ordering::Acquire);
                let part = tail.poll(LIMIT, Duration::from_millis(200)).unwrap();
                if part.is_empty() && done && all.len() >= accepted.load(Ordering::Acquire) {
                    return all;
                }
                all.extend(part);
            }
        });
        for round in 1..=2 {
            at_least(&accepted, 400 * round);
            at_least(&published, 10 * round);
            server.kill();
            // A broker that is back before anybody has missed it was not lost.
            until_lines(&server.brokers(), "Kafka is lost", round);
            server.start_again();
            until_lines(&server.brokers(), "Kafka is back", round);
        }
        let (a, p) = (accepted.load(Ordering::Acquire), published.load(Ordering::Acquire));
        at_least(&accepted, a + 400);
        at_least(&published, p + 10);
        stop.store(true, Ordering::Release);
        let positions: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        assert_eq!(pipeline.join().unwrap(), published.load(Ordering::Acquire) as u64);
        (positions, follower.join().unwrap())
    });

    // Every acknowledged record stands where it was said to, in the order of its writer, once.
    let all: Vec<_> = (0..3).flat_map(|p| read_all(&log, Topic::Submissions, p)).collect();
    let by_position: HashMap<_, _> = all.iter().map(|e| (e.position, e)).collect();
    for (writer, positions) in acknowledged.iter().enumerate() {
        for (n, position) in positions.iter().enumerate() {
            let found = by_position[position];
            assert_eq!((&found.key[..], &found.value[..]), (format!("w{writer}").as_bytes(), n.to_string().as_bytes()));
        }
        assert!(positions.windows(2).all(|w| w[0].offset < w[1].offset));
    }
    assert_eq!(all.len(), acknowledged.iter().map(Vec::len).sum::<usize>(), "retries wrote nothing twice");
    assert_eq!(followed.len(), all.len());
    assert!(followed.iter().all(|e| by_position[&e.position] == e));

    // Each epoch is there once and whole.
    let epochs: Vec<u64> = read_all(&log, Topic::BoardsPublic, 0)
        .chunks(4)
        .map(|chunk| {
            assert_eq!(texts(&chunk[..3]), ["row"; 3]);
            match codec::decode(&chunk[3].value).unwrap().body {
                Body::EpochClosed(closed) => closed.epoch,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(epochs, (1..=published.load(Ordering::Acquire) as u64).collect::<Vec<_>>());

    // One line per loss and one per return.
    log.close();
    assert_eq!(lines_with(&server.brokers(), "Kafka is lost"), 2);
    assert_eq!(lines_with(&server.brokers(), "Kafka is back"), 2);
}

#[test]
fn calls_fail_retriably_once_a_lost_broker_is_given_up_and_work_again_when_it_is_back() {
    let server = KafkaServer::start();
    // The first transaction on a fresh broker takes long.
    server.log().outputs("boards").unwrap();
    let mut options = server.options();
    options.give_up_after = Some(Duration::from_secs(2));
    let log = KafkaLog::open(options).unwrap();
    let mut outputs = log.outputs("boards").unwrap();
    append(&log, vec![at(Topic::Usage, 0, "kept")]);
    server.kill();
    let retriable =
        |r: Result<(), LogError>| assert!(matches!(r, Err(LogError::Kafka { retriable: true, .. })), "{r:?}");
    retriable(block_on(log.append(vec![at(Topic::Usage, 0, "not written")])).map(|_| ()));
    retriable(log.read(Topic::Usage, 0, 0, LIMIT).map(|_| ()));
    retriable(log.outputs("burn").map(|_| ()));
    retriable(outputs.publish(&[OutputEpoch {
        epoch: 1,
        now_ms: 0,
        bound: Vec::new(),
        records: vec![at(Topic::Burn, 0, "b")],
    }]));
    server.start_again();
    let until_it_works = |what: &dyn Fn() -> Result<(), LogError>| {
        while let Err(e) = what() {
            assert!(matches!(e, LogError::Kafka { retriable: true, .. }), "{e}");
        }
    };
    until_it_works(&|| block_on(log.append(vec![at(Topic::Usage, 0, "again")])).map(|_| ()));
    // Each kind of call has its own connection, which comes back in its own time.
    until_it_works(&|| log.range(Topic::Usage, 0).map(|_| ()));
    until_it_works(&|| log.read(Topic::Usage, 0, 0, LIMIT).map(|_| ()));
    assert_eq!(texts(&read_all(&log, Topic::Usage, 0)), ["kept", "again"]);
    until_it_works(&|| log.outputs("boards")?.last_epoch().map(|last| assert_eq!(last, None)));
}
