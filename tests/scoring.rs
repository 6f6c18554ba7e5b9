//! What scoring authors and organisers see, through the real binary: votes of a panel on a rubric board, scores over time,
//! and versions that are no longer in memory.

mod support;

use std::collections::BTreeMap;

use gravity_events::Body;
use gravity_events::body::{JudgementRecorded, Moment, SubmissionReceived, VoteRecorded};
use serde_json::{Value, json};
use support::Server;
use support::contest::{attempt, bytes, reference};

const PANEL: &str = r#"
[event]
id = "hack"
tenant = "t"
name = "Hackathon"
scoring = "rubric"
start_at = "2026-01-01T09:00:00Z"
duration = "5h"

[[rubric]]
id = "main"
version = 1
dimension = [
  { id = "correctness", weight_bp = 5000, operator = "test_groups" },
  { id = "innovation", weight_bp = 5000, operator = "panel" },
]

[[problem]]
id = "p"
name = "The service"

[[team]]
id = "a"
name = "Ada"
[[team]]
id = "b"
name = "Bob"
[[team]]
id = "c"
name = "Cyd"
"#;

async fn send(server: &Server, records: &[Vec<u8>]) {
    let statuses = server.send(records, true).await;
    assert!(statuses.iter().all(|s| s == "counted"), "{statuses:?}: {}", server.ok(&["deadletter", "list"]));
}

fn ok_json(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&server.ok(&[args, &["--format", "json"]].concat())).expect("JSON")
}

fn vote(n: u32, winner: &str, loser: &str) -> Vec<u8> {
    let (vote, voter) = (format!("v{n}").into(), format!("judge{n}").into());
    let body = VoteRecorded { vote, voter, team: winner.into(), over: loser.into(), dimension: None };
    bytes("hack", format!("vote{n}"), Body::VoteRecorded(body))
}

/// (team, rank, score on the panel's dimension).
fn standing(board: &Value) -> Vec<(String, u64, Option<i64>)> {
    let row = |row: &Value| {
        let team = row["team"].as_str().expect("a team").to_owned();
        (team, row["rank"].as_u64().expect("a rank"), row["dimensions"]["innovation"].as_i64())
    };
    board["rows"].as_array().expect("rows").iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panels_votes_move_the_board_and_survive_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[]).await;
    let file = dir.path().join("hack.toml");
    std::fs::write(&file, PANEL).expect("written");
    server.ok(&["apply", file.to_str().expect("a path")]);
    let mut records = Vec::new();
    for (n, team) in ["a", "b", "c"].into_iter().enumerate() {
        let at_ms = Some(1_000 * n as i64);
        let submission = format!("s-{team}");
        let received = SubmissionReceived {
            submission: submission.as_str().into(),
            team: team.into(),
            problem: "p".into(),
            contest_time_ms: at_ms,
            ..Default::default()
        };
        let judged: JudgementRecorded = serde_json::from_value(json!({
            "judgement": format!("j-{team}"), "submission": submission, "judgement_type": "AC",
            "start_contest_time_ms": at_ms, "end_contest_time_ms": at_ms,
            "groups": [{"group": "all", "passed": 9, "total": 10}],
        }))
        .expect("a judgement");
        records.push(bytes("hack", submission, Body::SubmissionReceived(received)));
        records.push(bytes("hack", format!("j-{team}"), Body::JudgementRecorded(judged)));
    }
    send(&server, &records).await;
    let pending = standing(&ok_json(&server, &["board", "hack"]));
    assert!(pending.iter().all(|(_, _, innovation)| innovation.is_none()), "nobody voted: {pending:?}");

    // c beats b and a, b beats a: 2, 1 and 0 of the two others.
    send(&server, &[vote(1, "c", "a"), vote(2, "c", "b"), vote(3, "b", "a")]).await;
    let expected = |rows: [(&str, u64, i64); 3]| rows.map(|(t, r, s)| (t.to_owned(), r, Some(s))).to_vec();
    let voted = expected([("c", 1, 10_000), ("b", 2, 5_000), ("a", 3, 0)]);
    assert_eq!(standing(&ok_json(&server, &["board", "hack"])), voted);
    let explained = server.ok(&["score", "hack", "s-b"]);
    assert!(explained.contains("panel") && explained.contains("50.00"), "{explained}");

    // A team's token tells it every step of its own, and nobody else's.
    let team = server.ok(&["token", "team", "--event", "hack", "--team", "b"]);
    let as_team = |args: &[&str]| server.cli(&[&["--token", team.trim()], args].concat());
    let (code, own, _) = as_team(&["score", "hack", "s-b"]);
    assert_eq!((code, own.contains("win")), (0, explained.contains("win")), "{own}");
    assert_eq!(own, explained);
    let (code, other, _) = as_team(&["score", "hack", "s-c"]);
    assert!(code == 0 && other != server.ok(&["score", "hack", "s-c"]), "{other}");
    let (code, _, refused) = as_team(&["status"]);
    assert!(code == 1 && refused.contains("the token's role is team"), "{code} {refused}");

    server.kill();
    server.spawn_again(&[]);
    server.wait_ready().await;
    // It is good after a restart, too.
    let (code, own, _) = server.cli(&["--token", team.trim(), "score", "hack", "s-b"]);
    assert!(code == 0 && own == explained, "{own}");
    assert_eq!(standing(&ok_json(&server, &["board", "hack"])), voted);
    server.ok(&["verify", "--event", "hack"]);

    // Two more judges see it the other way round: b and c change places.
    send(&server, &[vote(4, "b", "c"), vote(5, "b", "c")]).await;
    let moved = expected([("b", 1, 10_000), ("c", 2, 5_000), ("a", 3, 0)]);
    assert_eq!(standing(&ok_json(&server, &["board", "hack"])), moved);
    server.ok(&["verify", "--event", "hack"]);
    assert!(server.ok(&["series", "hack"]).contains("Bob"));

    // Without the panel's operator its dimension is pending, and the rows are stale; with it they are as they were.
    let at = ["--event", "hack", "--tenant", "t"];
    server.ok(&[&["operator", "quarantine", "panel", "--reason", "a wrong formula"], &at[..]].concat());
    let without = ok_json(&server, &["board", "hack"]);
    assert!(standing(&without).iter().all(|(_, _, innovation)| innovation.is_none()), "{without}");
    assert!(without["rows"][0]["stale_since_ms"].is_i64(), "{without}");
    assert!(server.ok(&["score", "hack", "s-b"]).contains("it is quarantined: a wrong formula"));
    assert!(server.ok(&["changes", "hack"]).contains("a wrong formula"));
    server.ok(&["verify", "--event", "hack"]);
    server.ok(&[&["operator", "release", "panel"], &at[..]].concat());
    assert_eq!(standing(&ok_json(&server, &["board", "hack"])), moved);
    server.ok(&["verify", "--event", "hack"]);
}

