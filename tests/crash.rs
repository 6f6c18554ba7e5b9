//! Kills the real server under load, at random instants and at every failpoint, and compares with an oracle each time.
//!
//! `GRAVITY_CRASHES=N` sets how often; 60 by default. The seed is printed, and taken from `GRAVITY_SEED` where set.

mod support;

use std::time::{Duration, Instant};

use gravity_events::body::Scoring;
use gravity_operators::harness::dice::Dice;
use gravity_pipelines::runtime::failpoint;
use support::Server;
use support::clients::Load;
use support::environment::{number, seed};
use support::watcher::{Versions, follow, sees};

const TEAMS: u32 = 40;
const PROBLEMS: u32 = 8;
const EVENT: &str = "crash";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_nothing_is_lost_doubled_or_forked() {
    let crashes = number("GRAVITY_CRASHES").unwrap_or(60);
    let mut random = Dice::new(seed());
    let dir = tempfile::tempdir().expect("a folder");
    // Small epochs and bases, so that every step of a commit and of a merge happens often; the threads change in number. A
    // change of rules takes ten epochs, and one is under way most of the time.
    let env = [
        ("GRAVITY_PIPELINES__MERGE_BYTES", "20000"),
        ("GRAVITY_PIPELINES__ROW_CAP", "64"),
        ("GRAVITY_PIPELINES__SLICE_TEAMS", "4"),
    ];
    let mut server = Server::start(dir.path(), &env).await;
    let page = format!("/api/v1/events/{EVENT}/board?limit=1000");
    let (follower, following) = follow(server.url.clone(), format!("/api/v1/events/{EVENT}/board/stream?limit=1000"));
    let mut versions = Versions::default();
    let load = Load::new(EVENT, TEAMS, PROBLEMS).with_rules(25);
    load.set_up(&server).await;
    // In turn, a board of another kind beside it.
    let others = [Scoring::Rubric, Scoring::Ctf, Scoring::Kaggle, Scoring::Ioi];
    let names = ["crash-rubric", "crash-ctf", "crash-kaggle", "crash-ioi"];
    let others = Vec::from_iter(
        names.into_iter().zip(others).map(|(name, kind)| Load::new(name, 12, 4).of_kind(kind).with_rules(25)),
    );
    for other in &others {
        other.set_up(&server).await;
    }
    for crash in 0..crashes {
        let other = &others[crash as usize % others.len()];
        let other_page = format!("/api/v1/events/{}/board?limit=1000", other.event);
        // Every third crash is at a failpoint, in turn, at its first to eighth passage; the others at a random instant.
        let point = crash.is_multiple_of(3).then(|| failpoint::ALL[(crash / 3) as usize % failpoint::ALL.len()]);
        let armed = point.map(|p| {
            let passage = if p.starts_with("merge") { 1 } else { 1 + random.below(8) };
            format!("{p}:{passage}:kill")
        });
        let workers = (2 + random.below(2)).to_string();
        let mut more = vec![("GRAVITY_PIPELINES__WORKERS", workers.as_str())];
        if let Some(armed) = &armed {
            more.push(("GRAVITY_FAILPOINT", armed));
        }
        server.terminate();
        server.spawn_again(&more);
        let up = server.ready_or_ended().await;
        if up {
            let (clients, more) = (load.start(&server, 3, false), other.start(&server, 1, false));
            let until = Instant::now()
                + if point.is_some() { Duration::from_secs(20) } else { Duration::from_millis(20 + random.below(400)) };
            versions.watch(&mut server, &page, until).await;
            assert!(point.is_none() || server.ended(), "failpoint {armed:?} was not reached");
            server.kill();
            clients.finish().await;
            more.finish().await;
        }
        server.spawn_again(&[]);
        server.wait_ready().await;
        let board = server.get_json(&page).await;
        versions.check(&page, &board);
        assert!(board["version"].as_u64() >= versions.newest(&page), "a version that was seen is gone");
        load.settle(&server).await;
        other.settle(&server).await;
        versions.check(&other_page, &server.get_json(&other_page).await);
        let (code, _, err) = server.cli(&["verify"]);
        assert_eq!(code, 0, "crash {crash} ({armed:?}): {err}");
        eprintln!(
            "crash {crash:3} {:30} {} attempts, version {}",
            armed.as_deref().unwrap_or("random"),
            load.ledger.lock().await.checked.len(),
            board["version"]
        );
    }
    // The spectator who was cut off at every crash has the board of one who never was.
    let board = server.get_json(&page).await;
    sees(&follower, &board).await;
    let connections = follower.lock().await.connections;
    assert!(u64::from(connections) > crashes / 2, "it was connected {connections} times");
    following.abort();
    assert_eq!(server.terminate(), Some(0), "a clean stop");
}
