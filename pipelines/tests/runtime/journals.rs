//! Journals as crashes, lost disks, restored backups and other builds leave them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gravity_events::Topic;
use gravity_events::board::{OVERALL, View};
use gravity_ingest::log::Bound;
use gravity_ingest::segment::SyncMode;
use gravity_pipelines::runtime::failpoint::{Action, Failpoints};
use gravity_pipelines::runtime::journal::{Journal, base};
use gravity_pipelines::runtime::sequencer::Script;
use gravity_pipelines::runtime::{PipelineState, Runtime};

use crate::support::*;
use crate::toy::*;

fn contest(log: &Shared, from: u32, upto: u32) {
    for n in from..upto {
        log.0.put(&attempt(n, n % 5, n % 3, i64::from(n % 290), ["AC", "WA"][(n % 2) as usize]));
    }
}

/// Why it cannot start.
fn refused(pipeline: Runtime) -> String {
    until("it fails", || matches!(pipeline.status().state, PipelineState::Failed(_)));
    let PipelineState::Failed(why) = pipeline.status().state else { panic!("{:?}", pipeline.status()) };
    stop_soon(pipeline);
    why
}

/// A boards pipeline that has merged at least once, and its state.
fn merged(log: &Shared, dir: &Path) -> SeenState {
    let seen = Arc::new(Seen::default());
    log.0.put(&reference(5, 3));
    let pipeline = start(log, &seen, dir, |o| (o.merge_bytes, o.row_cap) = (2_000, 20));
    let mut sent = 0;
    while pipeline.status().base_epoch.is_none() {
        contest(log, sent, sent + 20);
        sent += 20;
        seen.wait(log);
    }
    contest(log, sent, sent + 5);
    let state = seen.wait(log);
    stop_soon(pipeline);
    state
}

/// Starts it again and gives what it shows.
fn reopened(log: &Shared, dir: &Path) -> SeenState {
    let seen = Arc::new(Seen::default());
    let pipeline = start(log, &seen, dir, |_| {});
    assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
    let state = seen.wait(log);
    stop_soon(pipeline);
    state
}

fn same(a: &SeenState, b: &SeenState) {
    assert_eq!((&a.rows, &a.versions), (&b.rows, &b.versions));
}

#[test]
fn a_journal_whose_making_was_interrupted_begins_anew() {
    // A crash between the folder, the mark and the first segment.
    for files in [&[][..], &["durable.mark"], &["durable.mark", "00000000000000000001.seg.tmp"]] {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        let frames = dir.path().join("frames");
        fs::create_dir(&frames).unwrap();
        files.iter().for_each(|f| fs::write(frames.join(f), "").unwrap());
        log.0.put(&reference(2, 2));
        let pipeline = start(&log, &seen, dir.path(), |_| {});
        seen.wait(&log);
        stop_soon(pipeline);
    }
}

#[test]
fn a_base_that_took_its_place_before_the_frames_were_dropped_counts_once() {
    // The merge is interrupted after the rename, and the old base and runs are put back beside the new ones.
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.put(&reference(5, 3));
    let failpoints = Failpoints::arm("merge.after_rename", 2, Action::Fail);
    let pipeline = start(&log, &seen, dir.path(), |o| {
        (o.merge_bytes, o.row_cap, o.failpoints) = (2_000, 20, failpoints.clone());
    });
    let mut sent = 0;
    while !failpoints.acted() {
        contest(&log, sent, sent + 20);
        sent += 20;
        seen.wait(&log);
    }
    let first = seen.wait(&log);
    stop_soon(pipeline);
    let newest = base::newest(dir.path()).unwrap().unwrap();
    let bases = dir.path().join("base");
    copy(&bases.join(format!("{newest:020}")), &bases.join(format!("{:020}", newest - 1)));
    fs::create_dir(bases.join(format!("{:020}.unfinished", newest + 9))).unwrap();
    fs::write(dir.path().join("identities").join("00000000000000000001-00000000000000000002.unfinished"), "x").unwrap();
    same(&reopened(&log, dir.path()), &first);
    assert_eq!(fs::read_dir(&bases).unwrap().count(), 1, "what the crash left is gone");
}

