//! The promise to later versions: a folder that this one wrote is read, and gives the same state.
//!
//! `GRAVITY_WRITE_JOURNAL=pipelines/tests/data/journal-v1 cargo test -p gravity-pipelines formats` made the stored one. It
//! is never made again: a new format gets a folder of its own beside it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gravity_events::Topic;
use gravity_ingest::log::{Bound, Log};
use gravity_pipelines::runtime::clock::WallClock;
use gravity_pipelines::runtime::journal::base;
use gravity_pipelines::runtime::sequencer::Script;

use crate::support::*;

/// 2025-06-01.
const NOW_MS: i64 = 1_748_736_000_000;

/// The log that the folder is bound to.
fn log() -> Shared {
    let log = Shared::default();
    log.0.put(&reference(3, 2));
    for n in 0..12 {
        log.0.put(&attempt(n, n % 3, n % 2, i64::from(n) * 20, ["AC", "WA", "CE"][(n / 2 % 3) as usize]));
    }
    log.0.put_bytes([(Topic::Submissions, b"not a record".to_vec())]);
    log
}

/// One line per board.
fn versions(s: &SeenState) -> String {
    let mut out = String::new();
    for ((event, view, division), version) in &s.versions {
        writeln!(out, "{event} {} {division} {version}", view.name()).unwrap();
    }
    out
}

/// What this build makes of the log.
fn recomputed(log: &Shared) -> SeenState {
    let (dir, seen) = (tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    let pipeline = start(log, &seen, dir.path(), |_| {});
    let state = seen.wait(log);
    stop_soon(pipeline);
    state
}

fn write(to: &Path) {
    let (log, seen) = (log(), Arc::new(Seen::default()));
    let at = |topic, offset| Bound { topic, partition: 0, offset };
    let ends = [Topic::Reference, Topic::Submissions, Topic::Judgements].map(|t| (t, log.range(t, 0).unwrap().1));
    let cut = |n: u64| ends.iter().map(|(t, end)| at(*t, if n == 6 { *end } else { (2 * n).min(*end) })).collect();
    let pipeline = start(&log, &seen, to, |o| {
        (o.merge_bytes, o.script, o.workers) = (600, Script::cuts((1..=6).map(cut).collect()), 1);
        o.wall = WallClock::new(|| NOW_MS);
    });
    seen.wait(&log);
    until("it merged", || pipeline.status().base_epoch.is_some());
    stop_soon(pipeline);
    // What is shown after a restart, which is what every later version must show.
    let again = Arc::new(Seen::default());
    let pipeline = start(&log, &again, to, |_| {});
    let state = again.wait(&log);
    stop_soon(pipeline);
    fs::write(to.join("versions.txt"), versions(&state)).unwrap();
}

#[test]
fn the_first_formats_folder_gives_the_state_that_it_gave() {
    let stored = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/journal-v1"));
    if std::env::var_os("GRAVITY_WRITE_JOURNAL").is_some() && !stored.exists() {
        write(&stored);
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&stored, dir.path());
    assert!(fs::read_dir(dir.path().join("identities")).unwrap().count() > 0, "and runs of identities");
    let (log, seen) = (log(), Arc::new(Seen::default()));
    // The topics lack the epochs after the base: their outputs must be understood, too.
    let base = base::newest(dir.path()).unwrap().unwrap();
    assert!(base < 6);
    log.0.set_published("boards", base);
    let pipeline = start(&log, &seen, dir.path(), |o| o.workers = 3);
    assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
    let state = seen.wait(&log);
    assert_eq!(state.rows, recomputed(&self::log()).rows);
    let (now, then) = (versions(&state), fs::read_to_string(stored.join("versions.txt")).unwrap());
    let split = |line: &str| line.rsplit_once(' ').map(|(b, v)| (b.to_owned(), v.parse::<u64>().unwrap())).unwrap();
    // A later build may compute other views; then each board that differs has one more version.
    let more = pipeline.status().epoch - 6;
    for (now, then) in now.lines().map(split).zip(then.lines().map(split)) {
        assert!(now.0 == then.0 && (then.1..=then.1 + more).contains(&now.1), "{then:?} became {now:?}");
    }
    assert!(more <= 1 && now.lines().count() == then.lines().count());
    let published = log.0.epochs().iter().map(|e| e.epoch).collect::<Vec<_>>();
    assert!(published.into_iter().eq(base + 1..=6 + more));
    // Every record of then is known.
    for topic in [Topic::Reference, Topic::Submissions, Topic::Judgements] {
        let end = log.range(topic, 0).unwrap().1;
        let all = log.read(topic, 0, 0, gravity_ingest::log::Limit { records: 100, bytes: 1 << 20 }).unwrap();
        log.0.put_bytes(all.into_iter().map(|e| (topic, e.value.to_vec())));
        let again = seen.wait(&log);
        let new = again.refused.iter().filter(|(p, _)| p.topic == topic && p.offset >= end);
        assert!(new.clone().all(|(_, code)| matches!(*code, "duplicate" | "syntax")));
        assert_eq!(new.count() as u64, end);
        assert_eq!(again.rows, state.rows);
    }
    stop_soon(pipeline);
}
