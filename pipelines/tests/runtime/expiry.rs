//! How long identities are kept, and that a clock in doubt forgets none.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gravity_events::Record;
use gravity_ingest::segment::SyncMode;
use gravity_pipelines::runtime::Options;
use gravity_pipelines::runtime::clock::WallClock;
use gravity_pipelines::runtime::journal::Journal;

use crate::support::*;
use crate::toy::*;

const DAY_MS: i64 = 86_400_000;

/// A live record without a time: it may come at any.
fn live(team: &str, n: u32) -> Record {
    Record { backfill: false, ..submit(team, n) }
}

struct World {
    log: Shared,
    dir: tempfile::TempDir,
    wall: Arc<AtomicI64>,
    toy: Toy,
}

impl World {
    fn new() -> World {
        let wall = Arc::new(AtomicI64::new(20_000 * DAY_MS));
        World { log: Shared::default(), dir: tempfile::tempdir().unwrap(), wall, toy: Toy::default() }
    }

    /// Runs the pipeline while `act` acts.
    fn run(&self, merge_bytes: u64, act: impl FnOnce()) {
        let wall = self.wall.clone();
        let pipeline = start_toy(&self.log, self.toy.again(0), self.dir.path(), |o: &mut Options| {
            (o.merge_bytes, o.row_cap) = (merge_bytes, 20);
            o.wall = WallClock::new(move || wall.load(Ordering::SeqCst));
        });
        assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
        act();
        assert_eq!(pipeline.status().restarts, 0, "{:?}", pipeline.status());
        stop_soon(pipeline);
    }

    /// Sends these, and then one of team `mark`, and waits for that.
    fn send(&self, records: &[Record]) {
        let marks = self.toy.count("mark");
        self.log.0.put(records);
        self.log.0.put(&[submit("mark", u32::try_from(marks).unwrap() + 1)]);
        until("the mark is counted", || self.toy.count("mark") == marks + 1);
    }
}

#[test]
fn live_identities_are_kept_for_32_days_and_imported_ones_for_ever() {
    // Without merges, and with many: the tables and the runs forget alike.
    for merge_bytes in [u64::MAX / 2, 200] {
        let w = World::new();
        let all: Vec<Record> = (0..50).flat_map(|n| [live("live", n), submit("imported", n)]).collect();
        let counts = || (w.toy.count("live"), w.toy.count("imported"));
        w.run(merge_bytes, || {
            w.send(&all);
            assert_eq!(counts(), (50, 50));
            w.send(&all);
        });
        for (days, live) in [(1, 50), (31, 50), (1, 100), (1, 100), (31, 100), (1, 150)] {
            w.wall.fetch_add(days * DAY_MS, Ordering::SeqCst);
            w.run(merge_bytes, || w.send(&all));
            assert_eq!(counts(), (live, 50), "merges at {merge_bytes} bytes, {days} more days");
        }
    }
}

#[test]
fn a_clock_in_doubt_forgets_nothing_also_not_in_merges() {
    for merge_bytes in [u64::MAX / 2, 200] {
        let w = World::new();
        let all: Vec<Record> = (0..50).map(|n| live("live", n)).collect();
        w.run(merge_bytes, || {
            w.send(&all);
            // A leap while it runs is not believed ...
            w.wall.fetch_add(40 * DAY_MS, Ordering::SeqCst);
            w.send(&all);
            for n in 0..20 {
                w.send(&[submit("other", n)]);
            }
            w.send(&all);
            assert_eq!(w.toy.count("live"), 50);
            w.wall.fetch_sub(40 * DAY_MS, Ordering::SeqCst);
        });
        // ... and what expiry goes by stood still.
        let at = Journal::open(w.dir.path(), "toy", 1, SyncMode::Fsync).unwrap();
        let clocks: Vec<(i64, i64)> =
            at.reader().after(at.first_epoch() - 1).map(|f| f.unwrap()).map(|f| (f.now_ms, f.trusted_ms)).collect();
        let last = clocks.last().unwrap();
        assert!(last.1 <= last.0 && last.0 < 20_001 * DAY_MS, "{last:?}");
        let doubted = clocks.iter().filter(|(now, trusted)| trusted < now || trusted == &last.1).count();
        assert!(doubted >= 22, "{clocks:?}");
        drop(at);
        w.run(merge_bytes, || w.send(&all));
        assert_eq!(w.toy.count("live"), 50);
    }
}
