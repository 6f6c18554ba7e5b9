//! Changes of rules in slices behind a gate: shown in one step with one new version, whatever happens in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gravity_events::Body;
use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardValue, OVERALL, View};
use gravity_events::body::*;
use gravity_ingest::log::OutputEpoch;
use gravity_ingest::segment::SyncMode;
use gravity_pipelines::boards::Boards;
use gravity_pipelines::runtime::failpoint::{self, Action, Failpoints};
use gravity_pipelines::runtime::journal::Journal;
use gravity_pipelines::runtime::{Options, PipelineState, Runtime};

use crate::support::*;

const TEAMS: u32 = 5;
const PROBLEMS: u32 = 3;

/// A pipeline that changes rules a team at a time, about.
fn start_sliced(log: &Shared, seen: &Arc<Seen>, dir: &Path, change: impl FnOnce(&mut Options)) -> Runtime {
    start_boards(Boards::new(seen.clone()).in_slices_of(1), log, dir, change)
}

/// Each wrong attempt costs this many minutes from now on.
fn penalty(n: u32, minutes: i64) -> gravity_events::Record {
    let config = EventConfigured {
        name: "E".into(),
        duration_ms: Some(18_000_000),
        penalty_ms: Some(minutes * 60_000),
        ..Default::default()
    };
    record(&format!("configured{n}"), Body::EventConfigured(config))
}

/// Attempts, wrong and right in turn, of one team after another.
fn contest(log: &Shared, from: u32, upto: u32) {
    for n in from..upto {
        let (team, round) = (n % TEAMS, n / TEAMS);
        log.0.put(&attempt(n, team, round / 2 % PROBLEMS, i64::from(n % 290), ["WA", "AC"][(round % 2) as usize]));
    }
}

type Rows = BTreeMap<(View, BoardKey), BoardValue>;

/// What the board topics add up to. Panics where an epoch comes twice or a version is left out.
fn topics(epochs: &[OutputEpoch]) -> Rows {
    let numbers: Vec<u64> = epochs.iter().map(|e| e.epoch).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    let (mut rows, mut versions) = (Rows::new(), BTreeMap::<(View, Id), u64>::new());
    for epoch in epochs {
        let mut told = BTreeSet::new();
        for record in &epoch.records {
            let Body::BoardChanged(b) = gravity_events::codec::decode(&record.value).unwrap().body else { continue };
            told.extend(b.versions.into_iter().map(|(division, version)| ((b.view, division), version)));
            match b.value {
                Some(value) => rows.insert((b.view, b.key), value),
                None => rows.remove(&(b.view, b.key)),
            };
        }
        for (of, version) in told {
            let old = versions.insert(of.clone(), version).unwrap_or(0);
            assert_eq!(version, old + 1, "epoch {}: {of:?}", epoch.epoch);
        }
    }
    rows
}

/// The change log of a view: version and kinds of causes.
fn notes(epochs: &[OutputEpoch], view: View) -> Vec<(u64, Vec<Id>)> {
    let of_view =
        |record: &gravity_ingest::log::Produce| match gravity_events::codec::decode(&record.value).unwrap().body {
            Body::BoardNoted(note) if note.view == view => {
                Some((note.version, note.causes.into_iter().map(|cause| cause.kind).collect()))
            }
            _ => None,
        };
    epochs.iter().flat_map(|epoch| &epoch.records).filter_map(of_view).collect()
}

/// The rows as a pipeline computes them that knows no slices and to which nothing happens.
fn plain(records: impl FnOnce(&Shared)) -> Rows {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    records(&log);
    let pipeline = start(&log, &seen, dir.path(), |_| {});
    let rows = seen.wait(&log).rows;
    stop_soon(pipeline);
    rows
}

fn penalties(rows: &Rows) -> BTreeSet<i64> {
    let of_row = |(key, value): (&(View, BoardKey), &BoardValue)| match value {
        BoardValue::Row(row) if key.0 == View::Jury => Some(row.penalty),
        _ => None,
    };
    rows.iter().filter_map(of_row).collect()
}