#[test]
fn what_is_missing_or_damaged_is_named_and_nothing_starts_without_it() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let first = merged(&log, dir.path());
    let broken = |name: &str, harm: &dyn Fn(&Path)| {
        let other = tempfile::tempdir().unwrap();
        copy(dir.path(), other.path());
        harm(other.path());
        let why = refused(start(&log, &Arc::new(Seen::default()), other.path(), |_| {}));
        assert!(why.contains(name), "{name}: {why}");
    };
    let files = |dir: &Path, folder: &str| -> Vec<PathBuf> {
        let mut all: Vec<_> = fs::read_dir(dir.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        all
    };
    // A merge that was given up may have left an unfinished one.
    let newest = |d: &Path| files(d, "base").into_iter().rfind(|p| p.extension().is_none()).unwrap();
    broken("no frames", &|d| fs::remove_dir_all(d.join("frames")).unwrap());
    // All of them: a merge that was given up may have left one that no base names.
    broken(".run", &|d| fs::remove_dir_all(d.join("identities")).unwrap());
    broken("damaged at byte", &|d| {
        for run in files(d, "identities") {
            let bytes = fs::read(&run).unwrap();
            fs::write(run, &bytes[..bytes.len() - 3]).unwrap();
        }
    });
    broken("damaged at byte", &|d| {
        let segment = fs::read_dir(newest(d)).unwrap().map(|e| e.unwrap().path());
        let segment = segment.filter(|p| p.extension().is_some_and(|e| e == "seg")).max().unwrap();
        let mut bytes = fs::read(&segment).unwrap();
        bytes[150] ^= 1;
        fs::write(segment, bytes).unwrap();
    });
    // Only that the frames are numbered tells: one file, not dropped yet, holds them all.
    let frames = |d: &Path| Journal::open(d, "boards", 1, SyncMode::Fsync).unwrap();
    if frames(dir.path()).first_epoch() > 1 {
        broken("is missing", &|d| fs::remove_dir_all(newest(d)).unwrap());
    }
    broken("reach epoch", &|d| {
        // Frames of a younger journal.
        fs::remove_dir_all(d.join("frames")).unwrap();
        drop(Journal::open(d, "boards", 1, SyncMode::Fsync).unwrap());
    });
    same(&reopened(&log, dir.path()), &first);
}

#[test]
fn a_gap_in_the_frames_is_an_error_never_skipped() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    log.0.put(&[submit("a", 1)]);
    let toy = Toy::default();
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    until("it counts", || toy.count("a") == 1);
    stop_soon(pipeline);
    let journal = Journal::open(dir.path(), "toy", 1, SyncMode::Fsync).unwrap();
    let frame = journal.reader().after(0).next().unwrap().unwrap();
    // The same frames, beginning later.
    let later = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(later.path(), "toy", 5, SyncMode::Fsync).unwrap();
    for epoch in 5..8 {
        journal.append(&gravity_pipelines::runtime::journal::Frame { epoch, genesis: 0, ..frame.clone() }).unwrap();
    }
    journal.sync().unwrap();
    let reader = journal.reader();
    assert_eq!(reader.after(4).map(|f| f.unwrap().epoch).collect::<Vec<_>>(), [5, 6, 7]);
    let all: Vec<_> = reader.after(2).collect();
    assert!(matches!(&all[..], [Err(e)] if e.to_string().contains("epoch 3 is missing: the next is that of 5")));
    drop((reader, journal));
    let why = refused(start_toy(&log, toy.again(0), later.path(), |_| {}));
    assert!(why.contains("the base is missing"), "{why}");
}

