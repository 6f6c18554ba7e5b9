//! Who may do what, by the role of the token.

use axum::body::Body;
use axum::http::Request;
use gravity_api::http::tokens::{Principal, Role};
use serde_json::json;

use super::fixture::{Answer, Fixture};

fn principal(role: Role, event: Option<&str>, team: Option<&str>) -> Principal {
    Principal { role, event: event.map(Into::into), tenant: None, team: team.map(Into::into) }
}

async fn ask(f: &Fixture, who: &Principal, method: &str, path: &str, body: Option<serde_json::Value>) -> Answer {
    let token = f.state.tokens.issue(who, 1, 9_999_999_999);
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json");
    f.ask(request.body(body.map_or_else(Body::empty, |body| body.to_string().into())).unwrap()).await
}

#[tokio::test]
async fn each_role_may_do_what_it_is_for_and_nothing_else() {
    let f = Fixture::new();
    let of_spring = Some("spring");
    let everybody = [
        ("admin", principal(Role::Admin, None, None)),
        ("feed", principal(Role::Feed, None, None)),
        ("analyst", principal(Role::Analyst, None, None)),
        ("of spring", principal(Role::Analyst, of_spring, None)),
        ("of another", principal(Role::Analyst, Some("autumn"), None)),
        ("team 1", principal(Role::Team, of_spring, Some("1"))),
    ];
    let submission = || Some(json!({"team": "1", "problem": "p1"}));
    let other = || Some(json!({"team": "3", "problem": "p1"}));
    // Which of them are let in; the others are told that they are not.
    let cases = [
        ("GET", "/api/v1/ops/status", None, vec!["admin", "analyst"]),
        ("GET", "/api/v1/ops/deadletters", None, vec!["admin", "analyst"]),
        ("GET", "/api/v1/ops/deadletters/d1", None, vec!["admin", "analyst"]),
        ("POST", "/api/v1/ops/deadletters/retry", Some(json!({"ids": ["d1"]})), vec!["admin"]),
        ("POST", "/api/v1/ops/verify", Some(json!({})), vec!["admin"]),
        ("GET", "/api/v1/labs", None, vec!["admin", "analyst"]),
        ("GET", "/api/v1/events/spring/similarity", None, vec!["admin", "analyst", "of spring"]),
        ("GET", "/api/v1/events/spring/board?view=public", None, everybody.iter().map(|(name, _)| *name).collect()),
        ("GET", "/api/contests/spring/teams?view=jury", None, vec!["admin", "analyst", "of spring"]),
        ("GET", "/api/contests/spring/event-feed?view=jury&stream=false", None, vec!["admin", "analyst", "of spring"]),
        ("POST", "/api/v1/events/spring/submissions", submission(), vec!["admin", "feed", "team 1"]),
        ("POST", "/api/v1/events/spring/submissions", other(), vec!["admin", "feed"]),
        ("POST", "/api/v1/events/spring/state", Some(json!({"action": "end"})), vec!["admin"]),
        ("POST", "/api/v1/auth/tokens", Some(json!({"role": "analyst"})), vec!["admin"]),
        ("GET", "/metrics", None, vec!["admin", "analyst"]),
    ];
    for (method, path, body, allowed) in cases {
        for (name, who) in &everybody {
            let answer = ask(&f, who, method, path, body.clone()).await;
            let refused = matches!(answer.status.as_u16(), 401 | 403);
            assert_eq!(!refused, allowed.contains(name), "{name}: {method} {path} {body:?}: {}", answer.status);
            assert!(refused || answer.status.is_success(), "{name}: {method} {path}: {}", answer.status);
            if answer.status == 403 {
                assert_eq!(answer.problem(403).0, "not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn a_feed_appends_and_a_team_does_not() {
    let f = Fixture::new();
    let record = r#"{"specversion":"1.0","id":"1","source":"x","type":"team.registered","tenant":"uni","event":"spring","data":{"team":"9","name":"Nine"}}"#;
    for (who, status) in
        [(principal(Role::Feed, None, None), 202), (principal(Role::Team, Some("spring"), Some("1")), 403)]
    {
        let token = f.state.tokens.issue(&who, 1, 9_999_999_999);
        let request = Request::post("/api/v1/records").header("content-type", "application/cloudevents+json");
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::from(record)).unwrap();
        assert_eq!(f.ask(request).await.status, status);
    }
}

#[tokio::test]
async fn a_board_and_a_contest_show_what_the_role_may_see() {
    let f = Fixture::new();
    let analyst = principal(Role::Analyst, Some("spring"), None);
    let team = principal(Role::Team, Some("spring"), Some("1"));
    let ranked = |answer: &Answer| answer.json()["rows"].as_array().unwrap().len();
    // A contest shows by itself what the token allows, a board what is asked for.
    let public = f.get("/api/contests/spring/scoreboard").await.json();
    assert_eq!(ask(&f, &team, "GET", "/api/contests/spring/scoreboard", None).await.json(), public);
    let jury = ask(&f, &analyst, "GET", "/api/contests/spring/scoreboard", None).await.json();
    assert_ne!(jury, public);
    assert_eq!(ask(&f, &analyst, "GET", "/api/contests/spring/scoreboard?view=public", None).await.json(), public);
    let board = ask(&f, &analyst, "GET", "/api/v1/events/spring/board?view=jury", None).await;
    assert_eq!(board.status, 200);
    assert!(ranked(&board) > ranked(&f.get("/api/v1/events/spring/board").await), "with the hidden team");
    assert_eq!(ask(&f, &team, "GET", "/api/v1/events/spring/board?view=jury", None).await.status, 401);

    let why = |answer: Answer| answer.json()["why"].as_str().unwrap().to_owned();
    let path = "/api/v1/events/spring/submissions/s1";
    assert_eq!(why(f.get(path).await), "as everybody knows it");
    assert_eq!(why(ask(&f, &team, "GET", path, None).await), "as team 1 knows it");
    assert_eq!(why(ask(&f, &analyst, "GET", path, None).await), "all of it");
    let elsewhere = principal(Role::Team, Some("autumn"), Some("1"));
    assert_eq!(why(ask(&f, &elsewhere, "GET", path, None).await), "as everybody knows it");
}

#[tokio::test]
async fn access_and_account_say_who_asks() {
    let f = Fixture::new();
    let analyst = principal(Role::Analyst, None, None);
    let team = principal(Role::Team, Some("spring"), Some("1"));
    let has = |answer: &Answer, endpoint: &str, property: &str| {
        let answer = answer.json();
        let endpoints = answer["endpoints"].as_array().unwrap().clone();
        let of = endpoints.iter().find(|e| e["type"] == endpoint).unwrap();
        of["properties"].as_array().unwrap().contains(&property.into())
    };
    let public = f.get("/api/contests/spring/access").await;
    assert_eq!(public.json()["capabilities"], json!([]));
    assert!(has(&public, "teams", "group_ids") && !has(&public, "teams", "hidden"));
    assert!(has(&ask(&f, &analyst, "GET", "/api/contests/spring/access", None).await, "teams", "hidden"));
    assert_eq!(f.get("/api/contests/nowhere/access").await.problem(404).0, "unknown_event");

    let account = |answer: Answer| answer.json();
    let of_team = json!({"id": "1", "username": "1", "type": "team", "team_id": "1"});
    assert_eq!(account(ask(&f, &team, "GET", "/api/contests/spring/account", None).await), of_team);
    let of_analyst = json!({"id": "analyst", "username": "analyst", "type": "analyst"});
    assert_eq!(account(ask(&f, &analyst, "GET", "/api/contests/spring/account", None).await), of_analyst);
    assert_eq!(f.get("/api/contests/spring/account").await.problem(401).0, "token_needed");
    let elsewhere = principal(Role::Team, Some("autumn"), Some("1"));
    let answer = ask(&f, &elsewhere, "GET", "/api/contests/spring/account", None).await;
    assert_eq!(answer.problem(404).0, "no_account");
}

#[tokio::test]
async fn an_administrator_gives_out_tokens() {
    let f = Fixture::new();
    let answer = f.post_json("/api/v1/auth/tokens", json!({"role": "team", "event": "spring", "team": "1"})).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["cache-control"], "no-store");
    // Seven days from the server's clock.
    assert_eq!(answer.json()["expires_at"], "2026-03-21T09:00:00.000Z");
    assert_eq!(answer.json()["token"].as_str().unwrap().split('.').count(), 3);
    for (request, field) in [
        (json!({"role": "team", "event": "spring"}), "team"),
        (json!({"role": "team", "team": "1"}), "event"),
        (json!({"role": "team", "event": "spring", "team": "99"}), "team"),
        (json!({"role": "feed", "event": "spring"}), "event"),
        (json!({"role": "analyst", "team": "1"}), "team"),
        (json!({"role": "analyst", "days": 0}), "days"),
        (json!({"role": "analyst", "days": 401}), "days"),
        (json!({"role": "king"}), "role"),
    ] {
        let (_, fields) = f.post_json("/api/v1/auth/tokens", request.clone()).await.problem(422);
        assert_eq!(fields, [field], "{request}");
    }
    let unknown = f.post_json("/api/v1/auth/tokens", json!({"role": "analyst", "event": "nowhere"})).await;
    assert_eq!(unknown.problem(404).0, "unknown_event");
}
