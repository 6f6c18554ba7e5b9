//! A team submits.

use std::sync::atomic::Ordering;

use gravity_events::board::BoardHeader;
use gravity_events::{Body, codec};
use gravity_ingest::log::LogError;
use serde_json::{Value, json};

use super::fixture::{Answer, Fixture, HOUR_MS, START_MS, header};

const PATH: &str = "/api/v1/events/spring/submissions";

async fn submit(f: &Fixture, key: Option<&str>, body: Value) -> Answer {
    let headers: Vec<(&str, &str)> = key.map(|k| ("idempotency-key", k)).into_iter().collect();
    f.post_with(PATH, "application/json", &headers, body.to_string()).await
}

#[tokio::test]
async fn a_submission_is_durable_stamped_and_receipted() {
    let f = Fixture::new();
    let answer = submit(&f, None, json!({"team": "3", "problem": "p2", "language": "rust"})).await;
    assert_eq!(answer.status, 201, "{:?}", answer.json());
    let receipt = answer.json();
    assert_eq!(receipt["time"], "2026-03-14T09:00:00.000Z");
    let stored = &f.log.all()[0];
    assert_eq!(
        receipt["position"],
        json!({"topic": "gravity.submissions.v1", "partition": stored.position.partition, "offset": 0})
    );
    let record = codec::decode(&stored.value).unwrap();
    assert_eq!(
        (record.id.as_str(), record.tenant.as_str(), record.event.as_deref()),
        (receipt["record"].as_str().unwrap(), "uni", Some("spring"))
    );
    assert_eq!((record.time_ms, record.key().as_bytes()), (Some(START_MS + HOUR_MS), &stored.key[..]));
    let Body::SubmissionReceived(s) = record.body else { panic!() };
    assert_eq!(
        (s.submission.as_str(), s.team.as_str(), s.problem.as_str(), s.language.as_deref()),
        (receipt["submission"].as_str().unwrap(), "3", "p2", Some("rust"))
    );
    assert_eq!(receipt["receipt"].as_str().unwrap().len(), 64);
    // Another one has another id and receipt; so has one signed with another key.
    let other = submit(&f, None, json!({"team": "3", "problem": "p2", "language": "rust"})).await.json();
    assert_ne!(other["submission"], receipt["submission"]);
    assert_ne!(other["receipt"], receipt["receipt"]);
    // Hidden teams submit like others.
    assert_eq!(
        submit(&f, None, json!({"team": "2", "problem": "p1", "submission": "mine"})).await.json()["submission"],
        "mine"
    );
}

#[tokio::test]
async fn refusals_name_their_field() {
    let f = Fixture::new();
    for (body, status, code, field) in [
        (json!({"team": "9", "problem": "p1"}), 422, "unknown_team", "team"),
        (json!({"team": "1", "problem": "p9"}), 422, "unknown_problem", "problem"),
        (json!({"problem": "p1"}), 422, "missing", "team"),
        (json!({"team": "1"}), 422, "missing", "problem"),
        (json!({"team": 1, "problem": "p1"}), 422, "invalid", "team"),
        (json!({"team": "1", "problem": "p1", "langauge": "c"}), 422, "unknown_key", "langauge"),
        (json!({"team": "1", "problem": "p1", "submission": ""}), 422, "invalid", "submission"),
        (json!({"team": "1", "problem": "p1", "language": "\u{7}"}), 422, "invalid", "language"),
        (json!(["1", "p1"]), 422, "invalid", "body"),
    ] {
        assert_eq!(
            submit(&f, None, body.clone()).await.problem(status),
            (code.to_owned(), vec![field.to_owned()]),
            "{body}"
        );
    }
    assert_eq!(submit(&f, Some(" "), json!({"team": "1", "problem": "p1"})).await.problem(400).1, ["Idempotency-Key"]);
    assert!(f.log.all().is_empty());
}

