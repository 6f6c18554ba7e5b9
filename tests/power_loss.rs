//! Takes the power away from the real server under load, again and again, and compares with what was promised.
//!
//! A power loss is more than a kill: what was written but not synced is gone, or partly gone. The server runs on a disk
//! that is modelled by a preloaded layer (`power_loss/layer.c`). `GRAVITY_POWER_LOSSES=N` sets how often, 18 by default.

#[path = "power_loss/disk.rs"]
mod disk;
mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use disk::{Disk, Keeps};
use gravity_operators::harness::dice::Dice;
use rustix::process::{Pid, Signal, kill_process};
use support::Server;
use support::clients::Load;
use support::contest::reference;
use support::environment::{number, seed};
use support::watcher::{Versions, follow, sees};

const TEAMS: u32 = 40;
const PROBLEMS: u32 = 8;
const EVENT: &str = "power";
const PAGE: &str = "/api/v1/events/power/board?limit=1000";

/// Small epochs and bases, so that every step of a commit and of a merge happens often.
const SMALL: [(&str, &str); 2] = [("GRAVITY_PIPELINES__MERGE_BYTES", "20000"), ("GRAVITY_PIPELINES__ROW_CAP", "64")];

/// A server on a disk that can lose its power.
struct Site {
    server: Server,
    disk: Disk,
    sync: bool,
    load: Load,
    /// Attempts that were found to be there after the last loss.
    checked: BTreeSet<u32>,
    _dir: tempfile::TempDir,
}

impl Site {
    /// A site with an empty folder.
    async fn new(sync: bool) -> Site {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("data");
        let disk = Disk::new(&data, &dir.path().join("shadow"));
        // Started and stopped once for its port; then everything is made again on the modelled disk.
        let mut server = Server::start(&data, &SMALL).await;
        assert_eq!(server.terminate(), Some(0), "a clean stop");
        std::fs::remove_dir_all(&data).expect("it is there");
        std::fs::create_dir(&data).expect("it can be made again");
        Site { server, disk, sync, load: Load::new(EVENT, TEAMS, PROBLEMS), checked: BTreeSet::new(), _dir: dir }
    }

    /// Sets the contest up.
    async fn set_up(&self) {
        let statuses = self.server.send(&reference(EVENT, TEAMS, PROBLEMS), true).await;
        assert!(statuses.iter().all(|s| s == "counted"), "{statuses:?}");
    }

