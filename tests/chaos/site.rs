//! A server with what it stands on, and clients at work: what faults happen to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gravity_events::body::UsageTokens;
use gravity_events::{Body, Record};
use gravity_operators::harness::dice::Dice;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;

use super::faults::Fault;
use super::s3_server::S3Server;
use super::support::clients::Load;
use super::support::kafka_server::KafkaServer;
use super::support::watcher::{Follower, Versions, follow, sees};
use super::support::{Server, post};

/// Long enough that a test which has to wait for it has failed.
const LONG: Duration = Duration::from_secs(240);
/// Usage that is sent at once.
const BATCH: u32 = 20;
const PAGE: &str = "/api/v1/events/chaos/board?limit=1000";
const STREAM: &str = "/api/v1/events/chaos/board/stream?limit=1000";

/// A server, its broker and its object store.
pub struct Site {
    pub server: Server,
    kafka: Option<KafkaServer>,
    s3: Option<S3Server>,
    load: Load,
    /// Batches of usage that were sent.
    batches: Arc<AtomicU32>,
    versions: Versions,
    follower: Arc<tokio::sync::Mutex<Follower>>,
    following: JoinHandle<()>,
    /// Says to the server's clock how far off it is.
    clock: PathBuf,
    /// Beside the server's folder.
    aside: tempfile::TempDir,
    _dir: tempfile::TempDir,
}

/// The library by which a process's clock is another than the machine's.
fn faketime() -> String {
    let found = Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1"]).output().expect("sh runs");
    let path = String::from_utf8_lossy(&found.stdout).lines().next().unwrap_or_default().to_owned();
    assert!(!path.is_empty(), "libfaketime is not there: scripts/setup test installs it");
    path
}

fn usage(batch: u32) -> Vec<Vec<u8>> {
    let record = |n: u32| {
        let body = UsageTokens { model: "m".into(), input_tokens: 1, output_tokens: 2, ..UsageTokens::default() };
        gravity_events::codec::encode(&Record {
            id: format!("u{n}").into(),
            source: "/chaos".into(),
            tenant: "uni".into(),
            event: None,
            subject: None,
            time_ms: Some(1_780_000_000_000 + i64::from(n) * 1_000),
            backfill: true,
            body: Body::UsageTokens(body),
        })
    };
    (batch * BATCH..(batch + 1) * BATCH).map(record).collect()
}

