//! Ingest: modes, mixed batches, waiting, refusals, the log's errors.

use std::time::Duration;

use axum::http::header;
use gravity_events::{Topic, codec};
use gravity_ingest::log::LogError;
use serde_json::{Value, json};

use super::fixture::{Fixture, position, submission};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const RECORDS: &str = "/api/v1/records";
const WAIT: &str = "/api/v1/records?wait=visible";

#[tokio::test]
async fn one_record_is_durable_under_its_key_with_its_bytes() {
    let f = Fixture::new();
    for kind in [STRUCTURED, "application/json", "application/cloudevents+json; charset=utf-8"] {
        let text = submission(kind, "1").to_string();
        let answer = f.post(RECORDS, kind, text.clone()).await;
        assert_eq!(answer.status, 202, "{:?}", answer.json());
        let result = &answer.json()["results"][0];
        assert_eq!(result["status"], "accepted");
        let stored = f.log.all().into_iter().find(|e| e.position == position(result)).unwrap();
        assert_eq!((stored.position.topic, &stored.value[..]), (Topic::Submissions, text.as_bytes()));
        assert_eq!(stored.key, codec::decode(text.as_bytes()).unwrap().key());
    }
}

#[tokio::test]
async fn binary_mode_becomes_structured() {
    let f = Fixture::new();
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "b%201"),
        ("ce-source", "judge"),
        ("ce-type", "submission.received"),
        ("ce-tenant", "uni"),
        ("ce-event", "spring"),
    ];
    let data = json!({"submission": "s", "team": "1", "problem": "p1"}).to_string();
    let answer = f.post_with(RECORDS, "application/json", &headers, data.clone()).await;
    assert_eq!(answer.status, 202, "{:?}", answer.json());
    let record = codec::decode(&f.log.all()[0].value).unwrap();
    assert_eq!((record.id.as_str(), record.body.kind()), ("b 1", "submission.received"));
    // Without its event, and with a header that is not UTF-8 once decoded.
    assert_eq!(
        f.post_with(RECORDS, "application/json", &headers[..5], data.clone()).await.problem(400),
        ("missing".into(), vec!["event".into()])
    );
    let mut bad = headers;
    bad[1].1 = "%ff";
    let (_, fields) = f.post_with(RECORDS, "application/json", &bad, data.clone()).await.problem(400);
    assert_eq!(fields.len(), 1);
    f.post_with(RECORDS, "text/plain", &headers, data).await.problem(415);
    assert_eq!(f.log.all().len(), 1);
}

#[tokio::test]
async fn a_batch_keeps_its_good_records_whatever_the_others_are() {
    let f = Fixture::new();
    let mut no_team = submission("2", "1");
    no_team["data"].as_object_mut().unwrap().remove("team");
    let mut output = submission("3", "1");
    output["type"] = "score.ready".into();
    output["data"] = json!({"submission": "s", "team": "1", "score": 1});
    let batch = json!([submission("1", "1"), no_team, 7, output, submission("4", "3")]);
    let answer = f.post(RECORDS, BATCH, batch.to_string()).await;
    assert_eq!(answer.status, 202);
    let results = answer.json()["results"].as_array().unwrap().clone();
    let statuses: Vec<&str> = results.iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "refused", "refused", "refused", "accepted"]);
    assert_eq!(results[1]["problem"]["errors"][0]["field"], "data.team");
    assert_eq!(results[3]["problem"]["code"], "not_input");
    assert_eq!(results[3]["problem"]["errors"][0]["field"], "type");
    for (at, id) in [(0, "1"), (4, "4")] {
        let stored = f.log.all().into_iter().find(|e| e.position == position(&results[at])).unwrap();
        assert_eq!(codec::decode(&stored.value).unwrap().id, id);
    }
    assert_eq!(f.log.all().len(), 2);
    assert_eq!(f.post(RECORDS, BATCH, "[]").await.json(), json!({"results": []}));
}

#[tokio::test]
async fn only_a_batch_that_cannot_be_read_is_refused_whole() {
    let f = Fixture::new();
    let good = submission("1", "1").to_string();
    for body in [format!("[{good}"), format!("[{good},]"), good.clone(), String::new(), format!("[{good}] x")] {
        f.post(RECORDS, BATCH, body).await.problem(400);
    }
    let answer = f.post(RECORDS, STRUCTURED, format!("[{good}]")).await;
    assert!(answer.json()["hint"].as_str().unwrap().contains("batch"));
    answer.problem(400);
    assert!(f.log.all().is_empty());
}

#[tokio::test]
async fn a_bad_record_names_its_field() {
    let f = Fixture::new();
    let without = |field: &str| {
        let mut r = submission("1", "1");
        r.as_object_mut().unwrap().remove(field);
        r
    };
    let with = |pointer: &str, value: Value| {
        let mut r = submission("1", "1");
        *r.pointer_mut(pointer).unwrap() = value;
        r
    };
    for (record, field) in [
        (without("id"), "id"),
        (without("source"), "source"),
        (without("type"), "type"),
        (without("tenant"), "tenant"),
        (without("event"), "event"),
        (without("data"), "data"),
        (with("/type", "submission.recieved".into()), "type"),
        (with("/time", "yesterday".into()), "time"),
        (with("/data/team", json!(7)), "data.team"),
        (with("/data/problem", "".into()), "data.problem"),
    ] {
        let (code, fields) = f.post(RECORDS, STRUCTURED, record.to_string()).await.problem(400);
        assert_eq!(fields, [field], "{code} {record}");
    }
    assert!(f.log.all().is_empty());
}

