//! Kills the real server under load, at random instants and at every failpoint, and compares with an oracle each time.
//!
//! `GRAVITY_CRASHES=N` sets how often; 60 by default. The seed is printed, and taken from `GRAVITY_SEED` where set.

mod support;

use std::time::{Duration, Instant};

use gravity_operators::harness::dice::Dice;
use gravity_pipelines::runtime::failpoint;
use support::Server;
use support::clients::Load;
use support::contest::reference;
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
    server.send(&reference(EVENT, TEAMS, PROBLEMS), true).await;
    let page = format!("/api/v1/events/{EVENT}/board?limit=1000");
    let (follower, following) = follow(server.url.clone(), format!("/api/v1/events/{EVENT}/board/stream?limit=1000"));
    let mut versions = Versions::default();
    let load = Load::new(EVENT, TEAMS, PROBLEMS).with_rules(25);
    for crash in 0..crashes {
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
            let clients = load.start(&server, 4, false);
            let until = Instant::now()
                + if point.is_some() { Duration::from_secs(20) } else { Duration::from_millis(20 + random.below(400)) };
            versions.watch(&mut server, &page, until).await;
            assert!(point.is_none() || server.ended(), "failpoint {armed:?} was not reached");
            server.kill();
            clients.finish().await;
        }
        server.spawn_again(&[]);
        server.wait_ready().await;
        let board = server.get_json(&page).await;
        versions.check(&page, &board);
        assert!(board["version"].as_u64() >= versions.newest(&page), "a version that was seen is gone");
        load.settle(&server).await;
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
