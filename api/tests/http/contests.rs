//! The CLICS objects of a board.

use axum::body::Body;
use axum::http::{Request, header};
use gravity_events::Id;
use gravity_events::board::{BoardHeader, View};
use gravity_events::body::CustomAward;
use gravity_events::time::format_rfc3339_ms;
use serde_json::json;

use super::fixture::{Fixture, HOUR_MS, START_MS, header as event_header};

#[tokio::test]
async fn objects_have_the_shape_of_the_contest_api() {
    let f = Fixture::new();
    let contest = json!({"id": "spring", "name": "Spring", "start_time": "2026-03-14T08:00:00.000Z", "duration": "5:00:00.000",
        "scoreboard_freeze_duration": "1:00:00.000", "scoreboard_type": "pass-fail", "penalty_time": 20});
    assert_eq!(f.get("/api/contests").await.json(), json!([contest]));
    assert_eq!(f.get("/api/contests/spring").await.json(), contest);
    assert_eq!(
        f.get("/api/contests/spring/problems").await.json(),
        json!([{"id": "p1", "label": "A", "name": "Problem A", "ordinal": 0}, {"id": "p2", "label": "B", "name": "Problem B", "ordinal": 1}])
    );
    let team = |id: &str, name: &str| json!({"id": id, "name": name, "display_name": name, "organization_id": "u", "group_ids": ["g1"]});
    let teams = json!([team("1", "First"), team("3", "Third"), team("10", "Tenth")]);
    assert_eq!(f.get("/api/contests/spring/teams").await.json(), teams);
    assert_eq!(f.get("/api/contests/spring/teams/3").await.json(), team("3", "Third"));
    let jury = f.get_as_admin("/api/contests/spring/teams?view=jury").await.json();
    assert_eq!((jury.as_array().unwrap().len(), &jury[1]["hidden"]), (4, &json!(true)));
    assert_eq!(f.get("/api/contests/spring/teams?view=jury").await.problem(401).0, "token_needed");
    assert_eq!(f.get("/api/contests/spring/teams/2").await.problem(404).0, "unknown_object");
    assert_eq!(f.get("/api/contests/spring/clarificatons").await.problem(404).0, "unknown_collection");
    assert_eq!(f.get("/api/contests/nowhere/teams").await.problem(404).0, "unknown_event");
    assert_eq!(f.get("/api/contests/spring/languages").await.json(), json!([{"id": "rust", "name": "Rust"}]));
    assert_eq!(
        f.get("/api/contests/spring/submissions").await.json(),
        json!([{"id": "s1", "team_id": "1", "problem_id": "p1", "time": "2026-03-14T08:10:00.000Z", "contest_time": "0:10:00.000"}])
    );
    assert_eq!(
        f.get("/api/contests/spring/judgements/j1").await.json(),
        json!({"id": "j1", "submission_id": "s1", "judgement_type_id": null, "current": true,
            "start_time": "2026-03-14T08:10:00.500Z", "start_contest_time": "0:10:00.500",
            "end_time": null, "end_contest_time": null})
    );
}

