//! What becomes of records: rows, versions, refusals, outputs; the same after any restart.

use std::sync::Arc;

use gravity_events::board::{BoardKey, BoardValue, OVERALL, View};
use gravity_events::body::*;
use gravity_events::{Body, Topic};
use gravity_ingest::log::{Bound, Log};
use gravity_pipelines::runtime::PipelineState;
use gravity_pipelines::runtime::sequencer::Script;
use std::time::Duration;

use crate::support::*;

fn row<'a>(s: &'a SeenState, view: View, team: &str) -> &'a gravity_events::board::BoardRow {
    let key = BoardKey::Row { tenant: "t".into(), event: "e".into(), team: team.into() };
    match &s.rows[&(view, key)] {
        BoardValue::Row(row) => row,
        other => panic!("{other:?}"),
    }
}

fn contest(log: &Shared, from: u32, upto: u32) {
    for n in from..upto {
        let verdict = ["AC", "WA", "CE", "AC"][(n % 4) as usize];
        log.0.put(&attempt(n, n % 7, n % 5, i64::from(n % 290), verdict));
    }
}

/// What `gravity_operator_records` says; other tests of this process have a part in it.
fn held(operator: &str) -> i64 {
    gravity_pipelines::runtime::metrics::OPERATOR_RECORDS.with_label_values(&[operator]).get()
}

#[test]
fn records_become_rows_and_a_restart_changes_nothing() {
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let seen = Arc::new(Seen::default());
    log.0.put(&reference(7, 5));
    contest(&log, 0, 500);
    let pipeline = start(&log, &seen, dir.path(), |_| {});
    let first = seen.wait(&log);
    assert!(row(&first, View::Jury, "t0").solved > 0);
    for operator in ["boards/fold 0", "boards/fold 1", "Attempts", "Teams"] {
        assert!(held(operator) > 0, "{operator}");
    }
    pipeline.stop();
    // Restarted with another number of workers, and again, it shows the same at the same versions.
    for workers in [1, 3, 2] {
        let again = Arc::new(Seen::default());
        let pipeline = start(&log, &again, dir.path(), |o| o.workers = workers);
        assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
        let second = again.state();
        assert_eq!(second.rows, first.rows);
        assert_eq!(second.versions, first.versions);
        assert_eq!(second.all.len(), 1);
        assert!(second.all[0].snapshot);
        pipeline.stop();
    }
}

