//! Probes, metrics and the operator's routes.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use serde_json::json;

use super::fixture::{Fixture, submission};

#[tokio::test]
async fn probes() {
    let f = Fixture::new();
    *f.operations.not_ready.lock() = Some("the boards pipeline is at epoch 3 of 9".into());
    assert_eq!(f.get("/livez").await.status, 200);
    for (path, code) in [("/readyz", "not_ready"), ("/startupz", "starting")] {
        let answer = f.get(path).await;
        assert!(answer.json()["detail"].as_str().unwrap().contains("epoch 3 of 9"));
        assert_eq!(answer.problem(503).0, code);
    }
    *f.operations.not_ready.lock() = None;
    assert_eq!((f.get("/readyz").await.status.as_u16(), f.get("/startupz").await.status.as_u16()), (200, 200));
    *f.operations.not_ready.lock() = Some("a pipeline restarts".into());
    f.get("/readyz").await.problem(503);
    assert_eq!(f.get("/startupz").await.status, 200);
    *f.operations.not_ready.lock() = None;
    f.state.shutdown.cancel();
    assert_eq!(f.get("/readyz").await.problem(503).0, "stopping");
    assert_eq!(f.get("/livez").await.status, 200);
}

#[tokio::test]
async fn while_the_broker_is_lost_boards_are_served_and_appends_refused() {
    let f = Fixture::new();
    f.log.lost.store(true, Ordering::SeqCst);
    for path in ["/livez", "/readyz", "/startupz", "/api/v1/events/spring/board"] {
        assert_eq!(f.get(path).await.status, 200, "{path}");
    }
    // At once, and not after a wait for the broker: whoever asks is answered while the log would hold appends back.
    let held = f.log.gate.clone().acquire_owned().await.unwrap();
    let record = submission("1", "1");
    for (path, body) in [
        ("/api/v1/records", record.clone()),
        ("/api/v1/events/spring/submissions", json!({"team": "1", "problem": "p1"})),
        ("/api/v1/events/spring/state", json!({"action": "end"})),
        ("/api/v1/events", json!({"event": {"id": "x", "name": "X"}})),
    ] {
        let answer = f.post_json(path, body).await;
        assert_eq!(answer.headers[header::RETRY_AFTER], "5");
        assert!(!answer.json().to_string().contains("secret"));
        assert_eq!(answer.problem(503).0, "log_unavailable", "{path}");
    }
    drop(held);
    f.log.lost.store(false, Ordering::SeqCst);
    assert!(f.log.all().is_empty());
    assert_eq!(f.post_json("/api/v1/records", record).await.status, 202);
}

#[tokio::test]
async fn metrics_are_for_the_token_or_this_machine() {
    let f = Fixture::new();
    f.post("/api/v1/records", "application/json", submission("m", "1").to_string()).await;
    let ask = |peer: Option<&str>, header: Option<(&'static str, &'static str)>| {
        let mut request = Request::get("/metrics");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        }
        f.ask(request)
    };
    for local in ["127.0.0.1:9", "127.9.9.9:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
        assert_eq!(ask(Some(local), None).await.status, 200, "{local}");
    }
    for (peer, header) in [
        (None, None),
        (Some("10.0.0.1:9"), None),
        (Some("[2001:db8::1]:9"), None),
        (Some("127.0.0.1:9"), Some(("x-forwarded-for", "127.0.0.1"))),
        (Some("127.0.0.1:9"), Some(("forwarded", "for=1.2.3.4"))),
        (Some("127.0.0.1:9"), Some(("via", "1.1 p"))),
        (Some("127.0.0.1:9"), Some(("x-real-ip", ""))),
        (Some("127.0.0.1:9"), Some(("authorization", "Bearer wrong"))),
    ] {
        ask(peer, header).await.problem(401);
    }
    let answer = f.get_as_admin("/metrics").await;
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body).unwrap();
    for line in [
        "gravity_http_request_duration_seconds_count{route=\"/api/v1/records\",service=\"records\",status=\"202\"}",
        "gravity_records_total{outcome=\"accepted\",topic=\"gravity.submissions.v1\"}",
        "gravity_stream_subscribers",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn metrics_have_templates_for_labels() {
    let f = Fixture::new();
    f.get("/api/v1/events/spring/board/teams/1").await;
    f.get("/some/secret/path").await;
    let text = String::from_utf8(f.get_as_admin("/metrics").await.body).unwrap();
    assert!(text.contains("route=\"/api/v1/events/{event}/board/teams/{team}\",service=\"events\",status=\"200\""));
    assert!(text.contains("route=\"unmatched\"") && !text.contains("secret"));
}

#[tokio::test]
async fn status_and_verification() {
    let f = Fixture::new();
    let status = f.get_as_admin("/api/v1/ops/status").await.json();
    assert_eq!((&status["pipelines"][0]["name"], &status["pipelines"][0]["epoch"]), (&json!("boards"), &json!(7)));
    let path = "/api/v1/ops/verify";
    assert_eq!(
        f.post_json(path, json!({"event": "spring"})).await.json(),
        json!({"event": "spring", "differences": 0})
    );
    assert_eq!(f.post(path, "application/json", "").await.json()["event"], json!(null));
    assert_eq!(f.post_json(path, json!({"event": "nowhere"})).await.problem(404).0, "unknown_event");
    assert_eq!(f.post_json(path, json!({"event": "busy"})).await.problem(503).0, "unavailable");
    assert_eq!(f.post_json(path, json!({"evnt": "x"})).await.problem(422).1, ["evnt"]);
    f.post(path, "application/json", "{").await.problem(400);
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_retried() {
    let f = Fixture::new();
    let path = "/api/v1/ops/deadletters";
    let page = f.get_as_admin(&format!("{path}?limit=2")).await.json();
    assert_eq!((page["dead_letters"][1]["id"].as_str(), page["next"].as_str()), (Some("d2"), Some("d2")));
    let rest = f.get_as_admin(&format!("{path}?limit=2&after=d2")).await.json();
    assert_eq!((rest["dead_letters"].as_array().unwrap().len(), &rest["next"]), (1, &json!(null)));
    assert_eq!(f.get_as_admin(&format!("{path}?limit=0")).await.problem(422).1, ["limit"]);
    assert_eq!(f.get_as_admin(&format!("{path}?limit=x")).await.problem(400).1, ["limit"]);
    assert_eq!(f.get_as_admin(&format!("{path}?after=x")).await.problem(422).1, ["after"]);
    assert_eq!(f.get_as_admin(&format!("{path}/d1")).await.json()["code"], "syntax");
    assert_eq!(f.get_as_admin(&format!("{path}/d9")).await.problem(404).0, "unknown_dead_letter");
    let retried = f.post_json(&format!("{path}/retry"), json!({"ids": ["d1"]})).await.json();
    assert_eq!(retried["results"][0], json!({"id": "d1", "status": "appended", "offset": 1}));
    for body in [json!({"ids": []}), json!({"ids": vec!["x"; 1_001]}), json!({}), json!({"ids": 1})] {
        assert_eq!(f.post_json(&format!("{path}/retry"), body).await.problem(422).1, ["ids"]);
    }
}