#[test]
fn out_topics_that_lost_epochs_get_them_again_or_say_that_they_are_gone() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    for n in 0..10 {
        log.0.put(&[submit("a", n)]);
        until("it counts", || toy.count("a") == i64::from(n) + 1);
    }
    stop_soon(pipeline);
    let whole = log.0.epochs();
    log.0.lose_outputs(4);
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
    stop_soon(pipeline);
    let text = |e: &[gravity_ingest::log::OutputEpoch]| format!("{e:?}");
    assert_eq!(text(&log.0.epochs()), text(&whole), "the same again");
    // Frames that were dropped cannot be published again. Nobody is told that all is well.
    let mut journal = Journal::open(dir.path(), "toy", 1, SyncMode::Fsync).unwrap();
    let frame = journal.reader().after(9).next().unwrap().unwrap();
    let (dropped, kept) = (tempfile::tempdir().unwrap(), journal.next_epoch() - 1);
    drop(journal);
    journal = Journal::open(dropped.path(), "toy", kept, SyncMode::Fsync).unwrap();
    let genesis = kept - 1;
    journal.append(&gravity_pipelines::runtime::journal::Frame { epoch: kept, genesis, ..frame }).unwrap();
    journal.sync().unwrap();
    drop(journal);
    log.0.lose_outputs(4);
    let why = refused(start_toy(&log, toy.again(0), dropped.path(), |_| {}));
    assert!(why.contains("the out topics hold epochs up to 4") && why.contains("Restore the newest log"), "{why}");
}

#[test]
fn a_journal_made_anew_goes_on_after_the_epochs_and_versions_that_were_shown() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let first = merged(&log, dir.path());
    let last = *first.epochs.last().unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let seen = Arc::new(Seen::rebuilt());
    let pipeline = start(&log, &seen, fresh.path(), |o| o.row_cap = 50);
    let second = seen.wait(&log);
    assert_eq!(second.rows, first.rows);
    assert!(second.epochs.iter().skip(1).all(|e| *e > last), "{:?} after {last}", second.epochs);
    let version = |s: &SeenState| s.versions[&("e".into(), View::Public, OVERALL.into())];
    assert!(version(&second) > version(&first));
    stop_soon(pipeline);
    same(&reopened(&log, fresh.path()), &second);
    let epochs: Vec<u64> = log.0.epochs().iter().map(|e| e.epoch).collect();
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

#[test]
fn a_journal_made_anew_does_not_go_on_from_a_log_that_has_dropped_records() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    log.0.put(&[submit("a", 0), submit("a", 1)]);
    until("it counts", || toy.count("a") == 2);
    stop_soon(pipeline);
    log.0.retain_from(Topic::Submissions, 1);
    stop_soon(start_toy(&log, toy.again(0), dir.path(), |_| {}));
    let fresh = tempfile::tempdir().unwrap();
    // Also when it is started again: what was begun is not gone on with.
    for _ in 0..2 {
        let why = refused(start_toy(&log, toy.again(0), fresh.path(), |_| {}));
        assert!(why.contains("offset 0 is gone, the first kept is 1"), "{why}");
    }
}

#[test]
fn an_older_journal_beside_newer_out_topics_is_refused() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    let older = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
        log.0.put(&[submit("a", round)]);
        until("it counts", || toy.count("a") == i64::from(round) + 1);
        stop_soon(pipeline);
        if round == 0 {
            copy(dir.path(), older.path());
        }
    }
    let why = refused(start_toy(&log, toy.again(0), older.path(), |_| {}));
    assert!(why.contains("Restore the newest journal"), "{why}");
}

#[test]
fn lost_epochs_are_run_again_exactly_by_their_bindings() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    log.0.keep_bindings();
    let older = tempfile::tempdir().unwrap();
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |o| o.row_cap = 7);
    log.0.put(&(0..40).map(|n| submit(["a", "b"][n as usize % 2], n)).collect::<Vec<_>>());
    until("it counts", || toy.count("b") == 20);
    stop_soon(pipeline);
    copy(dir.path(), older.path());
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |o| o.row_cap = 7);
    log.0.put(&(40..80).map(|n| submit(["a", "b"][n as usize % 2], n)).collect::<Vec<_>>());
    until("it counts", || toy.count("b") == 40);
    stop_soon(pipeline);
    let (whole, shown) = (log.0.epochs(), toy.shown.lock().last().cloned().unwrap());
    for lost in [older, tempfile::tempdir().unwrap()] {
        // Another build would compute other epochs than those that are published.
        let behind = base::newest(lost.path()).unwrap().is_some() || lost.path().join("frames").exists();
        if behind {
            let copied = tempfile::tempdir().unwrap();
            copy(lost.path(), copied.path());
            let why = refused(start_toy(&log, toy.again(1), copied.path(), |_| {}));
            assert!(why.contains("start that build once"), "{why}");
        }
        let again = Toy::default();
        let pipeline = start_toy(&log, again.again(0), lost.path(), |_| {});
        until("it is where it was", || again.shown.lock().last().is_some_and(|s| s.0 == shown.0));
        assert_eq!(again.shown.lock().last().unwrap(), &shown);
        stop_soon(pipeline);
        assert_eq!(format!("{:?}", log.0.epochs()), format!("{whole:?}"), "nothing is published twice");
        let frame = |dir: &Path| {
            let journal = Journal::open(dir, "toy", 1, SyncMode::Fsync).unwrap();
            let last = journal.next_epoch() - 2;
            journal.reader().after(last).next().unwrap().unwrap()
        };
        assert_eq!(frame(lost.path()), frame(dir.path()), "the same frame to the byte");
    }
}

