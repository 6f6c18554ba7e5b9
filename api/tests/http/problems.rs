//! Problems, tokens, headers: what holds on every route.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use super::fixture::{Fixture, TOKEN, submission};

/// Every route that needs a token: method, path.
const PROTECTED: [(&str, &str); 9] = [
    ("POST", "/api/v1/records"),
    ("POST", "/api/v1/events"),
    ("POST", "/api/v1/events/spring/state"),
    ("POST", "/api/v1/events/spring/submissions"),
    ("GET", "/api/v1/ops/status"),
    ("POST", "/api/v1/ops/verify"),
    ("GET", "/api/v1/ops/deadletters"),
    ("GET", "/api/v1/ops/deadletters/d1"),
    ("POST", "/api/v1/ops/deadletters/retry"),
];

#[tokio::test]
async fn protected_routes_need_the_token_before_anything_else() {
    let f = Fixture::new();
    for (method, path) in PROTECTED {
        let ask = |token: Option<&str>| {
            let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            f.ask(request.body(Body::from("{")).unwrap())
        };
        let answer = ask(None).await;
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"gravity\"");
        assert!(answer.json()["hint"].as_str().unwrap().contains("Authorization"), "{path}");
        assert_eq!(answer.problem(401).0, "token_needed", "{path}");
        for wrong in ["Bearer nope", "Bearer", "Basic dDpr", "t0ken", "Bearer t0ken x", "bearer t0kenx"] {
            assert_eq!(ask(Some(wrong)).await.problem(401).0, "wrong_token", "{path} {wrong}");
        }
    }
    assert!(f.log.all().is_empty());
    // The scheme's name is case-insensitive (RFC 9110, 11.1).
    let request = Request::get("/api/v1/ops/status").header("authorization", format!("bearer {TOKEN}"));
    assert_eq!(f.ask(request.body(Body::empty()).unwrap()).await.status, 200);
    let twice = Request::get("/api/v1/ops/status")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("authorization", "Bearer x");
    f.ask(twice.body(Body::empty()).unwrap()).await.problem(401);
}

#[tokio::test]
async fn axums_own_errors_are_problems() {
    let f = Fixture::new();
    assert_eq!(f.get("/nothing/here").await.problem(404).0, "not_found");
    assert_eq!(f.get("/assets/nothing.js").await.problem(404).0, "not_found");
    let answer = f.get("/api/v1/records").await;
    assert_eq!(answer.headers[header::ALLOW], "POST");
    assert_eq!(answer.problem(405).0, "method_not_allowed");
    let big = "x".repeat((16 << 20) + 1);
    assert_eq!(f.post("/api/v1/records", "application/cloudevents-batch+json", big).await.problem(413).0, "too_large");
    let one = submission(&"x".repeat(2 << 20), "1").to_string();
    assert_eq!(f.post("/api/v1/records", "application/json", one).await.problem(413).0, "too_large");
    for path in [
        "/api/v1/records",
        "/api/v1/events",
        "/api/v1/events/spring/state",
        "/api/v1/events/spring/submissions",
        "/api/v1/ops/deadletters/retry",
    ] {
        assert_eq!(
            f.post(path, "text/plain", "{}").await.problem(415),
            ("unsupported_media_type".into(), vec!["content-type".into()]),
            "{path}"
        );
    }
    assert_eq!(f.get("/api/v1/events/%ff/board").await.problem(400).0, "bad_request");
    assert_eq!(f.get("/api/contests/%ff").await.problem(400).0, "invalid");
    assert_eq!(f.get("/api/v1/events/spring/board?limit=x").await.problem(400).0, "bad_query");
    assert_eq!(f.get("/api/contests/spring/scoreboard?view=both").await.problem(400).1, ["view"]);
}

#[tokio::test]
async fn a_request_id_is_taken_or_made() {
    let f = Fixture::new();
    let ask = |id: &'static str| f.ask(Request::get("/livez").header("x-request-id", id).body(Body::empty()).unwrap());
    assert_eq!(ask("abc.1").await.headers["x-request-id"], "abc.1");
    let made = ask("a b").await.headers["x-request-id"].clone();
    assert_eq!(made.len(), 32);
    assert_ne!(made, ask("a b").await.headers["x-request-id"]);
}

