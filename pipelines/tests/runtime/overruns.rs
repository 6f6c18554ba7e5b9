//! An operator that does not come back: the pipeline goes on without it, its event's rows say since when they are stale, and
//! nobody else notices.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use gravity_events::board::{BoardKey, BoardRow, BoardValue, View};
use gravity_events::body::*;
use gravity_events::{Body, Id, Record, Topic};
use gravity_ingest::log::{Limit, Log};
use gravity_operators::boards::facts::Outcome;
use gravity_operators::scoring::explain::Explain;
use gravity_operators::scoring::operator::Scorer;
use gravity_pipelines::boards::Boards;
use gravity_pipelines::runtime::{PipelineState, Runtime};

use crate::support::*;

/// Computes for ever where the quality is 666, until it is let go.
#[derive(Debug, Default)]
struct Endless {
    let_go: AtomicBool,
    entered: AtomicU32,
}

impl Scorer for Endless {
    fn score(&self, outcome: &Outcome, _: &mut Explain) -> Option<i64> {
        let quality = *outcome.measures.get("quality")?;
        if quality == 666 && !self.let_go.load(Ordering::Acquire) {
            self.entered.fetch_add(1, Ordering::AcqRel);
            while !self.let_go.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
        }
        Some(quality)
    }
}

/// Lets go of the threads that are left behind, also when a test fails.
struct LetGo(Arc<Endless>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go.store(true, Ordering::Release);
    }
}

fn of(event: &str, record: Record) -> Record {
    Record { event: Some(event.into()), id: format!("{event}/{}", record.id).into(), ..record }
}

/// Three teams and a rubric with one dimension.
fn event(event: &str) -> Vec<Record> {
    let config =
        EventConfigured { name: event.into(), scoring: Scoring::Rubric, start_at: Some(0), ..Default::default() };
    let parameters = serde_json::json!({"measure": "quality"});
    let dimension =
        RubricDimension { dimension: "quality".into(), weight_bp: 10_000, operator: "measure".into(), parameters };
    let rubric = RubricPublished { rubric: "r".into(), version: 1, dimensions: vec![dimension] };
    let problem = ProblemPublished { problem: "p".into(), ..Default::default() };
    let mut records = vec![
        record("configured", Body::EventConfigured(config)),
        record("rubric", Body::RubricPublished(rubric)),
        record("problem", Body::ProblemPublished(problem)),
    ];
    records.extend(["a", "b", "c"].map(|team| {
        let body = TeamRegistered { team: team.into(), name: team.into(), ..Default::default() };
        record(team, Body::TeamRegistered(body))
    }));
    records.into_iter().map(|r| of(event, r)).collect()
}

fn judged(event: &str, team: &str, minute: i64, quality: i64) -> Vec<Record> {
    let submission = Id::from(format!("{team}{minute}"));
    let at_ms = Some(minute * 60_000);
    let received = SubmissionReceived {
        submission: submission.clone(),
        team: team.into(),
        problem: "p".into(),
        contest_time_ms: at_ms,
        ..Default::default()
    };
    let judgement = JudgementRecorded {
        judgement: submission.clone(),
        submission: submission.clone(),
        judgement_type: Some("AC".into()),
        end_contest_time_ms: at_ms,
        measures: BTreeMap::from([("quality".into(), quality)]),
        ..Default::default()
    };
    let records = [
        record(&submission, Body::SubmissionReceived(received)),
        record(&format!("j{submission}"), Body::JudgementRecorded(judgement)),
    ];
    records.into_iter().map(|r| of(event, r)).collect()
}

fn row(state: &SeenState, of_event: &str, of_team: &str) -> (Option<i64>, Option<i64>) {
    let found = state.rows.iter().find_map(|((view, key), value)| match (key, value) {
        (BoardKey::Row { event, team, .. }, BoardValue::Row(row))
            if *view == View::Public && event == of_event && team == of_team =>
        {
            Some(row)
        }
        _ => None,
    });
    let row: &BoardRow = found.expect("a row");
    let points = row.points.as_ref().expect("points");
    (points.dimensions[0].1, points.stale_since_ms)
}

fn quarantines(log: &Shared) -> Vec<OperatorQuarantined> {
    let all = log.read(Topic::Reference, 0, 0, Limit { records: 1_000, bytes: usize::MAX }).unwrap();
    let said = |value: &[u8]| match gravity_events::codec::decode(value).unwrap().body {
        Body::OperatorQuarantined(said) => Some(said),
        _ => None,
    };
    all.iter().filter_map(|entry| said(&entry.value)).collect()
}