#[test]
fn another_build_publishes_what_differs_as_one_epoch_the_same_however_it_comes_to_it() {
    let run = |fail: bool| {
        let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
        let toy = Toy::default();
        let cut = |offset| vec![Bound { topic: Topic::Submissions, partition: 0, offset }];
        let pipeline = start_toy(&log, toy.again(0), dir.path(), |o| o.script = Script::cuts(vec![cut(1), cut(4)]));
        log.0.put(&[submit("a", 1), submit("a", 2), submit("b", 1), submit("same", 1)]);
        until("it counts", || toy.count("same") == 1);
        stop_soon(pipeline);
        if fail {
            log.0.fail_outputs(1);
        }
        let pipeline = start_toy(&log, toy.again(1), dir.path(), |_| {});
        assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
        assert_eq!(pipeline.status().restarts, u64::from(fail));
        log.0.put(&[submit("b", 2)]);
        until("it goes on", || toy.count("b") == 2);
        stop_soon(pipeline);
        let (epoch, rows, versions) = toy.shown.lock().last().cloned().unwrap();
        assert_eq!(epoch, 4);
        assert_eq!(
            rows.iter().map(|(t, r)| (t.as_str(), *r)).collect::<Vec<_>>(),
            [("a", (2, 1)), ("b", (2, 1)), ("same", (1, 0))]
        );
        let versions: Vec<_> = versions.iter().map(|(t, v)| (t.as_str(), *v)).collect();
        assert_eq!(versions, [("a", 3), ("b", 3), ("same", 1)], "what is the same keeps its version");
        // It is the same again with the same build.
        let pipeline = start_toy(&log, toy.again(1), dir.path(), |_| {});
        assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
        assert_eq!(toy.shown.lock().last().unwrap().0, 4);
        stop_soon(pipeline);
        let told = |e: gravity_ingest::log::OutputEpoch| {
            let records = e.records.into_iter().map(|r| (r.topic, String::from_utf8(r.value.to_vec()).expect("text")));
            (e.epoch, records.collect())
        };
        log.0.epochs().into_iter().map(told).collect::<Vec<(u64, Vec<_>)>>()
    };
    let told = run(false);
    assert_eq!(told.len(), 4);
    let (accepted, rows): (Vec<_>, Vec<_>) = told[2].1.iter().partition(|(topic, _)| *topic == Topic::Accepted);
    let rows: Vec<&str> = rows.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(rows, ["a Some((2, 1)) version Some(3)", "b Some((1, 1)) version Some(2)"]);
    assert!(
        matches!(&accepted[..], [(_, text)] if text.contains(r#""topic":"gravity.submissions.v1","offsets":[[0,4]]"#)),
        "{accepted:?}"
    );
    assert_eq!(run(true), told);
}

#[test]
fn the_size_of_a_base_is_known_again_after_a_restart() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    merged(&log, dir.path());
    let pipeline = start(&log, &Arc::new(Seen::default()), dir.path(), |_| {});
    assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
    let status = pipeline.status();
    assert!(status.base_bytes > 1_000, "{status:?}");
    stop_soon(pipeline);
}