const EVENT: &str = "cup";
const TEAMS: u32 = 5;
const PROBLEMS: u32 = 4;

/// What a board shows, but for the epoch, which a version that is read back from its topic does not know.
fn shown(mut board: Value) -> Value {
    board.as_object_mut().expect("an object").remove("epoch");
    board
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_that_was_shown_can_be_seen_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[]).await;
    send(&server, &reference(EVENT, TEAMS, PROBLEMS)).await;
    let boards: [&[&str]; 3] = [&[], &["--view", "jury"], &["--division", "even"]];
    let mut seen: [BTreeMap<u64, Value>; 3] = Default::default();
    let board = |server: &Server, more: &[&str]| shown(ok_json(server, &[&["board", EVENT], more].concat()));
    // More versions than are kept in memory, the last of them in the freeze, with verdicts that are revised.
    for n in 0..140 {
        send(&server, &attempt(EVENT, n * 197 + 1, TEAMS, PROBLEMS)).await;
        for (seen, more) in seen.iter_mut().zip(boards) {
            let board = board(&server, more);
            seen.insert(board["version"].as_u64().expect("a version"), board);
        }
    }
    let thawed = Body::EventThawed(Moment { at: None, contest_time_ms: Some(18_600_000) });
    let ended = Body::EventEnded(Moment { at: None, contest_time_ms: Some(18_000_000) });
    send(&server, &[bytes(EVENT, "end".into(), ended), bytes(EVENT, "thaw".into(), thawed)]).await;
    assert!(seen[0].len() > 66 && seen[2].len() > 40, "{} versions, {} of even", seen[0].len(), seen[2].len());
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.spawn_again(&[]);
            server.wait_ready().await;
        }
        for (seen, more) in seen.iter().zip(boards) {
            for (version, expected) in seen.iter().step_by(4) {
                let at = version.to_string();
                let again = board(&server, &[more, &["--at", &at]].concat());
                assert_eq!(&again, expected, "version {version} of {more:?}, restarted: {restarted}");
            }
        }
    }
    // Who scrolls is told at once that its version has gone; who asks for one that is yet to come, too.
    let old = seen[0].keys().next().expect("a version");
    let path = |query: &str| format!("/api/v1/events/{EVENT}/board?{query}");
    assert_eq!(server.get(&path(&format!("at={old}"))).await.0, 410);
    assert_eq!(server.get(&path("at=100000&old=true")).await.0, 404);
    let first: Value = server.get_json(&path(&format!("at={old}&old=true&limit=2"))).await;
    let cursor = first["next_cursor"].as_str().expect("more rows");
    let second: Value = server.get_json(&path(&format!("cursor={cursor}&old=true&limit=2"))).await;
    assert_eq!(second["version"], json!(old));
    assert_eq!(second["rows"][0], seen[0][old]["rows"][2]);

    // Scores over time end where the board is, and never name a time at which a team did not score.
    let newest = board(&server, &[]);
    let series = ok_json(&server, &["series", EVENT, "--top", "2", "--teams", "t0,t1"]);
    assert_eq!(series["version"], newest["version"]);
    let teams = series["teams"].as_array().expect("teams");
    assert!((2..=4).contains(&teams.len()) && teams[0]["team"] == newest["rows"][0]["team"], "{series}");
    for team in teams {
        let row = newest["rows"].as_array().expect("rows").iter().find(|r| r["team"] == team["team"]).expect("its row");
        let points = team["points"].as_array().expect("points");
        let rising = points.windows(2).all(|w| w[0][0].as_i64() < w[1][0].as_i64());
        assert!(rising && points.last().is_none_or(|p| p[1] == row["score"]), "{team} {row}");
        assert_eq!(points.is_empty(), row["score"] == json!(0), "{team} {row}");
    }
}