    /// Loads the server until some attempts more are acknowledged.
    async fn until_acknowledged(&mut self, more: usize) {
        let (goal, until) =
            (self.load.ledger.lock().await.acknowledged.len() + more, Instant::now() + Duration::from_secs(60));
        while self.load.ledger.lock().await.acknowledged.len() < goal {
            assert!(Instant::now() < until && !self.server.ended(), "its log:\n{}", self.server.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Power is back: starts the server, without waiting.
    fn boot(&mut self, workers: u64) {
        let (env, workers) = (self.disk.boot(self.sync), workers.to_string());
        let mut env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (*k, v.as_str())).collect();
        env.push(("GRAVITY_PIPELINES__WORKERS", &workers));
        self.server.spawn_again(&env);
    }

    /// The power goes.
    fn lose(&mut self, keeps: Keeps) -> disk::Lost {
        self.server.kill();
        self.disk.lose(keeps)
    }

    /// Sends again what was acknowledged (of that which was checked before, a sample of `again`) and then what was not.
    async fn check(&mut self, again: usize, random: &mut Dice) -> Result<(), String> {
        let ledger = self.load.ledger.lock().await.clone();
        let old: Vec<u32> = self.checked.iter().copied().collect();
        let mut promised: BTreeSet<u32> = ledger.acknowledged.difference(&self.checked).copied().collect();
        if again >= old.len() {
            promised.extend(&old);
        } else {
            promised.extend((0..again).map(|_| random.pick(&old)));
        }
        let promised: Vec<u32> = promised.into_iter().collect();
        let attempts = promised.chunks(100).map(|part| part.iter().flat_map(|n| self.load.attempt(*n)).collect());
        for records in std::iter::once(reference(EVENT, TEAMS, PROBLEMS)).chain(attempts) {
            let statuses = self.server.send(&records, true).await;
            let lost: Vec<_> = statuses.iter().filter(|s| *s != "duplicate").collect();
            if !lost.is_empty() {
                return Err(format!("{} of {} acknowledged records are gone: {lost:?}", lost.len(), records.len()));
            }
        }
        self.checked.extend(&promised);
        for n in ledger.unknown {
            let statuses = self.server.send(&self.load.attempt(n), true).await;
            if !statuses.iter().all(|s| s == "counted" || s == "duplicate") {
                return Err(format!("attempt {n} is not taken: {statuses:?}"));
            }
            self.load.acknowledge(n).await;
        }
        let (code, _, err) = self.server.cli(&["verify"]);
        if code == 0 { Ok(()) } else { Err(format!("verify: {err}")) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_loss_takes_nothing_that_was_acknowledged() {
    let losses = number("GRAVITY_POWER_LOSSES").unwrap_or(18);
    let mut random = Dice::new(seed());
    let mut site = Site::new(true).await;
    let stream = format!("/api/v1/events/{EVENT}/board/stream?limit=1000");
    let (follower, following) = follow(site.server.url.clone(), stream);
    let mut versions = Versions::default();
    let (mut lost_names, mut lost_files) = (0, 0);
    // The power goes while everything is made for the first time.
    for _ in 0..4 {
        site.boot(1);
        tokio::time::sleep(Duration::from_millis(random.below(80))).await;
        let lost = site.lose(if random.below(2) == 0 { Keeps::Nothing } else { Keeps::Some(&mut random) });
        eprintln!("first start: {lost:?}");
        lost_names += lost.names;
    }
    site.boot(1);
    site.server.wait_ready().await;
    site.set_up().await;
    for loss in 0..losses {
        let moment = ["under load", "under load", "at the start", "under load", "at the stop"][(loss % 5) as usize];
        if moment == "at the start" {
            tokio::time::sleep(Duration::from_millis(random.below(400))).await;
        } else {
            site.server.wait_ready().await;
            let clients = site.load.start(&site.server, 4, false);
            for _ in 0..1 + random.below(6) {
                site.until_acknowledged(1 + random.below(20) as usize).await;
                versions.check(PAGE, &site.server.get_json(PAGE).await);
            }
            tokio::time::sleep(Duration::from_millis(random.below(30))).await;
            if moment == "at the stop" {
                let pid = Pid::from_raw(site.server.pid() as i32).expect("a process");
                kill_process(pid, Signal::TERM).expect("it runs");
                tokio::time::sleep(Duration::from_millis(random.below(150))).await;
            }
            site.server.kill();
            clients.finish().await;
        }
        let keeps = if loss % 2 == 0 { Keeps::Nothing } else { Keeps::Some(&mut random) };
        let kept = if loss % 2 == 0 { "nothing" } else { "a part" };
        let lost = site.lose(keeps);
        (lost_names, lost_files) = (lost_names + lost.names, lost_files + lost.files);
        site.boot(1 + random.below(3));
        site.server.wait_ready().await;
        let board = site.server.get_json(PAGE).await;
        versions.check(PAGE, &board);
        assert!(board["version"].as_u64() >= versions.newest(PAGE), "loss {loss}: a version that was seen is gone");
        // The last time, all that was ever promised.
        let again = if loss + 1 == losses { usize::MAX } else { 100 };
        if let Err(what) = site.check(again, &mut random).await {
            panic!("loss {loss} {moment}, {kept} kept: {what}; the log:\n{}", site.server.log());
        }
        eprintln!(
            "loss {loss:3} {moment:12} {kept:7} {lost:?}, {} attempts, version {}",
            site.checked.len(),
            board["version"]
        );
    }
    assert!(lost_files > 0 && lost_names > 0, "there was nothing to lose: the layer is not in use");
    // The spectator who was cut off at every loss has the board of one who never was.
    let board = site.server.get_json(PAGE).await;
    sees(&follower, &board).await;
    following.abort();
    assert_eq!(site.server.terminate(), Some(0), "a clean stop");
}

/// Records that only the pipeline can refuse, of almost a megabyte: their bytes go into the journal.
fn bulky(from: u32, count: u32) -> Vec<Vec<u8>> {
    let extra = format!("\"data\":{{\"extra\":\"{}\",", "x".repeat(900_000));
    let of_thief = |n| {
        let record = String::from_utf8(reference(EVENT, 1, 1).swap_remove(3)).expect("text");
        let record = record.replacen("\"tenant\":\"t\"", "\"tenant\":\"thief\"", 1).replacen("\"data\":{", &extra, 1);
        record.replacen("\"id\":\"", &format!("\"id\":\"bulky{n}-"), 1).into_bytes()
    };
    (from..from + count).map(of_thief).collect()
}

/// Frames are dropped once a base holds what they held. After a loss there must not be neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_are_not_dropped_before_their_base_is_durable() {
    let mut random = Dice::new(1);
    let mut site = Site::new(true).await;
    site.boot(1);
    site.server.wait_ready().await;
    site.set_up().await;
    for n in 0..50 {
        site.server.send(&site.load.attempt(n), true).await;
        site.load.acknowledge(n).await;
    }
    // Enough for several files of frames, so that the first ones go.
    let frames = site.server.dir.join("pipelines/boards/frames/00000000000000000001.seg");
    assert!(frames.exists(), "the journal begins here");
    let mut n = 0;
    while frames.exists() || n < 120 {
        assert!(n < 400, "no frames are ever dropped");
        let statuses = site.server.send(&bulky(n, 10), true).await;
        assert!(statuses.iter().all(|s| s == "refused"), "{statuses:?}");
        n += 10;
    }
    let lost = site.lose(Keeps::Nothing);
    site.boot(1);
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(!site.server.ended(), "it does not start; its log:\n{}", site.server.log());
        let answer = support::http().get(format!("{}/readyz", site.server.url)).send().await;
        let Ok(answer) = answer else { continue };
        if answer.status().is_success() {
            break;
        }
        let why = answer.text().await.unwrap_or_default();
        assert!(Instant::now() < until, "{lost:?}: it does not become ready: {why}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if let Err(what) = site.check(usize::MAX, &mut random).await {
        panic!("{lost:?}: {what}; the log:\n{}", site.server.log());
    }
}

/// Loses power up to `losses` times under load on a disk where fsync does nothing; gives what was found broken, if it was.
async fn broken_without_fsync(losses: u32, mut keeps_some: Option<Dice>) -> Option<String> {
    let mut random = Dice::new(1);
    let mut site = Site::new(false).await;
    site.server.spawn_again(&[]);
    site.server.wait_ready().await;
    site.set_up().await;
    assert_eq!(site.server.terminate(), Some(0), "a clean stop");
    site.boot(1);
    for _ in 0..losses {
        site.server.wait_ready().await;
        let clients = site.load.start(&site.server, 4, false);
        site.until_acknowledged(20).await;
        site.server.kill();
        clients.finish().await;
        site.lose(keeps_some.as_mut().map_or(Keeps::Nothing, Keeps::Some));
        site.boot(1);
        if !site.server.ready_or_ended().await {
            return Some(format!("it does not start: {}", site.server.log()));
        }
        if let Err(what) = site.check(usize::MAX, &mut random).await {
            return Some(what);
        }
    }
    None
}

/// The counter-proof: on the same disk a server whose fsync does nothing is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_fsync_a_power_loss_is_found_to_take_acknowledged_records() {
    let found =
        broken_without_fsync(2, None).await.expect("with nothing kept, the first losses take what was promised");
    assert!(found.contains("acknowledged records are gone"), "{found}");
    // Where a disk keeps a random part, a loss may happen to take nothing; not every time.
    let found = broken_without_fsync(10, Some(Dice::new(seed()))).await;
    eprintln!("with a part kept: {}", found.expect("one of ten losses takes something"));
}

/// The layer itself: what is synced stays, what is not goes.
#[test]
fn the_layer_loses_exactly_what_was_not_synced() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("root");
    let disk = Disk::new(&root, &dir.path().join("shadow"));
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).expect("a file");
    for name in ["appended", "synced", "cut", "replaced", "removed", "renamed"] {
        write(name, "old");
    }
    let script = r#"set -e
        printf ' new' >> appended
        printf ' new' >> synced; sync -d synced; printf ' newer' >> synced
        : > cut
        printf new > replaced.tmp; sync replaced.tmp; mv replaced.tmp replaced
        mkdir folder; sync .
        printf x > folder/unsynced-name; sync folder/unsynced-name
        printf x > unsynced-file; printf x > synced-file; sync synced-file .
        mkdir unsynced-folder; mv renamed renamed-to; rm removed"#;
    let env = disk.boot(true);
    let out = Command::new("sh").args(["-c", script]).current_dir(&root).envs(env).output().expect("a shell");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lost = disk.lose(Keeps::Nothing);
    let mut found: Vec<(String, String)> = std::fs::read_dir(&root)
        .expect("the folder")
        .map(|e| e.expect("an entry"))
        .map(|e| (e.file_name().into_string().expect("text"), std::fs::read_to_string(e.path()).unwrap_or_default()))
        .collect();
    found.sort();
    let expected = [
        ("appended", "old"),
        ("cut", "old"),
        ("folder", ""),
        ("removed", "old"),
        ("renamed", "old"),
        ("replaced", "new"),
        ("synced", "old new"),
        ("synced-file", "x"),
        ("unsynced-file", ""),
    ];
    assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(std::fs::read_dir(root.join("folder")).expect("a folder").count(), 0);
    // appended, cut, synced, unsynced-file; and removed, renamed, renamed-to, unsynced-folder, folder/unsynced-name.
    assert_eq!((lost.files, lost.names), (4, 5));
}
