//! Kills the real server under load, at random instants and at every failpoint, and compares with an oracle each time.
//!
//! `GRAVITY_CRASHES=N` sets how often; 60 by default. The seed is printed, and taken from `GRAVITY_SEED` where set.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gravity_pipelines::runtime::failpoint;
use support::contest::{attempt, reference};
use support::watcher::{Versions, follow};
use support::{Server, post};
use tokio::sync::Mutex;

const TEAMS: u32 = 40;
const PROBLEMS: u32 = 8;
const EVENT: &str = "crash";

/// SplitMix64: the crash points follow from the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

/// What the clients know: attempts that were acknowledged, and those whose answer was lost.
#[derive(Default)]
struct Ledger {
    acknowledged: HashSet<u32>,
    unknown: HashSet<u32>,
}

/// Clients that send attempts until told to stop, or until the server is gone.
async fn load(url: String, token: String, next: Arc<AtomicU32>, ledger: Arc<Mutex<Ledger>>) {
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let records = attempt(EVENT, n, TEAMS, PROBLEMS);
        ledger.lock().await.unknown.insert(n);
        let Some(statuses) = post(&url, &token, &records, n.is_multiple_of(7)).await else { return };
        if statuses.iter().all(|s| s == "accepted" || s == "counted" || s == "duplicate") {
            let mut l = ledger.lock().await;
            l.unknown.remove(&n);
            l.acknowledged.insert(n);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_nothing_is_lost_doubled_or_forked() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let crashes = number("GRAVITY_CRASHES").unwrap_or(60);
    let seed = number("GRAVITY_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("{crashes} crashes, seed {seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().expect("a folder");
    // Small epochs and bases, so that every step of a commit and of a merge happens often; the threads change in number.
    let env = [("GRAVITY_PIPELINES__MERGE_BYTES", "20000"), ("GRAVITY_PIPELINES__ROW_CAP", "64")];
    let mut server = Server::start(dir.path(), &env).await;
    server.send(&reference(EVENT, TEAMS, PROBLEMS), true).await;
    let page = format!("/api/v1/events/{EVENT}/board?limit=1000");
    let (follower, following) = follow(server.url.clone(), format!("/api/v1/events/{EVENT}/board/stream?limit=1000"));
    let mut versions = Versions::default();
    let (next, ledger) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Ledger::default())));
    let mut checked: HashSet<u32> = HashSet::new();
    for crash in 0..crashes {
        // Every third crash is at a failpoint, in turn, at its first to eighth passage; the others at a random instant.
        let point = crash.is_multiple_of(3).then(|| failpoint::ALL[(crash / 3) as usize % failpoint::ALL.len()]);
        let armed = point.map(|p| {
            let passage = if p.starts_with("merge") { 1 } else { 1 + random.below(8) };
            format!("{p}:{passage}:kill")
        });
        let workers = (1 + random.below(3)).to_string();
        let mut more = vec![("GRAVITY_PIPELINES__WORKERS", workers.as_str())];
        if let Some(armed) = &armed {
            more.push(("GRAVITY_FAILPOINT", armed));
        }
        server.terminate();
        server.spawn_again(&more);
        let up = server.ready_or_ended().await;
        if up {
            let clients: Vec<_> = (0..4)
                .map(|_| tokio::spawn(load(server.url.clone(), server.token(), next.clone(), ledger.clone())))
                .collect();
            let until = Instant::now()
                + if point.is_some() { Duration::from_secs(20) } else { Duration::from_millis(20 + random.below(400)) };
            while Instant::now() < until && !server.ended() {
                if let Ok(r) = reqwest::get(format!("{}{page}", server.url)).await
                    && r.status().is_success()
                    && let Ok(board) = r.json().await
                {
                    versions.check(&page, &board);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(point.is_none() || server.ended(), "failpoint {armed:?} was not reached");
            server.kill();
            for c in clients {
                c.await.expect("clients survive");
            }
        }
        server.spawn_again(&[]);
        server.wait_ready().await;
        let board = server.get_json(&page).await;
        versions.check(&page, &board);
        assert!(board["version"].as_u64() >= versions.newest(&page), "a version that was seen is gone");
        // What was acknowledged is there: sent again, all of it is a duplicate.
        let (acknowledged, unknown) = {
            let l = ledger.lock().await;
            let mut new: Vec<u32> = l.acknowledged.difference(&checked).copied().collect();
            new.sort_unstable();
            (new, l.unknown.iter().copied().collect::<Vec<_>>())
        };
        for part in acknowledged.chunks(100) {
            let records: Vec<_> = part.iter().flat_map(|n| attempt(EVENT, *n, TEAMS, PROBLEMS)).collect();
            let statuses = server.send(&records, true).await;
            let lost: Vec<_> = statuses.iter().filter(|s| *s != "duplicate").collect();
            assert!(
                lost.is_empty(),
                "crash {crash} ({armed:?}): acknowledged records are gone: {lost:?}; the log:\n{}",
                server.log()
            );
        }
        checked.extend(acknowledged);
        // What was not answered is sent again, as clients do.
        for n in unknown {
            let statuses = server.send(&attempt(EVENT, n, TEAMS, PROBLEMS), true).await;
            assert!(statuses.iter().all(|s| s == "counted" || s == "duplicate"), "{statuses:?}");
            let mut l = ledger.lock().await;
            l.unknown.remove(&n);
            l.acknowledged.insert(n);
            checked.insert(n);
        }
        let (code, _, err) = server.cli(&["verify"]);
        assert_eq!(code, 0, "crash {crash} ({armed:?}): {err}");
        eprintln!(
            "crash {crash:3} {:30} {} attempts, version {}",
            armed.as_deref().unwrap_or("random"),
            checked.len(),
            board["version"]
        );
    }
    // The spectator who was cut off at every crash has the board of one who never was.
    let board = server.get_json(&page).await;
    let until = Instant::now() + Duration::from_secs(20);
    while follower.lock().await.version != board["version"].as_u64() {
        assert!(
            Instant::now() < until,
            "the spectator has {:?}, the board is at {}",
            follower.lock().await.version,
            board["version"]
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = follower.lock().await.clone();
    assert_eq!(seen.board["rows"], board["rows"]);
    assert!(u64::from(seen.connections) > crashes / 2, "it was connected {} times", seen.connections);
    following.abort();
    assert_eq!(server.terminate(), Some(0), "a clean stop");
}