#[test]
fn stopping_and_going_on_equals_never_having_stopped() {
    let whole = {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        log.0.put(&reference(7, 5));
        contest(&log, 0, 600);
        let pipeline = start(&log, &seen, dir.path(), |_| {});
        let s = seen.wait(&log);
        pipeline.stop();
        s
    };
    let (log, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let mut last = SeenState::default();
    log.0.put(&reference(7, 5));
    for part in 0..6 {
        contest(&log, part * 100, part * 100 + 100);
        let seen = Arc::new(Seen::default());
        let pipeline = start(&log, &seen, dir.path(), |o| o.workers = 1 + part as usize % 3);
        last = seen.wait(&log);
        pipeline.stop();
    }
    assert_eq!(last.rows, whole.rows);
}

#[test]
fn a_record_counts_once_and_what_does_not_count_is_told_and_kept() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.put(&reference(2, 2));
    let [s, j] = attempt(1, 0, 0, 10, "AC");
    log.0.put(&[s.clone(), j.clone(), s.clone(), j.clone()]);
    let mut other = s.clone();
    if let Body::SubmissionReceived(b) = &mut other.body {
        b.team = "t1".into();
    }
    let conflict = log.0.put(&[other])[0];
    let bad =
        log.0.put_bytes([(Topic::Submissions, b"{not json".to_vec()), (Topic::Submissions, vec![0xff; 600 << 10])]);
    let misplaced = log.0.put_bytes([(Topic::Judgements, gravity_events::codec::encode(&s))])[0];
    let mut foreign = reference(1, 1).remove(0);
    foreign.tenant = "somebody else".into();
    let foreign = log.0.put(&[foreign])[0];
    let mut late = attempt(9, 0, 0, 10, "AC")[0].clone();
    (late.backfill, late.time_ms) = (false, Some(1_000));
    let late = log.0.put(&[late])[0];
    let mut early = attempt(8, 0, 0, 10, "AC")[0].clone();
    (early.backfill, early.time_ms) = (false, Some(4_000_000_000_000));
    let early = log.0.put(&[early])[0];
    let pipeline = start(&log, &seen, dir.path(), |_| {});
    let state = seen.wait(&log);
    let code = |p| state.refused.iter().find(|r| r.0 == p).map(|r| r.1);
    assert_eq!(code(conflict), Some("conflict"));
    assert_eq!(bad.iter().map(|p| code(*p)).collect::<Vec<_>>(), [Some("syntax"); 2]);
    assert_eq!(code(misplaced), Some("wrong_topic"));
    assert_eq!(code(foreign), Some("wrong_tenant"));
    assert_eq!((code(late), code(early)), (Some("too_late"), Some("too_early")));
    assert_eq!(state.refused.iter().filter(|r| r.1 == "duplicate").count(), 2);
    let t0 = row(&state, View::Jury, "t0");
    assert_eq!((t0.solved, t0.penalty, t0.cells[0].judged), (1, 10, 1));
    pipeline.stop();
    let letters: Vec<_> =
        log.0.epochs().into_iter().flat_map(|e| e.records).filter(|r| r.topic == Topic::DeadLetter).collect();
    assert_eq!(letters.len(), 7);
    let long = letters.iter().filter_map(|l| match gravity_events::codec::decode(&l.value).unwrap().body {
        Body::RecordRefused(r) if r.length == 600 << 10 => Some(r),
        _ => None,
    });
    let long: Vec<_> = long.collect();
    assert_eq!(long.len(), 1);
    assert_eq!(
        long[0].data_base64.len(),
        (512usize << 10).div_ceil(3) * 4,
        "cut at 512 KiB, with its full length told"
    );
}

#[test]
fn versions_move_only_when_a_boards_own_content_does() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.put(&reference(4, 2));
    let pipeline = start(&log, &seen, dir.path(), |_| {});
    let version = |s: &SeenState, view, division: &str| s.versions[&("e".into(), view, division.into())];
    let before = seen.wait(&log);
    // An attempt in the freeze by a team outside the division; the verdict itself is hidden.
    let [s, j] = attempt(1, 1, 0, 250, "AC");
    log.0.put(&[s]);
    let submitted = seen.wait(&log);
    assert_eq!(version(&submitted, View::Public, OVERALL), version(&before, View::Public, OVERALL) + 1);
    assert_eq!(version(&submitted, View::Public, "g"), version(&before, View::Public, "g"));
    log.0.put(&[j]);
    let judged = seen.wait(&log);
    assert_eq!(
        version(&judged, View::Public, OVERALL),
        version(&submitted, View::Public, OVERALL),
        "a hidden verdict moves nothing public"
    );
    assert_eq!(version(&judged, View::Jury, OVERALL), version(&submitted, View::Jury, OVERALL) + 1);
    assert!(judged.all.last().unwrap().changes.iter().all(|c| c.view == View::Jury));
    log.0.put(&[record("thaw", Body::EventThawed(Moment { at: Some(9_000_000), contest_time_ms: None }))]);
    let thawed = seen.wait(&log);
    assert_eq!(row(&thawed, View::Public, "t1").solved, 1);
    assert!(
        version(&thawed, View::Public, "g") > version(&judged, View::Public, "g"),
        "the header is part of every division"
    );
    pipeline.stop();
}

#[test]
fn orphans_are_counted_until_their_submission_comes() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.put(&reference(1, 1));
    let [s, j] = attempt(1, 0, 0, 10, "AC");
    log.0.put(&[j]);
    let pipeline = start(&log, &seen, dir.path(), |_| {});
    assert_eq!(seen.wait(&log).orphans["e"], 1);
    log.0.put(&[s]);
    let state = seen.wait(&log);
    assert_eq!(state.orphans["e"], 0);
    assert_eq!(row(&state, View::Public, "t0").solved, 1);
    pipeline.stop();
}