#[test]
fn a_change_is_shown_in_one_step_with_one_version() {
    for workers in 1..=3 {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        log.0.put(&reference(TEAMS, PROBLEMS));
        // All teams have done the same: two wrong attempts and a right one.
        for (n, verdict) in ["WA", "WA", "AC"].into_iter().enumerate() {
            for team in 0..TEAMS {
                log.0.put(&attempt(n as u32 * TEAMS + team, team, 0, 10, verdict));
            }
        }
        let pipeline = start_sliced(&log, &seen, dir.path(), |o| o.workers = workers);
        let version = |state: &SeenState| state.versions[&("e".into(), View::Jury, OVERALL.into())];
        let mut before = seen.settle(&log);
        let mut told = Vec::new();
        assert_eq!(penalties(&before.rows), [10 + 2 * 20].into());
        for n in 1..6 {
            log.0.put(&[penalty(n, i64::from(n))]);
            let after = seen.settle(&log);
            assert_eq!(version(&after), version(&before) + 1);
            assert_eq!(after.closed, before.closed + 1, "it went through a gate");
            assert!(after.epochs.len() >= before.epochs.len() + TEAMS as usize, "in slices");
            assert_eq!(penalties(&after.rows), [10 + 2 * i64::from(n)].into());
            told.push((version(&after), vec!["configured".into()]));
            before = after;
        }
        // What was staged and taken back shows nothing.
        log.0.put(&[penalty(6, 7), penalty(7, 5)]);
        let after = seen.settle(&log);
        assert_eq!(version(&after), version(&before));
        stop_soon(pipeline);
        assert_eq!(topics(&log.0.epochs()), after.rows);
        for view in [View::Public, View::Jury] {
            let notes = notes(&log.0.epochs(), view);
            assert_eq!(notes[notes.len() - told.len()..], told, "each is told once");
        }
        // At no moment was a board half the one and half the other.
        for seen in &after.all {
            let changed = seen.changes.iter().filter_map(|c| Some(((c.view, c.key.clone()), c.value.clone()?)));
            assert!(seen.snapshot || penalties(&changed.collect()).len() <= 1, "{:?}", seen.changes);
        }
    }
}

#[test]
fn a_rejudging_is_shown_in_one_step_with_one_version() {
    for workers in 1..=3 {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        log.0.put(&reference(TEAMS, PROBLEMS));
        let all = TEAMS * PROBLEMS;
        for n in 0..all {
            log.0.put(&attempt(n, n % TEAMS, n / TEAMS, 10, "WA"));
        }
        let pipeline = start_sliced(&log, &seen, dir.path(), |o| o.workers = workers);
        let again = (0..all).map(|n| {
            let judgement = JudgementRecorded {
                judgement: format!("again{n}").into(),
                submission: format!("s{n}").into(),
                judgement_type: Some("AC".into()),
                start_contest_time_ms: Some(2_000_000),
                end_contest_time_ms: Some(2_000_000),
                rejudging: Some("r".into()),
                ..Default::default()
            };
            record(&format!("again{n}"), Body::JudgementRecorded(judgement))
        });
        log.0.put(&Vec::from_iter(again));
        let before = seen.settle(&log);
        let solved = |rows: &Rows| -> BTreeSet<u32> {
            let of_row = |value: &BoardValue| match value {
                BoardValue::Row(row) => Some(row.solved),
                _ => None,
            };
            rows.values().filter_map(of_row).collect()
        };
        assert_eq!(solved(&before.rows), [0].into());
        let applied = RejudgingApplied { rejudging: "r".into(), reason: "a wrong test".into() };
        // A submission that comes at the same time moves a row, but not those of all teams: so the public is told, too.
        let mut records = attempt(all, 0, 0, 20, "WA").to_vec();
        records.push(record("applied", Body::RejudgingApplied(applied)));
        log.0.put(&records);
        let after = seen.settle(&log);
        stop_soon(pipeline);
        assert_eq!(solved(&after.rows), [PROBLEMS].into());
        assert_eq!(after.closed, before.closed + 1, "it went through a gate");
        assert!(after.epochs.len() >= before.epochs.len() + all as usize / 2, "in slices");
        assert_eq!(topics(&log.0.epochs()), after.rows);
        for view in [View::Public, View::Jury] {
            let version = |state: &SeenState| state.versions[&("e".into(), view, OVERALL.into())];
            assert_eq!(version(&after), version(&before) + 1);
            let told = (version(&after), vec!["rejudged".into()]);
            assert_eq!(notes(&log.0.epochs(), view).last(), Some(&told), "it is told once");
        }
        let firsts =
            after.rows.keys().filter(|(view, key)| *view == View::Public && matches!(key, BoardKey::First { .. }));
        assert_eq!(firsts.count(), PROBLEMS as usize, "first solves, too");
    }
}

#[test]
fn every_step_may_fail_behind_a_gate() {
    for (n, point) in failpoint::ALL.iter().enumerate() {
        for nth in [1, 17, 40] {
            let nth = if point.starts_with("merge") { 1 + nth / 17 } else { nth };
            let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
            log.0.put(&reference(TEAMS, PROBLEMS));
            let failpoints = Failpoints::arm(point, nth, [Action::Fail, Action::Panic][n % 2]);
            let pipeline = start_sliced(&log, &seen, dir.path(), |o| {
                (o.merge_bytes, o.row_cap, o.failpoints) = (4_000, 16, failpoints.clone());
            });
            let mut rounds = 0;
            // Some more records come while gates are open.
            let records = |log: &Shared, round: u32| {
                contest(log, round * 20, round * 20 + 10);
                log.0.put(&[penalty(round, i64::from(round) % 13)]);
                contest(log, round * 20 + 10, round * 20 + 20);
            };
            while !failpoints.acted() {
                records(&log, rounds);
                rounds += 1;
                if rounds % 3 == 0 {
                    seen.settle(&log)
                } else {
                    seen.wait(&log)
                };
                assert!(rounds < 2_000, "{point} was not reached");
            }
            records(&log, rounds);
            until("it restarted and runs", || {
                let s = pipeline.status();
                s.restarts == 1 && s.state == PipelineState::Running
            });
            let state = seen.settle(&log);
            stop_soon(pipeline);
            let expected = plain(|log| {
                log.0.put(&reference(TEAMS, PROBLEMS));
                (0..=rounds).for_each(|round| records(log, round));
            });
            assert!(state.closed > 0, "{point}");
            assert_eq!(state.rows, expected, "{point}, time {nth}");
            assert_eq!(topics(&log.0.epochs()), expected, "{point}, time {nth}: on the topics");
        }
    }
}