#[tokio::test]
async fn the_scoreboard_lists_every_problem_and_no_hidden_team() {
    let f = Fixture::new();
    let state = json!({"started": "2026-03-14T08:00:00.000Z", "frozen": null, "ended": null, "thawed": null, "finalized": null, "end_of_updates": null});
    let unsolved = |id: &str| json!({"problem_id": id, "num_judged": 0, "num_pending": 0, "solved": false});
    let solved = json!({"problem_id": "p1", "num_judged": 1, "num_pending": 0, "solved": true, "time": 10});
    let public = json!({"state": state, "rows": [
        {"rank": 1, "team_id": "1", "score": {"num_solved": 1, "total_time": 10, "time": 10}, "problems": [solved, unsolved("p2")]},
        {"rank": 2, "team_id": "3", "score": {"num_solved": 0, "total_time": 0}, "problems": [unsolved("p1"), unsolved("p2")]},
    ]});
    assert_eq!(f.get("/api/contests/spring/scoreboard").await.json(), public);
    assert_eq!(f.get("/api/contests/spring/scoreboard?division=g1").await.json(), public);
    f.get("/api/contests/spring/scoreboard?division=g9").await.problem(404);
    let jury = f.get_as_admin("/api/contests/spring/scoreboard?view=jury").await.json();
    let ranks: Vec<_> = jury["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["team_id"].as_str().unwrap(), r["rank"].as_u64().unwrap()))
        .collect();
    assert_eq!(ranks, [("3", 1), ("1", 2)]);
    // An entity tag of the content: the same for the same board, in whatever version.
    let first = f.get("/api/contests/spring/scoreboard").await;
    let tag = first.headers[header::ETAG].clone();
    let again = Request::get("/api/contests/spring/scoreboard")
        .header(header::IF_NONE_MATCH, &tag)
        .body(Body::empty())
        .unwrap();
    assert_eq!(f.ask(again).await.status, 304);
    assert_ne!(f.get_as_admin("/api/contests/spring/scoreboard?view=jury").await.headers[header::ETAG], tag);
}

#[tokio::test]
async fn a_version_is_encoded_once_and_a_changed_one_is_never_stale() {
    let f = Fixture::new();
    let encoded = || (f.boards.encoded(View::Public), f.boards.encoded(View::Jury));
    for (n, version) in (1..=3).enumerate() {
        if version > 1 {
            f.show(
                BoardHeader { finalized_at_ms: Some(START_MS + version as i64 * HOUR_MS), ..event_header() },
                version,
            );
        }
        let before = encoded();
        for _ in 0..100 {
            for part in ["scoreboard", "awards", "scoreboard?division=g1"] {
                let path = format!("/api/contests/spring/{part}");
                let public = f.get(&path).await;
                let joint = if part.contains('?') { '&' } else { '?' };
                let jury = f.get_as_admin(&format!("{path}{joint}view=jury")).await;
                assert_eq!((public.status.as_u16(), jury.status.as_u16()), (200, 200));
                if part.starts_with("scoreboard") {
                    let finalized = (n > 0).then(|| format_rfc3339_ms(START_MS + version as i64 * HOUR_MS));
                    assert_eq!(public.json()["state"]["finalized"], json!(finalized), "version {version}");
                }
            }
        }
        assert_eq!(encoded(), (before.0 + 3, before.1 + 3), "version {version}");
    }
}

#[tokio::test]
async fn a_frozen_view_names_no_winner() {
    let f = Fixture::new();
    let first = json!({"id": "first-to-solve-p1", "citation": "First to solve problem A", "team_ids": ["1"]});
    let winner = |team: &str| json!({"id": "winner", "citation": "Contest winner", "team_ids": [team]});
    assert_eq!(f.get("/api/contests/spring/awards").await.json(), json!([first]));
    let over = |thawed_at_ms| BoardHeader {
        ended_at_ms: Some(START_MS + 5 * HOUR_MS),
        finalized_at_ms: Some(START_MS + 6 * HOUR_MS),
        thawed_at_ms,
        ..event_header()
    };
    f.show(over(None), 2);
    assert_eq!(f.get("/api/contests/spring/awards").await.json(), json!([first]));
    assert_eq!(f.get_as_admin("/api/contests/spring/awards?view=jury").await.json(), {
        let gold = json!({"id": "gold-medal", "citation": "Gold medal winner", "team_ids": ["3", "1"]});
        let group = json!({"id": "group-winner-g1", "citation": "Winner of Group", "team_ids": ["3"]});
        json!([winner("3"), gold, group, first])
    });
    assert_eq!(f.get("/api/contests/spring/state").await.json()["end_of_updates"], json!(null));
    f.show(over(Some(START_MS + 7 * HOUR_MS)), 3);
    assert_eq!(f.get("/api/contests/spring/awards").await.json(), {
        let gold = json!({"id": "gold-medal", "citation": "Gold medal winner", "team_ids": ["1"]});
        let group = json!({"id": "group-winner-g1", "citation": "Winner of Group", "team_ids": ["1"]});
        json!([winner("1"), gold, group, first])
    });
    assert_eq!(f.get("/api/contests/spring/state").await.json()["end_of_updates"], "2026-03-14T15:00:00.000Z");
    // What somebody decided comes on top, or takes the place of what follows from the board.
    let award = |id: &str, teams: &[&str]| CustomAward {
        award: id.into(),
        citation: "Decided".into(),
        teams: teams.iter().copied().map(Id::from).collect(),
    };
    let awards =
        vec![award("gold-medal", &["3", "nobody"]), award("group-winner-g1", &[]), award("best-newcomer", &["1"])];
    f.show(BoardHeader { awards, ..over(Some(START_MS + 7 * HOUR_MS)) }, 4);
    let decided = |id: &str, team: &str| json!({"id": id, "citation": "Decided", "team_ids": [team]});
    assert_eq!(
        f.get("/api/contests/spring/awards").await.json(),
        json!([winner("1"), decided("gold-medal", "3"), first, decided("best-newcomer", "1")])
    );
}
