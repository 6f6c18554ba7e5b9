//! What fails, and how: each thread, at each step. A pipeline restarts from its journal and ends with the right state,
//! and whoever tells it to stop need not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gravity_events::Topic;
use gravity_ingest::log::{Bound, Log};
use gravity_pipelines::runtime::PipelineState;
use gravity_pipelines::runtime::failpoint::{self, Action, Failpoints};
use gravity_pipelines::runtime::sequencer::Script;
use parking_lot::Mutex;

use crate::support::*;
use crate::toy::*;

fn contest(log: &Shared, from: u32, upto: u32) {
    for n in from..upto {
        log.0.put(&attempt(n, n % 5, n % 3, i64::from(n % 290), ["AC", "WA"][(n % 2) as usize]));
    }
}

fn why(pipeline: &gravity_pipelines::runtime::Runtime) -> Option<String> {
    match pipeline.status().state {
        PipelineState::Failed(why) => Some(why),
        _ => None,
    }
}

/// The out topics hold every epoch once, in order.
fn assert_dense(log: &Shared) {
    let epochs: Vec<u64> = log.0.epochs().iter().map(|e| e.epoch).collect();
    assert!(epochs.iter().copied().eq(1..=epochs.len() as u64), "{epochs:?}");
}

#[test]
fn every_step_may_fail_or_panic_once_and_nothing_is_lost_or_doubled() {
    for (n, point) in failpoint::ALL.iter().enumerate() {
        for action in [Action::Fail, Action::Panic] {
            let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
            log.0.put(&reference(5, 3));
            let nth = if point.starts_with("merge") { 1 } else { 1 + n as u64 % 4 };
            let failpoints = Failpoints::arm(point, nth, action);
            let pipeline = start(&log, &seen, dir.path(), |o| {
                (o.merge_bytes, o.row_cap, o.failpoints) = (4_000, 16, failpoints.clone());
            });
            let mut sent = 0;
            while !failpoints.acted() {
                contest(&log, sent, sent + 40);
                sent += 40;
                seen.wait(&log);
                assert!(sent < 40_000, "{point} was not reached");
            }
            contest(&log, sent, sent + 40);
            let state = seen.wait(&log);
            until("it restarted and runs", || {
                let s = pipeline.status();
                s.restarts == 1 && s.state == PipelineState::Running
            });
            stop_soon(pipeline);
            assert_dense(&log);
            assert_eq!(state.refused, [], "{point} {action:?}");
            // The same as from a pipeline to which nothing happened.
            let (dir, whole) = (tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
            let undisturbed = Shared::default();
            undisturbed.0.put(&reference(5, 3));
            contest(&undisturbed, 0, sent + 40);
            let pipeline = start(&undisturbed, &whole, dir.path(), |_| {});
            assert_eq!(whole.wait(&undisturbed).rows, state.rows, "{point} {action:?}");
            stop_soon(pipeline);
        }
    }
}

#[test]
fn a_view_that_panics_stops_its_own_pipeline_only_and_is_tried_again() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    let boards_dir = tempfile::tempdir().unwrap();
    log.0.put(&reference(2, 2));
    let toy = Toy::default();
    toy.armed.store(true, Ordering::SeqCst);
    let other = Shared(log.0.clone());
    let boards = start(&other, &seen, boards_dir.path(), |_| {});
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    log.0.put(&[submit("a", 1), submit("bomb", 1)]);
    until("it fails and says why", || why(&pipeline).is_some_and(|w| w.contains("the bomb went off")));
    until("it is tried again, and again", || pipeline.status().restarts >= 3);
    assert_eq!(pipeline.status().epoch, 0, "the epoch is not committed");
    log.0.put(&attempt(7, 0, 0, 10, "AC"));
    seen.wait(&log);
    assert_eq!(boards.status().restarts, 0, "the other pipeline goes on");
    toy.armed.store(false, Ordering::SeqCst);
    until("it goes on once the view does", || toy.count("bomb") == 1);
    assert_eq!(toy.count("a"), 1);
    stop_soon(pipeline);
    stop_soon(boards);
}

#[test]
fn a_view_that_panics_on_hydration_is_told_too() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    log.0.put(&[submit("bomb", 1)]);
    until("it counts", || toy.count("bomb") == 1);
    stop_soon(pipeline);
    toy.armed.store(true, Ordering::SeqCst);
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    until("it fails and says why", || why(&pipeline).is_some_and(|w| w.contains("the bomb went off")));
    stop_soon(pipeline);
}

