//! Scores explained, rules previewed, boards of past instants, the change log.

use gravity_events::board::View;
use gravity_events::body::{BoardNoted, Cause};
use serde_json::json;

use super::fixture::Fixture;

const PREVIEW: &str = "/api/v1/events/spring/preview";

fn rubric(dimensions: serde_json::Value) -> serde_json::Value {
    json!({"records": [{"type": "rubric.published", "data": {"rubric": "r", "version": 1, "dimensions": dimensions}}]})
}

fn sound() -> serde_json::Value {
    rubric(json!([{"dimension": "d", "weight_bp": 10_000, "operator": "o"}]))
}

#[tokio::test]
async fn a_preview_says_what_would_move_and_appends_nothing() {
    let f = Fixture::new();
    let preview = f.post_json(PREVIEW, sound()).await.json();
    // Two rows lose a point; the hidden one has no rank, and the last one nothing to lose.
    assert_eq!((&preview["rows"], &preview["rows_moved"], &preview["scores_moved"]), (&json!(3), &json!(3), &json!(3)));
    assert_eq!(preview["ranks_moved"], 0);
    let first = &preview["teams"][0];
    assert_eq!((&first["team"], &first["score_before"], &first["score_after"]), (&json!("3"), &json!(2), &json!(1)));
    assert_eq!((&first["medal_before"], &first["rank_after"]), (&json!("gold"), &json!(1)));
    assert_eq!(f.log.all().len(), 0, "nothing was appended");
    let same = f.post_json(PREVIEW, json!({"records": []})).await.json();
    assert_eq!((&same["rows_moved"], &same["teams"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_field() {
    let f = Fixture::new();
    let (code, fields) = f.post_json(PREVIEW, rubric(json!([]))).await.problem(422);
    assert_eq!((code.as_str(), &fields[..]), ("invalid", &["dimensions".to_owned()][..]));
    let unknown = json!({"records": [{"type": "rubric.publishd", "data": {}}]});
    let (code, fields) = f.post_json(PREVIEW, unknown).await.problem(422);
    assert_eq!((code.as_str(), &fields[..]), ("unknown_type", &["records[0]".to_owned()][..]));
    let nowhere = f.post_json("/api/v1/events/nowhere/preview", sound()).await;
    assert_eq!(nowhere.problem(404).0, "unknown_event");
    let answer = f.get("/api/v1/events/spring/board/resolver").await;
    assert_eq!(answer.problem(401).0, "token_needed");
    assert_eq!(f.get_as_admin("/api/v1/events/spring/board/resolver").await.problem(409).0, "unresolvable");
}

#[tokio::test]
async fn scores_are_explained_as_far_as_the_asker_may_know() {
    let f = Fixture::new();
    let path = "/api/v1/events/spring/submissions/s1";
    assert_eq!(f.get(path).await.json()["why"], "as everybody knows it");
    assert_eq!(f.get_as_admin(path).await.json()["why"], "all of it");
    assert_eq!(f.get("/api/v1/events/spring/submissions/unknown").await.problem(404).0, "unknown_submission");
}

#[tokio::test]
async fn a_board_of_a_past_instant_has_pages_like_any_other() {
    let f = Fixture::new();
    let board = "/api/v1/events/spring/board?limit=1&at=1:00:00";
    let page = f.get(board).await.json();
    assert_eq!((&page["rows"][0]["team"], &page["total_rows"]), (&json!("1"), &json!(2)));
    let next = f.get(&format!("{board}&cursor={}", page["next_cursor"].as_str().unwrap())).await.json();
    assert_eq!((&next["rows"][0]["team"], &next["next_cursor"]), (&json!("3"), &json!(null)));
    for bad in ["at=yesterday", "at=2026-13-01T00:00:00Z", "at=1:0:0"] {
        let (code, _) = f.get(&format!("/api/v1/events/spring/board?{bad}")).await.problem(400);
        assert_eq!(code, "bad_query", "{bad}");
    }
}

#[tokio::test]
async fn the_change_log_tells_each_view_its_own() {
    let f = Fixture::new();
    let cause = |kind: &str| Cause { kind: kind.into(), what: None, why: Some("a wrong test".into()), actor: None };
    let note = |view, version, kind: &str| {
        ("spring".into(), BoardNoted { view, version, at: 0, causes: vec![cause(kind)], rows: 3 })
    };
    f.publish_notes(vec![
        note(View::Jury, 5, "rejudged"),
        note(View::Jury, 7, "adjusted"),
        note(View::Public, 4, "thawed"),
    ]);
    let path = "/api/v1/events/spring/board/changes";
    let public = f.get(path).await.json();
    assert_eq!(public["changes"].as_array().unwrap().len(), 1);
    assert_eq!(public["changes"][0]["causes"][0]["kind"], "thawed");
    let jury = f.get_as_admin(&format!("{path}?view=jury&limit=1")).await.json();
    assert_eq!((&jury["changes"][0]["version"], &jury["changes"][1]), (&json!(7), &json!(null)), "the newest first");
    assert_eq!(f.get(&format!("{path}?view=jury")).await.problem(401).0, "jury_only");
}