impl Site {
    /// A site with an empty folder.
    pub async fn new(has_broker: bool, has_store: bool) -> Site {
        let (dir, aside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let clock = aside.path().join("clock");
        std::fs::write(&clock, "+0").expect("written");
        let kafka = has_broker.then(KafkaServer::start);
        let s3 = has_store.then(S3Server::start);
        let mut env = vec![
            ("GRAVITY_PIPELINES__MERGE_BYTES", "20000".to_owned()),
            ("GRAVITY_PIPELINES__ROW_CAP", "64".to_owned()),
            ("GRAVITY_PIPELINES__SLICE_TEAMS", "4".to_owned()),
            ("GRAVITY_LAKE__INTERVAL_MS", "100".to_owned()),
            ("GRAVITY_LAKE__COMPACT_FILES", "8".to_owned()),
            ("GRAVITY_OBJECTS__TIMEOUT_S", "1".to_owned()),
            ("LD_PRELOAD", faketime()),
            ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        if let Some(kafka) = &kafka {
            env.extend(kafka.topics("chaos").env());
        }
        if let Some(s3) = &s3 {
            env.extend(s3.env());
            env.push(("GRAVITY_OBJECTS__URL", "s3://lake/chaos".to_owned()));
        }
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("made");
        let server = Server::start(&data, &env).await;
        let load = Load::new("chaos", 40, 8).with_rules(25);
        load.set_up(&server).await;
        let (follower, following) = follow(server.url.clone(), STREAM.to_owned());
        let batches = Arc::default();
        let versions = Versions::default();
        Site { server, kafka, s3, load, batches, versions, follower, following, clock, aside, _dir: dir }
    }

    /// What can happen here.
    pub fn any_fault(&self, random: &mut Dice) -> Fault {
        Fault::any(random, self.kafka.is_some(), self.s3.is_some())
    }

    /// One fault under load; afterwards all is as if it had not been. Err: what is not.
    pub async fn suffer(&mut self, fault: &Fault, random: &mut Dice) -> Result<(), String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (clients, using) = (self.load.start(&self.server, 2, true), self.use_models(stop.clone()));
        tokio::time::sleep(Duration::from_millis(20 + random.below(300))).await;
        // What is taken on damaged files goes with them.
        let goes_on = !matches!(fault, Fault::BitFlip | Fault::Torn);
        if goes_on {
            self.inject(fault, random).await?;
            // Clients that were cut off are answered again.
            self.load.acknowledged_more(5).await;
        }
        stop.store(true, Ordering::Release);
        clients.finish().await;
        using.await.expect("it survives");
        if !goes_on {
            self.inject(fault, random).await?;
            self.load.run(&self.server, 5).await;
        }
        self.check().await
    }

    /// Sends usage until it is told to stop, each batch until it is taken.
    fn use_models(&self, stop: Arc<AtomicBool>) -> JoinHandle<()> {
        let (batches, url, token) = (self.batches.clone(), self.server.url.clone(), self.server.token());
        tokio::spawn(async move {
            while !stop.load(Ordering::Acquire) {
                let batch = usage(batches.fetch_add(1, Ordering::Relaxed));
                let until = Instant::now() + LONG;
                while post(&url, &token, &batch, false).await.is_none_or(|told| told.iter().any(|t| t != "accepted")) {
                    assert!(Instant::now() < until, "a batch was not taken in {LONG:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        })
    }

    async fn inject(&mut self, fault: &Fault, random: &mut Dice) -> Result<(), String> {
        let pause = |ms: u64| tokio::time::sleep(Duration::from_millis(ms));
        let stand_still = async |pid: u32, ms: u64| {
            let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
            kill_process(pid, Signal::STOP).expect("it is ours");
            pause(ms).await;
            kill_process(pid, Signal::CONT).expect("it is ours");
        };
        match fault {
            Fault::Kill => {
                self.server.kill();
                self.server.spawn_again(&[]);
            }
            Fault::KillAt(point, passage) => {
                self.server.terminate();
                let passage = if point.starts_with("merge") { 1 } else { *passage };
                self.server.spawn_again(&[("GRAVITY_FAILPOINT", &format!("{point}:{passage}:kill"))]);
                let until = Instant::now() + LONG;
                while !self.server.ended() {
                    if Instant::now() > until {
                        return Err(format!("failpoint {point} was not reached"));
                    }
                    pause(5).await;
                }
                self.server.kill();
                self.server.spawn_again(&[]);
            }
            Fault::Stop(ms) => stand_still(self.server.pid(), *ms).await,
            Fault::BrokerKill(ms) => {
                let kafka = self.kafka.as_ref().expect("there is a broker");
                kafka.kill();
                pause(*ms).await;
                kafka.start_again();
            }
            Fault::StoreKill(ms) => {
                let s3 = self.s3.as_ref().expect("there is a store");
                s3.kill();
                pause(*ms).await;
                s3.start_again();
            }
            Fault::StoreStop(ms) => stand_still(self.s3.as_ref().expect("there is a store").pid(), *ms).await,
            Fault::Clock(s) => std::fs::write(&self.clock, format!("{s:+}")).expect("written"),
            Fault::BitFlip | Fault::Torn => self.damage(fault, random).await?,
        }
        self.server.wait_ready().await;
        Ok(())
    }

    /// The server either says which file is not as it was written, or what it shows is right. Then it has its files back.
    async fn damage(&mut self, fault: &Fault, random: &mut Dice) -> Result<(), String> {
        self.server.kill();
        // Nobody watches: what is shown on damaged files was never there when they are back.
        self.following.abort();
        let (data, kept) = (self.server.dir.clone(), self.aside.path().join("kept"));
        copy(&data, &kept);
        let files = files(&[data.join("log"), data.join("pipelines")]);
        let path = random.pick(&files).clone();
        let mut bytes = std::fs::read(&path).expect("a file");
        if *fault == Fault::BitFlip {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        } else if random.chance(50) {
            bytes.truncate(bytes.len() - 1 - random.below(bytes.len().min(4_096) as u64) as usize);
        } else {
            bytes.extend((0..1 + random.below(100)).map(|_| random.any() as u8));
        }
        std::fs::write(&path, bytes).expect("written");
        self.server.spawn_again(&[]);
        let told = if self.server.ready_or_ended().await {
            // Somebody who reads all of it finds it, or it is where nothing depends on it.
            let (code, _, err) = self.server.cli(&["verify"]);
            if code == 0 { None } else { Some(err) }
        } else {
            Some(self.server.log())
        };
        let named = |told: &String| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let words = ["damaged", "records were lost", "was replaced by an older one", "is gone", "format"];
            told.contains(name) || words.iter().any(|word| told.contains(word))
        };
        if let Some(told) = told.filter(|told| !named(told)) {
            return Err(format!("{} is damaged, and what is said does not tell: {told}", path.display()));
        }
        self.server.kill();
        std::fs::remove_dir_all(&data).expect("removed");
        copy(&kept, &data);
        std::fs::remove_dir_all(&kept).expect("removed");
        self.server.spawn_again(&[]);
        (self.follower, self.following) = follow(self.server.url.clone(), STREAM.to_owned());
        Ok(())
    }

    /// What was acknowledged is there, once; what is shown never went back; all of it is what the log says.
    async fn check(&mut self) -> Result<(), String> {
        let board = self.server.get_json(PAGE).await;
        self.versions.check(PAGE, &board);
        if board["version"].as_u64() < self.versions.newest(PAGE) {
            return Err(format!("version {} is shown, and {:?} was", board["version"], self.versions.newest(PAGE)));
        }
        self.load.settle(&self.server).await;
        let (code, _, err) = self.server.cli(&["verify"]);
        if code != 0 {
            return Err(format!("verify: {err}"));
        }
        sees(&self.follower, &self.server.get_json(PAGE).await).await;
        let wanted = self.batches.load(Ordering::Relaxed) * BATCH;
        let sql = "select count(*) as n, count(distinct id) as ids, sum(output_tokens) as tokens from lake.usage where tenant = 'uni'";
        let until = Instant::now() + LONG;
        loop {
            let (_, rows, err) = self.server.cli(&["sql", sql, "--format", "json"]);
            let rows: serde_json::Value = serde_json::from_str(&rows).unwrap_or_default();
            let (n, ids) = (rows[0]["n"].as_u64().unwrap_or(0), rows[0]["ids"].as_u64().unwrap_or(0));
            if (n, ids) == (wanted.into(), wanted.into()) {
                return Ok(());
            }
            // It may be behind, and never ahead.
            if n > wanted.into() || n != ids || Instant::now() > until {
                return Err(format!(
                    "the lake has {n} rows of usage, {ids} of them different; {wanted} were sent: {err}"
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A clean end.
    pub async fn end(mut self) {
        self.following.abort();
        assert_eq!(self.server.terminate(), Some(0), "a clean stop; its log:\n{}", self.server.log());
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-a", "--"]).args([from, to]).status().expect("cp runs");
    assert!(done.success(), "{} could not be copied", from.display());
}

/// All files below these folders that are not empty.
fn files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let (mut left, mut files) = (folders.to_vec(), Vec::new());
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => left.push(entry.path()),
                Ok(found) if found.len() > 0 => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}