#[test]
fn scripted_cuts_make_runs_equal_to_the_byte() {
    let run = |workers: usize| {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        log.0.put(&reference(7, 5));
        contest(&log, 0, 200);
        let at = |topic, offset| Bound { topic, partition: 0, offset };
        let mut cuts = vec![vec![at(Topic::Reference, 15)]];
        cuts.extend((1..=20).map(|n| vec![at(Topic::Submissions, n * 10), at(Topic::Judgements, n * 7)]));
        let pipeline = start(&log, &seen, dir.path(), |o| {
            o.workers = workers;
            o.script = Script::cuts(cuts);
        });
        seen.wait(&log);
        pipeline.stop();
        let outputs: Vec<_> = log
            .0
            .epochs()
            .into_iter()
            .take(21)
            .map(|e| {
                // Notes say when they came in force, by the epoch's clock: no two runs are at the same time.
                let records = e.records.into_iter().map(|r| match r.topic {
                    Topic::Changes => {
                        let text = String::from_utf8(r.value.to_vec()).expect("JSON");
                        let (before, after) = text.split_once("\"at\":\"").expect("a note has a time");
                        let after = after.split_once('"').map_or("", |(_, rest)| rest);
                        (r.topic, format!("{before}{after}").into())
                    }
                    _ => (r.topic, r.value),
                });
                (e.epoch, e.bound, records.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(outputs.len(), 21);
        outputs
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(3), one);
}

#[test]
fn a_log_that_ends_before_the_bound_stops_the_pipeline_with_the_remedy() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.put(&reference(2, 2));
    let pipeline = start(&log, &seen, dir.path(), |_| {});
    seen.wait(&log);
    pipeline.stop();
    let pipeline = start(&Shared::default(), &Arc::new(Seen::default()), dir.path(), |_| {});
    assert!(!pipeline.wait_running(Duration::from_millis(300)));
    let PipelineState::Failed(why) = pipeline.status().state else { panic!("{:?}", pipeline.status()) };
    assert!(why.contains("records were lost") && why.contains("Restore the log"), "{why}");
    pipeline.stop();
}

#[test]
fn merges_change_nothing_and_shorten_the_journal() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    log.0.put(&reference(7, 5));
    let small = |o: &mut gravity_pipelines::runtime::Options| (o.merge_bytes, o.row_cap) = (20_000, 50);
    let pipeline = start(&log, &seen, dir.path(), small);
    for part in 0..40 {
        contest(&log, part * 50, part * 50 + 50);
        seen.wait(&log);
    }
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while pipeline.status().base_epoch.is_none() {
        assert!(std::time::Instant::now() < until, "no merge: {:?}", pipeline.status());
        contest(&log, 0, 1);
        std::thread::yield_now();
    }
    let first = seen.wait(&log);
    pipeline.stop();
    for workers in [2, 3] {
        let again = Arc::new(Seen::default());
        let pipeline = start(&log, &again, dir.path(), |o| {
            small(o);
            o.workers = workers;
        });
        assert!(pipeline.wait_running(Duration::from_secs(30)), "{:?}", pipeline.status());
        let second = again.state();
        assert_eq!((&second.rows, &second.versions), (&first.rows, &first.versions));
        assert!(pipeline.status().base_epoch.is_some());
        // Identities are in the base, too.
        let before = log.range(Topic::Submissions, 0).unwrap().1;
        contest(&log, 0, 100);
        let third = again.wait(&log);
        assert_eq!(third.rows, first.rows);
        assert_eq!(
            third
                .refused
                .iter()
                .filter(|r| r.1 == "duplicate" && r.0.topic == Topic::Submissions && r.0.offset >= before)
                .count(),
            100
        );
        pipeline.stop();
    }
}