#[tokio::test]
async fn public_answers_hold_nothing_of_the_jury() {
    let f = Fixture::new();
    for path in [
        "/api/v1/events",
        "/api/v1/events/spring/board",
        "/api/v1/events/spring/board?division=g1",
        "/api/v1/events/spring/board/teams/3",
        "/api/contests",
        "/api/contests/spring",
        "/api/contests/spring/state",
        "/api/contests/spring/teams",
        "/api/contests/spring/problems",
        "/api/contests/spring/scoreboard",
        "/api/contests/spring/awards",
    ] {
        let public = f.get(path).await;
        assert_eq!(public.status, 200, "{path}");
        let text = String::from_utf8(public.body.clone()).unwrap();
        assert!(!text.contains("Secret Team") && !text.contains("epoch"), "{path}: {text}");
        // The token alone changes nothing, but for contests, which go by the role.
        let joint = if path.contains('?') { '&' } else { '?' };
        let asked = if path.starts_with("/api/contests/") { format!("{path}{joint}view=public") } else { path.into() };
        assert_eq!(f.get_as_admin(&asked).await.body, public.body, "{path}");
        if path == "/api/v1/events" || path == "/api/contests" {
            continue;
        }
        let jury = format!("{path}{joint}view=jury");
        f.get(&jury).await.problem(401);
        assert_eq!(f.get_as_admin(&jury).await.status, 200, "{jury}");
        f.ask(Request::get(path).header("authorization", "Bearer wrong").body(Body::empty()).unwrap())
            .await
            .problem(401);
    }
    f.get("/api/v1/events/spring/board/stream?view=jury").await.problem(401);
    assert_eq!(f.get("/api/v1/events/spring/board/teams/2").await.problem(404).0, "unknown_team");
    assert!(
        String::from_utf8(f.get_as_admin("/api/v1/events/spring/board?view=jury").await.body)
            .unwrap()
            .contains("Secret Team")
    );
}

#[tokio::test]
async fn unknown_events_are_404_everywhere() {
    let f = Fixture::new();
    for path in [
        "/api/v1/events/no/board",
        "/api/v1/events/no/board/teams/1",
        "/api/v1/events/no/board/stream",
        "/api/contests/no",
        "/api/contests/no/state",
        "/api/contests/no/teams",
        "/api/contests/no/problems",
        "/api/contests/no/scoreboard",
        "/api/contests/no/awards",
    ] {
        assert_eq!(f.get(path).await.problem(404).0, "unknown_event", "{path}");
    }
    for (path, body) in [
        ("/api/v1/events/no/state", json!({"action": "start"})),
        ("/api/v1/events/no/submissions", json!({"team": "1", "problem": "p1"})),
    ] {
        assert_eq!(f.post_json(path, body).await.problem(404).0, "unknown_event", "{path}");
    }
}

#[tokio::test]
async fn headers_for_browsers() {
    let f = Fixture::new();
    let api = f.get("/api/v1/events").await;
    assert_eq!(api.headers["x-content-type-options"], "nosniff");
    assert_eq!(api.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
    for path in ["/", "/events/spring"] {
        let page = f.get(path).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"));
        let tag = page.headers[header::ETAG].clone();
        let again =
            f.ask(Request::get(path).header(header::IF_NONE_MATCH, tag.clone()).body(Body::empty()).unwrap()).await;
        assert_eq!((again.status.as_u16(), again.body.len(), &again.headers[header::ETAG]), (304, 0, &tag));
    }
    assert_eq!(f.get("/assets/board.js").await.headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    // Others may read, not write, and bring no token.
    let read =
        f.ask(Request::get("/api/v1/events").header("origin", "https://a.example").body(Body::empty()).unwrap()).await;
    assert_eq!(read.headers["access-control-allow-origin"], "*");
    let preflight = Request::options("/api/v1/records")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization");
    let preflight = f.ask(preflight.body(Body::empty()).unwrap()).await;
    assert!(!preflight.headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    assert!(!preflight.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
}

#[tokio::test]
async fn pages_are_compressed_and_problems_stay_whole() {
    let f = Fixture::new();
    let gzip =
        |path: &str| f.ask(Request::get(path).header(header::ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap());
    assert_eq!(gzip("/openapi.json").await.headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(gzip("/api/v1/events/no/board").await.status, 404);
    let stream = f.router.clone();
    let request = Request::get("/api/v1/events/spring/board/stream")
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(stream, request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert!(response.headers().get(header::CONTENT_ENCODING).is_none());
}