#[test]
fn whoever_shows_epochs_may_panic() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |_| {});
    log.0.put(&[submit("a", 1)]);
    until("it counts", || toy.count("a") == 1);
    toy.unshowable.store(true, Ordering::SeqCst);
    log.0.put(&[submit("a", 2)]);
    until("it fails and says why", || why(&pipeline).is_some_and(|w| w.contains("this cannot be shown")));
    toy.unshowable.store(false, Ordering::SeqCst);
    until("it goes on", || toy.count("a") == 2);
    stop_soon(pipeline);
}

#[test]
fn a_script_that_waits_for_records_ends_with_the_pipeline() {
    let scripted = |armed: bool| {
        let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
        let toy = Toy { armed: Arc::new(AtomicBool::new(armed)), ..Toy::default() };
        let cut = |offset| vec![Bound { topic: Topic::Submissions, partition: 0, offset }];
        log.0.put(&[submit("bomb", 1)]);
        let pipeline = start_toy(&log, toy.again(0), dir.path(), |o| o.script = Script::cuts(vec![cut(1), cut(9)]));
        (toy, pipeline, dir)
    };
    let (_, pipeline, _dir) = scripted(true);
    until("it fails while the script waits", || why(&pipeline).is_some());
    stop_soon(pipeline);
    let (toy, pipeline, _dir) = scripted(false);
    until("the first cut is there", || toy.count("bomb") == 1);
    stop_soon(pipeline);
}

#[test]
fn after_a_script_a_stop_wakes_the_sequencer_at_once() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    log.0.put(&[submit("a", 1)]);
    let cut = vec![Bound { topic: Topic::Submissions, partition: 0, offset: 1 }];
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |o| o.script = Script::cuts(vec![cut]));
    until("the cut is there", || toy.count("a") == 1);
    log.0.put(&[submit("a", 2)]);
    until("it follows the log", || toy.count("a") == 2);
    stop_soon(pipeline);
}

#[test]
fn slow_out_topics_hold_the_pipeline_back() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let toy = Toy::default();
    log.0.block_outputs(true);
    let pipeline = start_toy(&log, toy.again(0), dir.path(), |o| o.row_cap = 10);
    log.0.put(&(0..2_000).map(|n| submit("a", n)).collect::<Vec<_>>());
    until("it began", || toy.count("a") >= 10);
    // It stands still once it waits for the topics: nothing more comes in ten looks.
    let settled = Mutex::new((0, 0));
    until("it waits", || {
        let (mut last, now) = (settled.lock(), toy.count("a"));
        *last = if last.0 == now { (now, last.1 + 1) } else { (now, 0) };
        last.1 == 10
    });
    assert!(toy.count("a") <= 60, "{} rows wait for the topics", toy.count("a"));
    log.0.block_outputs(false);
    until("all is counted", || toy.count("a") == 2_000);
    stop_soon(pipeline);
    assert_dense(&log);
}

#[test]
fn out_topics_that_fail_while_a_merge_goes_on_lose_nothing() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.put(&reference(5, 3));
    let pipeline = start(&log, &seen, dir.path(), |o| (o.merge_bytes, o.row_cap) = (2_000, 20));
    for round in 0..6 {
        contest(&log, round * 50, round * 50 + 50);
        log.0.fail_outputs(1);
        seen.wait(&log);
    }
    log.0.fail_outputs(0);
    contest(&log, 300, 301);
    let first = seen.wait(&log);
    assert!(pipeline.status().restarts > 0);
    stop_soon(pipeline);
    assert_dense(&log);
    let again = Arc::new(Seen::default());
    let pipeline = start(&log, &again, dir.path(), |_| {});
    assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
    assert_eq!(again.state().rows, first.rows);
    stop_soon(pipeline);
}

#[test]
fn a_stop_gives_up_a_merge() {
    // The merge ends early or late; either way the next start has it all.
    for _ in 0..10 {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        log.0.put(&reference(5, 3));
        let pipeline = start(&log, &seen, dir.path(), |o| (o.merge_bytes, o.row_cap) = (100, 20));
        contest(&log, 0, 100);
        let first = seen.wait(&log);
        stop_soon(pipeline);
        let again = Arc::new(Seen::default());
        let pipeline = start(&log, &again, dir.path(), |_| {});
        assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
        assert_eq!(again.state().rows, first.rows);
        log.0.put(&attempt(3, 3, 0, 3, "WA"));
        let end = log.range(Topic::Submissions, 0).unwrap().1;
        let refused = again.wait(&log).refused;
        assert!(
            refused
                .iter()
                .any(|(p, code)| (p.topic, p.offset) == (Topic::Submissions, end - 1) && *code == "duplicate")
        );
        stop_soon(pipeline);
    }
}