#[tokio::test]
async fn an_event_takes_submissions_only_while_it_runs() {
    let f = Fixture::new();
    let body = json!({"team": "1", "problem": "p1"});
    for (at_ms, code) in [(START_MS - 1, "event_not_started"), (START_MS + 5 * HOUR_MS, "event_ended")] {
        f.now_ms.store(at_ms, Ordering::SeqCst);
        assert_eq!(submit(&f, None, body.clone()).await.problem(409).0, code);
    }
    for at_ms in [START_MS, START_MS + 5 * HOUR_MS - 1] {
        f.now_ms.store(at_ms, Ordering::SeqCst);
        assert_eq!(submit(&f, None, body.clone()).await.status, 201);
    }
    f.show(BoardHeader { started_at_ms: None, start_at_ms: Some(START_MS), ..header() }, 2);
    let answer = submit(&f, None, body.clone()).await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("2026-03-14T08:00:00"));
    assert_eq!(answer.problem(409).0, "event_not_started");
    f.show(BoardHeader { ended_at_ms: Some(START_MS + HOUR_MS), ..header() }, 3);
    assert_eq!(submit(&f, None, body.clone()).await.problem(409).0, "event_ended");
    f.show(BoardHeader { finalized_at_ms: Some(START_MS + HOUR_MS), ..header() }, 4);
    assert_eq!(submit(&f, None, body.clone()).await.problem(409).0, "event_ended");
    // Without a length it has no end but the one that is announced.
    f.show(BoardHeader { duration_ms: None, ..header() }, 5);
    f.now_ms.store(START_MS + 1_000 * HOUR_MS, Ordering::SeqCst);
    assert_eq!(submit(&f, None, body).await.status, 201);
}

#[tokio::test]
async fn a_key_submits_once() {
    let f = Fixture::new();
    let body = json!({"team": "1", "problem": "p1"});
    let first = submit(&f, Some("k1"), body.clone()).await;
    f.now_ms.fetch_add(1_000, Ordering::SeqCst);
    let second = submit(&f, Some("k1"), body.clone()).await;
    assert_eq!((second.status.as_u16(), second.json()), (201, first.json()));
    assert_eq!(f.log.all().len(), 1);
    assert_eq!(
        submit(&f, Some("k1"), json!({"team": "1", "problem": "p2"})).await.problem(422),
        ("key_reused".into(), vec!["Idempotency-Key".into()])
    );
    assert_ne!(submit(&f, Some("k2"), body.clone()).await.json()["submission"], first.json()["submission"]);
    // A server that has forgotten the key makes the same identity of it, so that the pipeline counts it once.
    let restarted = Fixture::new();
    let again = submit(&restarted, Some("k1"), body).await.json();
    assert_eq!((&again["submission"], &again["record"]), (&first.json()["submission"], &first.json()["record"]));
}

#[tokio::test]
async fn a_submissions_own_id_submits_once() {
    let f = Fixture::new();
    let body = json!({"team": "1", "problem": "p1", "submission": "s1"});
    let first = submit(&f, None, body.clone()).await.json();
    assert_eq!(submit(&f, None, body).await.json(), first);
    let other = json!({"team": "3", "problem": "p1", "submission": "s1"});
    assert_eq!(submit(&f, None, other).await.problem(409), ("submission_exists".into(), vec!["submission".into()]));
    assert_eq!(f.log.all().len(), 1);
}

#[tokio::test]
async fn a_failed_append_is_repeated_with_the_same_stamp() {
    let f = Fixture::new();
    let body = json!({"team": "1", "problem": "p1"});
    *f.log.fail.lock() = Some(LogError::Closed);
    assert_eq!(submit(&f, Some("k"), body.clone()).await.problem(503).0, "log_closed");
    f.now_ms.fetch_add(5_000, Ordering::SeqCst);
    // What the failed append may have written is then a plain duplicate.
    assert_eq!(submit(&f, Some("k"), body).await.json()["time"], "2026-03-14T09:00:00.000Z");
    // A refusal leaves the key free.
    submit(&f, Some("k3"), json!({"team": "9", "problem": "p1"})).await.problem(422);
    assert_eq!(submit(&f, Some("k3"), json!({"team": "1", "problem": "p1"})).await.status, 201);
}

#[tokio::test]
async fn a_key_in_flight_is_409() {
    let f = Fixture::new();
    let body = json!({"team": "1", "problem": "p1"});
    let permit = f.log.gate.clone().acquire_owned().await.unwrap();
    let first = submit(&f, Some("k"), body.clone());
    let second = async {
        let answer = submit(&f, Some("k"), body.clone()).await;
        drop(permit);
        answer
    };
    // The first is polled first and stands at the gate when the second begins.
    let (first, second) = tokio::join!(biased; first, second);
    assert_eq!(first.status, 201);
    assert_eq!(second.problem(409), ("in_flight".into(), vec!["Idempotency-Key".into()]));
}
