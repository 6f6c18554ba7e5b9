//! The real server on a real Kafka: crashes, a lost broker, a lost disk, a second server, lost records.
//!
//! What the server shows is compared with what an independent consumer finds on the out topics.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use gravity_operators::harness::dice::Dice;
use gravity_pipelines::runtime::failpoint;
use serde_json::Value;
use support::Server;
use support::broker::{KafkaServer, Topics};
use support::clients::Load;
use support::environment::seed;
use support::out_topics::OutTopics;
use support::watcher::{Versions, follow, sees};

/// Small epochs and bases, so that every step of a commit and of a merge happens often.
const SMALL: [(&str, &str); 3] = [
    ("GRAVITY_PIPELINES__MERGE_BYTES", "200000"),
    ("GRAVITY_PIPELINES__ROW_CAP", "64"),
    ("GRAVITY_PIPELINES__SLICE_TEAMS", "4"),
];

async fn start(dir: &Path, topics: &Topics) -> Server {
    let env = topics.env();
    let env: Vec<_> = env.iter().map(|(k, v)| (*k, v.as_str())).chain(SMALL).collect();
    Server::start(dir, &env).await
}

fn page(load: &Load) -> String {
    format!("/api/v1/events/{}/board?limit=1000", load.event)
}

fn stream(load: &Load) -> String {
    format!("/api/v1/events/{}/board/stream?limit=1000", load.event)
}