#[tokio::test]
async fn times_are_left_to_the_pipeline() {
    let f = Fixture::new();
    for time in ["2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"] {
        let mut r = submission(time, "1");
        r["time"] = time.into();
        assert_eq!(f.post(RECORDS, STRUCTURED, r.to_string()).await.status, 202);
    }
}

/// Sends, commits an epoch that refuses the records of these codes once all are in the log, and returns the answer.
async fn waited(f: &Fixture, kind: &str, body: Value, refuse: &[&'static str]) -> super::fixture::Answer {
    let before = f.log.all();
    let commit = async {
        loop {
            let new: Vec<_> = f.log.all().into_iter().filter(|e| !before.contains(e)).collect();
            if !new.is_empty() {
                let refused: Vec<_> = refuse
                    .iter()
                    .enumerate()
                    .filter(|(_, c)| !c.is_empty())
                    .map(|(n, c)| (new[n].position, *c))
                    .collect();
                f.commit(&refused);
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let (answer, ()) = tokio::join!(f.post(WAIT, kind, body.to_string()), commit);
    answer
}

#[tokio::test]
async fn waiting_tells_what_became_of_one_record() {
    let f = Fixture::new();
    let answer = waited(&f, STRUCTURED, submission("1", "1"), &[]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["results"][0]["status"]), (200, &json!("counted")));
    let answer = waited(&f, STRUCTURED, submission("1", "1"), &["duplicate"]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["results"][0]["status"]), (200, &json!("duplicate")));
    let answer = waited(&f, STRUCTURED, submission("1", "3"), &["conflict"]).await;
    assert_eq!(answer.problem(409), ("conflict".into(), vec!["id".into()]));
    let answer = waited(&f, STRUCTURED, submission("2", "3"), &["too_late"]).await;
    assert_eq!(answer.problem(422).0, "too_late");
}

#[tokio::test]
async fn waiting_tells_what_became_of_each_record_of_a_batch() {
    let f = Fixture::new();
    // One team, so that the log keeps their order.
    let batch =
        json!([submission("1", "1"), {"id": 1}, submission("2", "1"), submission("3", "1"), submission("4", "1")]);
    let answer = waited(&f, BATCH, batch, &["", "duplicate", "conflict", "wrong_tenant"]).await;
    assert_eq!(answer.status, 200);
    let results = answer.json()["results"].as_array().unwrap().clone();
    let statuses: Vec<&str> = results.iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["counted", "refused", "duplicate", "conflict", "refused"]);
    assert_eq!(results[3]["problem"]["code"], "conflict");
    assert_eq!(results[4]["problem"]["code"], "wrong_tenant");
    assert!(results[1]["topic"].is_null() && results[4]["offset"].is_u64());
}

#[tokio::test]
async fn what_no_pipeline_reads_is_accepted_at_once() {
    let f = Fixture::new();
    let usage = json!({"specversion": "1.0", "id": "u", "source": "proxy", "type": "usage.tokens", "tenant": "uni",
        "subject": "k", "time": "2026-03-14T08:10:00Z", "data": {"model": "m", "input_tokens": 1, "output_tokens": 2}});
    let answer = f.post(WAIT, STRUCTURED, usage.to_string()).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["results"][0]["status"], "accepted");
    assert!(answer.json()["results"][0]["hint"].is_string());
}

#[tokio::test]
async fn a_wait_that_is_over_is_accepted_with_a_hint() {
    let f = Fixture::with_patience(Duration::from_millis(1));
    let answer = f.post(WAIT, STRUCTURED, submission("1", "1").to_string()).await;
    assert_eq!(answer.status, 202);
    let result = &answer.json()["results"][0];
    assert_eq!(result["status"], "accepted");
    assert!(result["hint"].as_str().unwrap().contains("durable"));
    let (_, fields) =
        f.post("/api/v1/records?wait=forever", STRUCTURED, submission("1", "1").to_string()).await.problem(400);
    assert_eq!(fields, ["wait"]);
}

#[tokio::test]
async fn the_logs_errors_have_their_status() {
    let f = Fixture::new();
    let body = submission("1", "1").to_string();
    *f.log.fail.lock() = Some(LogError::Full { path: "/disk".into() });
    let answer = f.post(RECORDS, STRUCTURED, body.clone()).await;
    assert!(!answer.json().to_string().contains("/disk"));
    assert_eq!(answer.problem(507).0, "log_full");
    *f.log.fail.lock() = Some(LogError::Closed);
    let answer = f.post(RECORDS, STRUCTURED, body.clone()).await;
    assert_eq!(answer.headers[header::RETRY_AFTER], "5");
    assert_eq!(answer.problem(503).0, "log_closed");
    assert_eq!(f.post(RECORDS, STRUCTURED, body).await.status, 202);
}

#[tokio::test]
async fn an_append_ends_even_when_its_caller_is_gone() {
    let f = Fixture::new();
    let permit = f.log.gate.clone().acquire_owned().await.unwrap();
    let request = f.post(RECORDS, STRUCTURED, submission("1", "1").to_string());
    // The request is dropped while its append waits.
    tokio::select! {
        biased;
        _ = request => panic!("nothing was durable yet"),
        () = async { for _ in 0..100 { tokio::task::yield_now().await } } => {}
    }
    drop(permit);
    while f.log.all().is_empty() {
        tokio::task::yield_now().await;
    }
}