fn start_watched(log: &Shared, seen: &Arc<Seen>, dir: &Path, scorer: &Arc<Endless>, workers: usize) -> Runtime {
    let boards = Boards::new(seen.clone()).in_slices_of(1).with_scorer("quality", scorer.clone());
    start_boards(boards, log, dir, |o| {
        o.workers = workers;
        o.operator_budget = Duration::from_millis(150);
    })
}

#[test]
fn an_operator_that_does_not_come_back_is_quarantined_and_the_others_go_on() {
    for workers in 1..=2 {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        let scorer = Arc::new(Endless::default());
        let let_go = LetGo(scorer.clone());
        log.0.put(&event("e1"));
        log.0.put(&event("e2"));
        log.0.put(&judged("e1", "a", 1, 4_000));
        log.0.put(&judged("e1", "b", 1, 5_000));
        log.0.put(&judged("e2", "a", 1, 6_000));
        let pipeline = start_watched(&log, &seen, dir.path(), &scorer, workers);
        let before = seen.settle(&log);
        assert_eq!((row(&before, "e1", "a"), row(&before, "e2", "a")), ((Some(4_000), None), (Some(6_000), None)));

        log.0.put(&judged("e1", "a", 2, 666));
        until("the operator is quarantined", || !quarantines(&log).is_empty());
        log.0.put(&judged("e2", "b", 3, 7_000));
        log.0.put(&judged("e1", "c", 3, 8_000));
        let after = seen.settle(&log);
        let said = quarantines(&log);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].operator, "measure");
        assert!(said[0].reason.contains("for team a of event e1"), "{}", said[0].reason);
        assert_eq!(row(&after, "e2", "b"), (Some(7_000), None), "another event's operator is called");
        // Nothing that the operator scored in this event is known any more.
        assert_eq!(row(&after, "e1", "a"), (None, Some(60_000)));
        assert_eq!(row(&after, "e1", "c"), (None, Some(180_000)));
        assert_eq!((pipeline.status().state, pipeline.status().restarts), (PipelineState::Running, 1));
        assert_eq!(scorer.entered.load(Ordering::Acquire), 1, "it is not called again");
        stop_soon(pipeline);

        // Another process finds it in the folds.
        let again = Arc::new(Seen::default());
        let pipeline = start_watched(&log, &again, dir.path(), &scorer, workers);
        let restarted = again.settle(&log);
        assert_eq!((restarted.rows, pipeline.status().restarts), (after.rows, 0));
        assert_eq!(scorer.entered.load(Ordering::Acquire), 1);
        // Mended and released, it scores everything.
        drop(let_go);
        let released = OperatorQuarantined { operator: "measure".into(), released: true, ..Default::default() };
        log.0.put(&[of("e1", record("released", Body::OperatorQuarantined(released)))]);
        let mended = again.settle(&log);
        assert_eq!(row(&mended, "e1", "a"), (Some(4_000), None));
        assert_eq!((row(&mended, "e1", "b"), row(&mended, "e1", "c")), ((Some(5_000), None), (Some(8_000), None)));
        stop_soon(pipeline);
    }
}

#[test]
fn a_start_whose_folds_are_older_than_the_quarantine_calls_the_operator_once() {
    let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
    let scorer = Arc::new(Endless::default());
    let _let_go = LetGo(scorer.clone());
    log.0.put(&event("e1"));
    log.0.put(&judged("e1", "a", 1, 4_000));
    log.0.put(&judged("e1", "b", 1, 666));
    // As it was when the operator still came back.
    scorer.let_go.store(true, Ordering::Release);
    let pipeline = start_watched(&log, &seen, dir.path(), &scorer, 2);
    assert_eq!(row(&seen.settle(&log), "e1", "b"), (Some(666), None));
    stop_soon(pipeline);

    scorer.let_go.store(false, Ordering::Release);
    let seen = Arc::new(Seen::default());
    let pipeline = start_watched(&log, &seen, dir.path(), &scorer, 2);
    until("the operator is quarantined", || !quarantines(&log).is_empty());
    log.0.put(&judged("e1", "c", 2, 5_000));
    let after = seen.settle(&log);
    assert_eq!((row(&after, "e1", "a"), row(&after, "e1", "b")), ((None, Some(60_000)), (None, Some(60_000))));
    assert_eq!((quarantines(&log).len(), scorer.entered.load(Ordering::Acquire)), (1, 1));
    assert!(pipeline.wait_running(Duration::from_secs(20)));
    stop_soon(pipeline);
}
