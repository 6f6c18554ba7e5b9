//! Following: waking, order, resuming.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gravity_events::Topic;
use gravity_ingest::log::Limit;

use super::{ALL, LONG, Make, NOW, Setup, append, bound, placed, poll_until, record, values};

pub fn a_tail_returns_what_is_there_and_then_waits(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    append(&*log, (0..5).map(|i| placed(Topic::Usage, 0, format!("{i}"))).collect());
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 2)]).unwrap();
    assert_eq!(values(&poll_until(&mut *tail, 3)), ["2", "3", "4"]);
    let begun = Instant::now();
    assert_eq!(tail.poll(ALL, Duration::from_millis(50)).unwrap(), []);
    assert!(begun.elapsed() >= Duration::from_millis(50), "it waited");
    append(
        &*log,
        vec![placed(Topic::Usage, 1, "other partition"), placed(Topic::Usage, 0, "5")],
    );
    assert_eq!(values(&poll_until(&mut *tail, 1)), ["5"]);
}

pub fn a_waiting_tail_wakes_for_a_record(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..20 {
                said.send(values(&poll_until(&mut *tail, 1))).unwrap();
            }
        });
        for i in 0..20 {
            append(&*log, vec![placed(Topic::Usage, 0, format!("{i}"))]);
            assert_eq!(heard.recv_timeout(LONG).unwrap(), [i.to_string()]);
        }
    });
}

pub fn a_tail_resumes_where_another_ended(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    append(
        &*log,
        (0..10).map(|i| placed(Topic::Usage, 0, format!("{i}"))).collect(),
    );
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let from = bound(Topic::Usage, 0, seen.len() as u64);
        let entries = log
            .tail(vec![from])
            .unwrap()
            .poll(
                Limit {
                    records: 3,
                    bytes: 1 << 20,
                },
                LONG,
            )
            .unwrap();
        assert!(!entries.is_empty() && entries.len() <= 3);
        seen.extend(values(&entries));
    }
    assert_eq!(seen, (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
}

pub fn earlier_assignments_come_first(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let from = vec![
        bound(Topic::Reference, 0, 0),
        bound(Topic::Usage, 1, 0),
        bound(Topic::Usage, 0, 0),
    ];
    for round in 0..3 {
        append(
            &*log,
            (0..2)
                .map(|i| placed(Topic::Usage, 0, format!("u0 {round} {i}")))
                .collect(),
        );
        append(
            &*log,
            (0..2)
                .map(|i| placed(Topic::Usage, 1, format!("u1 {round} {i}")))
                .collect(),
        );
        append(
            &*log,
            (0..2)
                .map(|i| placed(Topic::Reference, 0, format!("r {round} {i}")))
                .collect(),
        );
    }
    let mut tail = log.tail(from.clone()).unwrap();
    let place = |e: &gravity_ingest::log::Entry| {
        from.iter()
            .position(|b| (b.topic, b.partition) == (e.position.topic, e.position.partition))
            .unwrap()
    };
    let mut seen = Vec::new();
    while seen.len() < 18 {
        let entries = tail
            .poll(
                Limit {
                    records: 5,
                    bytes: 1 << 20,
                },
                LONG,
            )
            .unwrap();
        assert!(!entries.is_empty() && entries.len() <= 5);
        assert!(
            entries.is_sorted_by_key(place),
            "within a poll in the order of assignments"
        );
        seen.extend(entries);
    }
    for (i, from) in from.iter().enumerate() {
        let offsets: Vec<u64> = seen
            .iter()
            .filter(|e| place(e) == i)
            .map(|e| e.position.offset)
            .collect();
        assert_eq!(offsets, (0..6).collect::<Vec<u64>>(), "{from:?}");
    }
}

pub fn a_waker_ends_a_poll(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    let waker = tail.waker();
    std::thread::scope(|scope| {
        let poll = scope.spawn(move || (Instant::now(), tail.poll(ALL, LONG * 10).unwrap(), Instant::now()));
        while !poll.is_finished() {
            waker();
            std::thread::yield_now();
        }
        let (begun, entries, ended) = poll.join().unwrap();
        assert_eq!(entries, []);
        assert!(ended - begun < LONG * 10);
    });
}

pub fn a_waker_ends_the_next_poll_if_none_waits(make: Make) {
    let test = make(Setup::default());
    let log = test.log();
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    let mut other = log.tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
    (tail.waker())();
    assert_eq!(tail.poll(ALL, LONG * 10).unwrap(), []);
    let begun = Instant::now();
    assert_eq!(other.poll(ALL, Duration::from_millis(30)).unwrap(), []);
    assert!(
        begun.elapsed() >= Duration::from_millis(30),
        "another tail's waker is not one's own"
    );
    append(&*log, vec![placed(Topic::Usage, 0, "x")]);
    assert_eq!(values(&poll_until(&mut *tail, 1)), ["x"]);
}

pub fn a_tail_sees_each_record_once_under_load(make: Make) {
    const PRODUCERS: usize = 4;
    const EACH: usize = 300;
    let test = make(Setup {
        partitions: 3,
        ..Setup::default()
    });
    let log = test.log();
    let mut tail = log
        .tail((0..3).map(|p| bound(Topic::Submissions, p, 0)).collect())
        .unwrap();
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let log = &log;
            scope.spawn(move || {
                for i in 0..EACH {
                    append(
                        &**log,
                        vec![record(Topic::Submissions, &format!("{producer}/{}", i % 7), "x")],
                    );
                }
            });
        }
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let mut seen = 0;
        while seen < PRODUCERS * EACH {
            let entries = tail
                .poll(
                    Limit {
                        records: 13,
                        bytes: 1 << 20,
                    },
                    LONG,
                )
                .unwrap();
            assert!(!entries.is_empty(), "{seen} seen");
            for entry in entries {
                let expected = next.entry(entry.position.partition).or_default();
                assert_eq!(entry.position.offset, *expected);
                *expected += 1;
                seen += 1;
            }
        }
    });
    assert_eq!(tail.poll(ALL, NOW).unwrap(), []);
}

pub fn a_tail_goes_on_over_a_reopen(make: Make) {
    let mut test = make(Setup::default());
    append(
        &*test.log(),
        (0..5).map(|i| placed(Topic::Usage, 0, format!("{i}"))).collect(),
    );
    let next = {
        let mut tail = test.log().tail(vec![bound(Topic::Usage, 0, 0)]).unwrap();
        poll_until(&mut *tail, 5).last().unwrap().position.offset + 1
    };
    test.reopen();
    let log = test.log();
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, next)]).unwrap();
    append(&*log, vec![placed(Topic::Usage, 0, "after")]);
    assert_eq!(values(&poll_until(&mut *tail, 1)), ["after"]);
}

pub fn many_partitions_are_followed_at_once(make: Make) {
    let test = make(Setup {
        partitions: 32,
        ..Setup::default()
    });
    let log = test.log();
    let mut tail = log.tail((0..32).map(|p| bound(Topic::Usage, p, 0)).collect()).unwrap();
    for round in 0..3 {
        append(
            &*log,
            (0..32).map(|p| placed(Topic::Usage, p, format!("{round}"))).collect(),
        );
        let entries = poll_until(&mut *tail, 32);
        let mut partitions: Vec<u32> = entries.iter().map(|e| e.position.partition).collect();
        partitions.sort_unstable();
        assert_eq!(partitions, (0..32).collect::<Vec<u32>>());
    }
}