async fn pipeline(server: &Server) -> Value {
    server.get_json("/api/v1/ops/status").await["pipelines"][0].clone()
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    while !holds().await {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn out_topics(topics: &Topics) -> OutTopics {
    tokio::task::block_in_place(|| OutTopics::read(topics))
}

/// Everything that must hold of a server that has nothing to do: what was acknowledged is there, versions show what they
/// showed, `gravity verify` agrees, and the out topics hold each epoch once and make the same boards.
async fn holds_together(server: &Server, topics: &Topics, load: &Load, versions: &mut Versions) -> OutTopics {
    load.settle(server).await;
    let page = page(load);
    let board = server.get_json(&page).await;
    versions.check(&page, &board);
    assert!(board["version"].as_u64() >= versions.newest(&page), "a version that was seen is gone");
    let (code, _, err) = server.cli(&["verify"]);
    assert_eq!(code, 0, "verify: {err}");
    let out = out_topics(topics);
    // Nothing is under way: each record was waited for above, if only as a duplicate.
    assert_eq!(Some(out.last_epoch()), pipeline(server).await["epoch"].as_u64());
    out.equal_pages(server, load.event).await;
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_the_topics_hold_each_epoch_once() {
    let topics = KafkaServer::shared().topics("crash");
    let mut random = Dice::new(seed());
    let dir = tempfile::tempdir().expect("a folder");
    let load = Load::new("crash", 30, 6).with_rules(25);
    let mut versions = Versions::default();
    let mut server = start(dir.path(), &topics).await;
    load.set_up(&server).await;
    let (follower, following) = follow(server.url.clone(), stream(&load));
    let points = failpoint::ALL.iter().filter(|p| !p.starts_with("merge"));
    let crashes: Vec<Option<&str>> = points.map(|p| Some(*p)).chain([None; 5]).collect();
    assert!(crashes.len() >= 10);
    for point in &crashes {
        let armed = point.map(|p| format!("{p}:{}:kill", 1 + random.below(8)));
        let workers = (1 + random.below(3)).to_string();
        if let Some(armed) = &armed {
            assert_eq!(server.terminate(), Some(0), "a clean stop");
            server.spawn_again(&[("GRAVITY_FAILPOINT", armed), ("GRAVITY_PIPELINES__WORKERS", &workers)]);
        }
        // A failpoint may be reached before the server is ready, by what the clients before left behind.
        if server.ready_or_ended().await {
            let clients = load.start(&server, 4, false);
            let end = Instant::now() + Duration::from_millis(if armed.is_some() { 20_000 } else { random.below(500) });
            versions.watch(&mut server, &page(&load), end).await;
            assert!(armed.is_none() || server.ended(), "failpoint {armed:?} was not reached");
            server.kill();
            clients.finish().await;
        }
        server.spawn_again(&[("GRAVITY_PIPELINES__WORKERS", &workers)]);
        server.wait_ready().await;
        let out = holds_together(&server, &topics, &load, &mut versions).await;
        let at = armed.as_deref().unwrap_or("random");
        eprintln!("killed at {at:30} {} records in {} epochs", out.records, out.last_epoch());
    }
    let board = server.get_json(&page(&load)).await;
    sees(&follower, &board).await;
    assert!(follower.lock().await.connections > 5, "it was cut off and came back");
    following.abort();
    assert_eq!(server.terminate(), Some(0), "a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_is_waited_for_and_nothing_acknowledged_is_lost() {
    let broker = KafkaServer::start();
    let topics = broker.topics("broker");
    let dir = tempfile::tempdir().expect("a folder");
    let load = Load::new("broker", 30, 6);
    let mut versions = Versions::default();
    let mut server = start(dir.path(), &topics).await;
    load.set_up(&server).await;
    // `Server::log` gives the end of it only.
    let log = dir.path().join("server.log");
    let lines = |what: &str| {
        let text = std::fs::read(&log).expect("the server writes its log");
        String::from_utf8_lossy(&text).lines().filter(|l| l.contains(what)).count()
    };
    for outage in 1..=2 {
        let clients = load.start(&server, 4, true);
        load.acknowledged_more(30).await;
        tokio::task::block_in_place(|| broker.kill());
        until("the loss is noticed", async || lines("Kafka is lost") >= outage).await;
        // The process lives, and says so, however long the broker is gone and whatever else is asked.
        let url = server.url.clone();
        let ask = |path: &str| {
            let request = support::http().get(format!("{url}{path}")).bearer_auth(server.token());
            request.timeout(Duration::from_secs(5)).send()
        };
        let asked: Vec<_> = (0..8).map(|_| tokio::spawn(ask("/api/v1/ops/status"))).collect();
        for a in asked {
            let status = a.await.expect("a client").expect("the status answers while the broker is gone");
            assert!(status.text().await.expect("text").contains("the broker is lost"), "and says why records wait");
        }
        for path in ["/livez", "/readyz", &page(&load)] {
            let answer = ask(path).await.unwrap_or_else(|e| panic!("{path} while the broker is gone: {e}"));
            assert_eq!(answer.status().as_u16(), 200, "{path}");
        }
        let refused = support::http()
            .post(format!("{url}/api/v1/records"))
            .bearer_auth(server.token())
            .header("content-type", "application/cloudevents+json")
            .body(load.attempt(0).remove(0))
            .timeout(Duration::from_secs(5));
        let refused = refused.send().await.expect("an answer while the broker is gone");
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().expect("text")));
        tokio::task::block_in_place(|| broker.start_again());
        load.acknowledged_more(30).await;
        clients.finish().await;
        assert!(!server.ended(), "the process survived");
        until("the return is noticed", async || lines("Kafka is back") >= outage).await;
        assert_eq!((lines("Kafka is lost"), lines("Kafka is back")), (outage, outage), "{}", server.log());
        server.wait_ready().await;
        assert!(load.ledger.lock().await.unknown.is_empty(), "waiting appends finished");
        holds_together(&server, &topics, &load, &mut versions).await;
    }
    assert_eq!(server.terminate(), Some(0), "a clean stop");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_disk_is_rebuilt_from_the_topics_exactly() {
    let topics = KafkaServer::shared().topics("disk");
    let dir = tempfile::tempdir().expect("a folder");
    let (journal, older) = (dir.path().join("pipelines"), dir.path().join("older"));
    let load = Load::new("disk", 30, 6);
    let mut versions = Versions::default();
    let mut server = start(dir.path(), &topics).await;
    load.set_up(&server).await;
    let (follower, following) = follow(server.url.clone(), stream(&load));
    load.run(&server, 60).await;
    assert_eq!(server.terminate(), Some(0), "a clean stop");
    copy(&journal, &older);
    server.spawn_again(&[]);
    server.wait_ready().await;
    for loss in ["older", "none", "none, and killed while it is rebuilt"] {
        load.run(&server, 60).await;
        let before = holds_together(&server, &topics, &load, &mut versions).await;
        let pages = [page(&load), format!("{}&view=jury", page(&load)), format!("{}&division=even", page(&load))];
        let mut shown = Vec::new();
        for p in &pages {
            shown.push(server.get_json(p).await);
        }
        assert_eq!(server.terminate(), Some(0), "a clean stop");
        std::fs::remove_dir_all(&journal).expect("it was there");
        if loss == "older" {
            copy(&older, &journal);
        }
        if loss.contains("killed") {
            server.spawn_again(&[("GRAVITY_FAILPOINT", "commit.after_sync:20:kill")]);
            assert!(!server.ready_or_ended().await, "it is not ready before it has caught up");
        }
        server.spawn_again(&[("GRAVITY_PIPELINES__WORKERS", "3")]);
        server.wait_ready().await;
        for (p, shown) in pages.iter().zip(&shown) {
            let mut now = server.get_json(p).await;
            // The epoch is that at which this process first had the version.
            now["epoch"] = shown["epoch"].clone();
            let mut shown = shown.clone();
            shown["epoch"] = now["epoch"].clone();
            assert_eq!(now, shown, "{p} after the loss ({loss})");
        }
        let after = holds_together(&server, &topics, &load, &mut versions).await;
        assert_eq!(after.bindings, before.bindings, "nothing is published again ({loss})");
        assert_eq!(after.records, before.records, "nothing is published again ({loss})");
    }
    // The power fails under load and takes the disk with it: what was shown is in the topics.
    let clients = load.start(&server, 4, false);
    versions.watch(&mut server, &page(&load), Instant::now() + Duration::from_millis(700)).await;
    server.kill();
    clients.finish().await;
    std::fs::remove_dir_all(&journal).expect("it was there");
    server.spawn_again(&[]);
    server.wait_ready().await;
    holds_together(&server, &topics, &load, &mut versions).await;
    sees(&follower, &server.get_json(&page(&load)).await).await;
    following.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_the_older_one_stops_publishing_and_nothing_forks() {
    let topics = KafkaServer::shared().topics("fence");
    let (dir_a, dir_b) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let load = Load::new("fence", 30, 6);
    // Of both servers: a version shows the same wherever it is seen.
    let mut versions = Versions::default();
    let mut a = start(dir_a.path(), &topics).await;
    load.set_up(&a).await;
    load.run(&a, 30).await;
    let clients = load.start(&a, 2, true);
    let mut b = start(dir_b.path(), &topics).await;
    let more = load.start(&b, 2, true);
    let mut fenced = [false; 2];
    let page = page(&load);
    until("both have been fenced", async || {
        for (server, fenced) in [&a, &b].into_iter().zip(&mut fenced) {
            let status = pipeline(server).await;
            let reason = status["reason"].as_str().unwrap_or_default().to_owned();
            if reason.contains("newer process") {
                assert!(reason.contains("stop one of the two"), "{reason}");
                assert_ne!(status["state"], "running");
                *fenced = true;
            }
            let (code, text) = server.get(&page).await;
            if code == 200 {
                versions.check(&page, &serde_json::from_str(&text).expect("a page"));
            }
        }
        fenced == [true, true]
    })
    .await;
    assert!(!a.ended() && !b.ended(), "both processes live");
    // The remedy: stop one of the two.
    a.terminate();
    clients.finish().await;
    b.wait_ready().await;
    load.acknowledged_more(10).await;
    more.finish().await;
    let at_b = holds_together(&b, &topics, &load, &mut versions).await;
    assert_eq!(b.terminate(), Some(0), "a clean stop");
    // And the other one goes on where the one that was stopped has ended.
    a.spawn_again(&[]);
    a.wait_ready().await;
    let at_a = holds_together(&a, &topics, &load, &mut versions).await;
    assert!(at_a.last_epoch() >= at_b.last_epoch());
    load.run(&a, 30).await;
    holds_together(&a, &topics, &load, &mut versions).await;
}

/// Waits until the server says that it is not ready, for this reason, and says the same in its status.
async fn stopped_because(server: &Server, why: &[&str]) {
    until("the pipeline has stopped", async || {
        let Ok(answer) = support::http().get(format!("{}/readyz", server.url)).send().await else { return false };
        let (code, text) = (answer.status().as_u16(), answer.text().await.expect("text"));
        assert_eq!(code, 503, "{text}");
        let reason = pipeline(server).await["reason"].as_str().unwrap_or_default().to_owned();
        why.iter().all(|w| text.contains(w) && reason.contains(w))
    })
    .await;
    let live = support::http().get(format!("{}/livez", server.url)).send().await.expect("an answer");
    assert_eq!(live.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_kafka_has_dropped_stop_the_pipeline_and_reset_nothing() {
    let topics = KafkaServer::shared().topics("kept");
    let dir = tempfile::tempdir().expect("a folder");
    let (journal, aside) = (dir.path().join("pipelines"), dir.path().join("aside"));
    let load = Load::new("kept", 30, 6);
    let mut versions = Versions::default();
    let mut server = start(dir.path(), &topics).await;
    load.set_up(&server).await;
    load.run(&server, 40).await;
    let before = holds_together(&server, &topics, &load, &mut versions).await;
    // What is bound may go: the pipeline and its next start do without.
    topics.drop_records("gravity.submissions.v1").await;
    topics.drop_records("gravity.judgements.v1").await;
    load.run(&server, 20).await;
    load.settle(&server).await;
    server.terminate();
    server.spawn_again(&[]);
    server.wait_ready().await;
    load.settle(&server).await;
    let board = server.get_json(&page(&load)).await;
    server.terminate();
    let kept = out_topics(&topics);
    assert!(kept.last_epoch() > before.last_epoch());
    // Without a journal those records would be needed again.
    std::fs::rename(&journal, &aside).expect("it is there");
    server.spawn_again(&[]);
    stopped_because(&server, &["is gone", "restore from a backup"]).await;
    server.kill();
    let _ = std::fs::remove_dir_all(&journal);
    std::fs::rename(&aside, &journal).expect("it is there");
    server.spawn_again(&[]);
    server.wait_ready().await;
    assert_eq!(server.get_json(&page(&load)).await, board);
    server.terminate();
    // What is not bound may not go.
    for n in 1_000_000..1_000_020 {
        let records = load.attempt(n);
        topics.append("gravity.submissions.v1", format!("t/{n}").as_bytes(), &records[..1]);
    }
    topics.drop_records("gravity.submissions.v1").await;
    server.spawn_again(&[]);
    stopped_because(&server, &["gravity.submissions.v1", "is gone", "raise the retention"]).await;
    assert_eq!(out_topics(&topics).records, kept.records, "nothing was published");
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_group_of_the_pipeline_follows_its_bound() {
    let topics = KafkaServer::shared().topics("group");
    let dir = tempfile::tempdir().expect("a folder");
    let load = Load::new("group", 30, 6);
    let mut server = start(dir.path(), &topics).await;
    load.set_up(&server).await;
    let inputs = ["gravity.reference.v1", "gravity.submissions.v1", "gravity.judgements.v1"];
    for _ in 0..2 {
        load.run(&server, 20).await;
        load.settle(&server).await;
        let bound: Vec<((String, i32), Option<i64>)> = pipeline(&server).await["lag"]
            .as_array()
            .expect("lags")
            .iter()
            .map(|l| {
                assert_eq!(l["lag"], 0, "{l}");
                let at =
                    (l["topic"].as_str().expect("a topic").to_owned(), l["partition"].as_i64().expect("one") as i32);
                (at, l["bound"].as_i64())
            })
            .collect();
        assert_eq!(bound.len(), 5);
        until("the group has the bound", async || {
            let committed = tokio::task::block_in_place(|| topics.committed("boards", &inputs));
            committed.iter().all(|c| bound.contains(c))
        })
        .await;
    }
    // The lake's writer shows where it is after its first pass.
    let all = ["analytics", "boards", "burn", "labs", "lake", "similarity"];
    until("each pipeline has its group", async || tokio::task::block_in_place(|| topics.groups()) == all).await;
    assert_eq!(server.terminate(), Some(0), "a clean stop");
    assert_eq!(tokio::task::block_in_place(|| topics.groups()), all, "and there is no other");
}