/// To the byte.
fn assert_same(epochs: &[OutputEpoch], expected: &[OutputEpoch]) {
    for (epoch, expected) in epochs.iter().zip(expected) {
        assert_eq!(format!("{epoch:?}"), format!("{expected:?}"));
    }
    assert_eq!(epochs.len(), expected.len(), "nothing is published twice {:?}", epochs.last());
}

/// A pipeline of many slices, and a copy of its journal in the middle of a change. Returns the log, what is shown in the
/// end, the journal at the end and the copy.
fn copied_behind_a_gate() -> (Shared, SeenState, tempfile::TempDir, tempfile::TempDir) {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.keep_bindings();
    log.0.put(&reference(100, PROBLEMS));
    contest(&log, 0, 60);
    let pipeline = start_sliced(&log, &seen, dir.path(), |_| {});
    seen.settle(&log);
    let is_open = |seen: &Seen| seen.state().staged.values().next().is_some_and(|rows| !rows.is_empty());
    for n in 1.. {
        log.0.put(&[penalty(n, i64::from(n))]);
        until("something is staged", || is_open(&seen) || seen.state().closed == n as usize);
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        contest(&log, 60 + n * 5, 65 + n * 5);
        let caught = is_open(&seen) && seen.state().closed == n as usize - 1;
        let state = seen.settle(&log);
        if caught {
            stop_soon(pipeline);
            return (log, state, dir, copied);
        }
    }
    unreachable!()
}

#[test]
fn epochs_lost_in_the_middle_of_a_change_are_run_again_to_the_byte() {
    let (log, state, _dir, copied) = copied_behind_a_gate();
    let whole = log.0.epochs();
    assert_eq!(topics(&whole), state.rows);
    for lost in [copied, tempfile::tempdir().unwrap()] {
        let seen = Arc::new(Seen::rebuilt());
        let pipeline = start_sliced(&log, &seen, lost.path(), |_| {});
        let again = seen.settle(&log);
        assert_eq!((again.rows, again.versions), (state.rows.clone(), state.versions.clone()));
        stop_soon(pipeline);
        assert_same(&log.0.epochs(), &whole);
    }
}

#[test]
fn out_topics_that_end_in_the_middle_of_a_change_get_all_of_it() {
    let (log, state, dir, _copied) = copied_behind_a_gate();
    let whole = log.0.epochs();
    let last = whole.iter().rposition(|e| e.records.len() >= 2 * TEAMS as usize).expect("the change") as u64;
    log.0.lose_outputs(last - 20);
    let seen = Arc::new(Seen::default());
    let pipeline = start_sliced(&log, &seen, dir.path(), |_| {});
    assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
    stop_soon(pipeline);
    assert_same(&log.0.epochs(), &whole);
    assert_eq!(topics(&log.0.epochs()), state.rows);
}

#[test]
fn a_change_that_a_kill_interrupts_is_finished_and_told_by_the_restart() {
    let (log, state, _dir, copied) = copied_behind_a_gate();
    // The topics are as old as the copy.
    let look = tempfile::tempdir().unwrap();
    copy(copied.path(), look.path());
    let durable = Journal::open(look.path(), "boards", 1, SyncMode::Fsync).unwrap().next_epoch() - 1;
    for published in [durable, durable - 1] {
        let dir = tempfile::tempdir().unwrap();
        copy(copied.path(), dir.path());
        log.0.lose_outputs(published);
        let before = notes(&log.0.epochs(), View::Jury);
        let seen = Arc::new(Seen::default());
        let pipeline = start_sliced(&log, &seen, dir.path(), |_| {});
        assert_eq!(seen.settle(&log).rows, state.rows);
        stop_soon(pipeline);
        assert_eq!(topics(&log.0.epochs()), state.rows);
        let after = notes(&log.0.epochs(), View::Jury);
        assert_eq!(after[..before.len()], before);
        let told: Vec<_> = after[before.len()..].iter().map(|(_, causes)| causes.clone()).collect();
        assert_eq!(told, [vec![Id::from("configured")]]);
    }
}
