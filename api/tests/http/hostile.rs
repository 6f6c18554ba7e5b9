//! Inputs made to hurt: deep, huge, broken.

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use serde_json::json;

use super::fixture::{Fixture, submission};

#[tokio::test]
async fn deep_json_is_refused_or_ignored_but_never_fatal() {
    let f = Fixture::new();
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for path in [
        "/api/v1/records",
        "/api/v1/events",
        "/api/v1/events/spring/state",
        "/api/v1/events/spring/submissions",
        "/api/v1/ops/deadletters/retry",
    ] {
        for body in [
            deep.clone(),
            format!("{{\"x\":{deep}}}"),
            format!("{{\"data\":{deep}}}"),
            "[".repeat(200_000),
            "{\"a\":".repeat(100_000),
        ] {
            let answer = f.post(path, "application/json", body).await;
            assert!(answer.status.is_client_error(), "{path} {}", answer.status);
            answer.problem(answer.status.as_u16());
        }
    }
    let batch = format!("[{deep},{}]", submission("1", "1"));
    let answer = f.post("/api/v1/records", "application/cloudevents-batch+json", batch).await;
    assert!(matches!(answer.status.as_u16(), 202 | 400), "{}", answer.status);
}

#[tokio::test]
async fn huge_strings_come_back_short() {
    let f = Fixture::new();
    let long = "é".repeat(1 << 20);
    for (path, body) in [
        ("/api/v1/events/spring/submissions", json!({"team": long, "problem": "p1"})),
        ("/api/v1/events/spring/submissions", json!({"team": "1", "problem": long})),
        ("/api/v1/events/spring/submissions", json!({"team": "1", "problem": "p1", "submission": long})),
        ("/api/v1/events/spring/state", json!({"action": long})),
        ("/api/v1/events/spring/state", json!({"action": "start", "at": long})),
        ("/api/v1/events/spring/state", json!({"action": "extend", "duration_ms": 1, "reason": long})),
        ("/api/v1/events", json!({"event": {"id": long, "name": "x"}})),
        ("/api/v1/events", json!({"event": {"id": "x", "name": "x", "duration": long}})),
        ("/api/v1/events", json!({"event": {"id": "x", "name": "x", &long: 1}})),
        ("/api/v1/records", json!({"type": long})),
        ("/api/v1/ops/verify", json!({"event": "x", &long: 1})),
    ] {
        let answer = f.post_json(path, body).await;
        assert!(answer.status.is_client_error(), "{path} {}", answer.status);
        assert!(answer.body.len() < 4_096, "{path} {} bytes", answer.body.len());
        answer.problem(answer.status.as_u16());
    }
    assert!(f.log.all().is_empty());
}

#[tokio::test]
async fn broken_bytes_in_headers_and_bodies() {
    let f = Fixture::new();
    let bad = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    for name in [
        "authorization",
        "content-type",
        "idempotency-key",
        "x-request-id",
        "if-none-match",
        "last-event-id",
        "ce-id",
        "origin",
        "accept-encoding",
    ] {
        for (method, path) in [
            ("GET", "/api/v1/events/spring/board"),
            ("POST", "/api/v1/events/spring/submissions"),
            ("POST", "/api/v1/records"),
        ] {
            let request =
                Request::builder().method(method).uri(path).header(name, bad.clone()).body(Body::from("{}")).unwrap();
            let answer = f.ask(request).await;
            assert!(answer.status.as_u16() < 500, "{name} {path}");
        }
    }
    for (path, body) in [
        ("/api/v1/records", &b"{\"id\":\"\xff\"}"[..]),
        ("/api/v1/events", b"{\"event\":{\"id\":\"\xff\"}}"),
        ("/api/v1/events/spring/state", b"{\"action\":\"\xff\"}"),
        ("/api/v1/events/spring/submissions", b"{\"team\":\"\xff\"}"),
    ] {
        f.post(path, "application/json", body).await.problem(400);
    }
    f.post("/api/v1/events", "application/toml", &b"\xff"[..]).await.problem(400);
}
