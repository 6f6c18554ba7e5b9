//! The client against a server that fails, hangs, dies or says no.

use std::time::{Duration, Instant};

use gravity_ingest::client::{Client, ClientError, Status};

use super::record_server::{Mishap, RecordServer, quick};

fn usage(id: &str, tokens: u32) -> Vec<u8> {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"usage.tokens","tenant":"t","time":"2026-01-01T00:00:00Z","data":{{"model":"m","input_tokens":{tokens},"output_tokens":0}}}}"#
    )
    .into_bytes()
}

fn statuses(outcomes: &[gravity_ingest::client::Outcome]) -> Vec<Status> {
    outcomes.iter().map(|o| o.status).collect()
}

#[tokio::test]
async fn insists_through_failures_and_counts_once() {
    let plan = [Mishap::Status(503), Mishap::CutBefore, Mishap::Status(429), Mishap::Status(500), Mishap::CutAfter];
    let server = RecordServer::with(move |n| plan.get(n).copied().unwrap_or(Mishap::None)).await;
    let batch = [usage("a", 1), usage("b", 2), usage("a", 1), usage("a", 3), b"{\"id\":\"c\"}".to_vec()];
    let outcomes = server.client().send_records(&batch, true).await.unwrap();
    // Stored by the attempt whose answer was lost.
    let expected = [Status::Duplicate, Status::Duplicate, Status::Duplicate, Status::Conflict, Status::Refused];
    assert_eq!(statuses(&outcomes), expected);
    assert_eq!(outcomes[4].problem.as_ref().unwrap().code.as_deref(), Some("missing"));
    assert_eq!(server.taken().requests.len(), 6);
    assert_eq!(server.taken().records.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let (query, headers) = server.taken().last.take().unwrap();
    assert_eq!((query.as_str(), headers["authorization"].to_str().unwrap()), ("wait=visible", "Bearer tok"));
    let outcomes = server.client().send_records(&[usage("d", 4)], false).await.unwrap();
    assert_eq!((outcomes[0].status, outcomes[0].offset), (Status::Counted, Some(3)));
    assert_eq!(server.taken().last.take().unwrap().0, "");
    assert_eq!(server.client().send_records(&[], true).await.unwrap(), []);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    for status in [400, 401, 403, 404, 409, 413] {
        let server = RecordServer::with(move |_| Mishap::Status(status)).await;
        let error = server.client().send_records(&[usage("a", 1)], true).await.unwrap_err();
        let ClientError::Refused { status: said, code, .. } = &error else { panic!("{error}") };
        assert_eq!((*said, code.as_deref()), (status, Some("planned")));
        assert!(error.to_string().ends_with("as planned; do so"), "{error}");
        assert_eq!(server.taken().requests.len(), 1);
    }
}

#[tokio::test]
async fn gives_up_on_a_server_that_stays_away() {
    let patience = Duration::from_millis(150);
    let failing = RecordServer::with(|_| Mishap::Status(503)).await;
    // Accepts and closes; accepts and says nothing; does not accept.
    let closing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = |l: &tokio::net::TcpListener| format!("http://{}", l.local_addr().unwrap());
    let urls = [failing.url.clone(), url(&closing), url(&silent), url(&gone)];
    drop(gone);
    tokio::spawn(async move { while closing.accept().await.is_ok() {} });
    for url in urls {
        let client = Client::with_retry(&url, None, quick(patience)).unwrap();
        let began = Instant::now();
        let error = client.send_records(&[usage("a", 1)], true).await.unwrap_err();
        assert!(matches!(error, ClientError::Lost { waited, .. } if waited >= patience), "{url}: {error}");
        assert!(began.elapsed() >= patience);
        assert!(error.to_string().contains("gravity up"), "{error}");
    }
    assert!(failing.taken().requests.len() > 2);
    drop(silent);
}

#[tokio::test]
async fn comes_back_with_a_server_that_was_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let away = tokio::spawn(async move {
        for _ in 0..5 {
            drop(listener.accept().await);
        }
        let app = axum::Router::new().route("/json", axum::routing::get(|| async { "[1]" }));
        axum::serve(listener, app).await
    });
    let client = Client::with_retry(&url, None, quick(Duration::from_secs(5))).unwrap();
    assert_eq!(client.get_json::<Vec<u32>>("/json").await.unwrap(), [1]);
    away.abort();
}

#[tokio::test]
async fn waits_for_a_server_that_is_slow_but_alive() {
    let server = RecordServer::gated().await;
    let client = Client::with_retry(&server.url, None, quick(Duration::from_millis(100))).unwrap();
    let sending = tokio::spawn(async move { client.send_records(&[usage("a", 1)], true).await });
    // A probe every quarter of its patience: by now it has waited longer than it would for a dead server.
    server.wait_for_probes(6).await;
    server.open();
    assert_eq!(statuses(&sending.await.unwrap().unwrap()), [Status::Counted]);
    assert_eq!(server.taken().requests.len(), 1);
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_the_wait() {
    let server = RecordServer::gated().await;
    let mut retry = quick(Duration::from_millis(100));
    retry.longest_answer = Duration::from_millis(150);
    let client = Client::with_retry(&server.url, None, retry).unwrap();
    let error = client.send_records(&[usage("a", 1)], true).await.unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn reads_text_and_json() {
    let server = RecordServer::start().await;
    let client = server.client();
    assert_eq!(client.get_json::<serde_json::Value>("json").await.unwrap()["n"], 5);
    assert_eq!(client.get_text("/text", "text/csv").await.unwrap(), "Some(\"text/csv\")");
    assert!(matches!(client.get_json::<Vec<u8>>("json").await, Err(ClientError::BadAnswer { .. })));
    let error = client.get_text("nothing", "text/plain").await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { status: 404, detail, .. } if detail == "Not Found"), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_length_is_not_taken() {
    let app = axum::Router::new().route(
        "/api/v1/records",
        axum::routing::post(|body: String| async move {
            let results = r#"{"results":[{"status":"counted"}]}"#;
            let status = if body.contains("all409") { 409 } else { 200 };
            (axum::http::StatusCode::from_u16(status).unwrap(), results)
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let error = client.send_records(&[usage("a", 1), usage("b", 1)], true).await.unwrap_err();
    assert!(error.to_string().contains("1 results for 2 records"), "{error}");
    // An error status that still says what became of each record is an answer.
    assert_eq!(statuses(&client.send_records(&[usage("all409", 1)], true).await.unwrap()), [Status::Counted]);
}
