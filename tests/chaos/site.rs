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

use super::disk::{Disk, Keeps, compiled};
use super::faults::Fault;
use super::s3_server::S3Server;
use super::small_disk::SmallDisk;
use super::support::clients::Load;
use super::support::kafka_server::KafkaServer;
use super::support::watcher::{Follower, Versions, follow, sees};
use super::support::{Server, post};
use super::wire::Wire;

/// Long enough that a test which has to wait for it has failed.
const LONG: Duration = Duration::from_secs(240);
/// Usage that is sent at once.
const BATCH: u32 = 20;
const PAGE: &str = "/api/v1/events/chaos/board?limit=1000";
const STREAM: &str = "/api/v1/events/chaos/board/stream?limit=1000";

/// What a site stands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stands {
    /// On Kafka, over a wire that can be cut; otherwise on the embedded log.
    pub broker: bool,
    /// On an S3 server, over such a wire; otherwise the lake is in a folder.
    pub store: bool,
    /// On a disk that can lose its power.
    pub modelled_disk: bool,
    /// On a disk that can be full.
    pub small_disk: bool,
}

/// A server, its broker and its object store.
pub struct Site {
    /// As far as it can be had here.
    on: Stands,
    pub server: Server,
    kafka: Option<(KafkaServer, Wire)>,
    s3: Option<(S3Server, Wire)>,
    disk: Option<Disk>,
    small_disk: Option<SmallDisk>,
    load: Load,
    /// Batches of usage that were sent.
    batches: Arc<AtomicU32>,
    versions: Versions,
    follower: Arc<tokio::sync::Mutex<Follower>>,
    following: JoinHandle<()>,
    /// Says to the server's clock how far off it is.
    clock: PathBuf,
    /// Says how much longer each sync lasts, in milliseconds.
    slowness: PathBuf,
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
    pub async fn new(on: Stands) -> Site {
        let (dir, aside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (clock, slowness) = (aside.path().join("clock"), aside.path().join("slowness"));
        std::fs::write(&clock, "+0").expect("written");
        std::fs::write(&slowness, "0").expect("written");
        let kafka = on.broker.then(|| {
            let mut wire = None;
            let kafka = KafkaServer::start_behind(|to| Some(wire.insert(Wire::to(to)).port));
            (kafka, wire.expect("it was put in front"))
        });
        let s3 = on.store.then(|| {
            let s3 = S3Server::start();
            let wire = Wire::to(s3.port());
            (s3, wire)
        });
        let small_disk = on.small_disk.then(|| SmallDisk::mount(dir.path())).flatten();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("made");
        let disk = on.modelled_disk.then(|| Disk::new(&data, &aside.path().join("shadow")));
        let mut preload = vec![compiled("tests/chaos/slow_disk.c").display().to_string()];
        let mut env = vec![
            ("GRAVITY_PIPELINES__MERGE_BYTES", "20000".to_owned()),
            ("GRAVITY_PIPELINES__ROW_CAP", "64".to_owned()),
            ("GRAVITY_PIPELINES__SLICE_TEAMS", "4".to_owned()),
            ("GRAVITY_LAKE__INTERVAL_MS", "100".to_owned()),
            ("GRAVITY_LAKE__COMPACT_FILES", "8".to_owned()),
            ("GRAVITY_OBJECTS__TIMEOUT_S", "1".to_owned()),
            ("SLOW_DISK", slowness.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        if let Some((kafka, _)) = &kafka {
            env.extend(kafka.topics("chaos").env());
        }
        if let Some((s3, wire)) = &s3 {
            env.extend(s3.env());
            env.push(("GRAVITY_OBJECTS__ENDPOINT", format!("http://127.0.0.1:{}", wire.port)));
            env.push(("GRAVITY_OBJECTS__URL", "s3://lake/chaos".to_owned()));
        }
        if let Some(disk) = &disk {
            for (name, value) in disk.boot(true) {
                if name == "LD_PRELOAD" { preload.push(value) } else { env.push((name, value)) }
            }
        }
        preload.push(faketime());
        env.push(("LD_PRELOAD", preload.join(":")));
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Server::start(&data, &env).await;
        let load = Load::new("chaos", 40, 8).with_rules(25);
        load.set_up(&server).await;
        let (follower, following) = follow(server.url.clone(), STREAM.to_owned());
        let batches = Arc::default();
        let versions = Versions::default();
        let on = Stands { small_disk: small_disk.is_some(), ..on };
        Site {
            on,
            server,
            kafka,
            s3,
            disk,
            small_disk,
            load,
            batches,
            versions,
            follower,
            following,
            clock,
            slowness,
            aside,
            _dir: dir,
        }
    }

    /// What can happen here.
    pub fn any_fault(&self, random: &mut Dice) -> Fault {
        Fault::any(random, self.on)
    }

    /// Starts the server again, without waiting. All that it finds is on its disk.
    fn spawn(&mut self, more: &[(&str, &str)]) {
        self.disk.iter().for_each(|disk| drop(disk.boot(true)));
        self.server.spawn_again(more);
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
                self.spawn(&[]);
            }
            Fault::KillAt(point, passage) => {
                self.server.terminate();
                let passage = if point.starts_with("merge") { 1 } else { *passage };
                self.spawn(&[("GRAVITY_FAILPOINT", &format!("{point}:{passage}:kill"))]);
                let until = Instant::now() + LONG;
                while !self.server.ended() {
                    if Instant::now() > until {
                        return Err(format!("failpoint {point} was not reached"));
                    }
                    pause(5).await;
                }
                self.server.kill();
                self.spawn(&[]);
            }
            Fault::PowerLoss(keeps_some) => {
                self.server.kill();
                let disk = self.disk.as_ref().expect("its disk is modelled");
                disk.lose(if *keeps_some { Keeps::Some(random) } else { Keeps::Nothing });
                self.spawn(&[]);
            }
            Fault::DiskFull(ms) => {
                let disk = self.small_disk.as_ref().expect("its disk is small");
                disk.fill();
                pause(*ms).await;
                disk.make_room();
            }
            Fault::SlowDisk(longer_ms, ms) => {
                std::fs::write(&self.slowness, longer_ms.to_string()).expect("written");
                pause(*ms).await;
                std::fs::write(&self.slowness, "0").expect("written");
            }
            Fault::Stop(ms) => stand_still(self.server.pid(), *ms).await,
            Fault::BrokerKill(ms) => {
                let (kafka, _) = self.kafka.as_ref().expect("there is a broker");
                kafka.kill();
                pause(*ms).await;
                kafka.start_again();
            }
            Fault::StoreKill(ms) => {
                let (s3, _) = self.s3.as_ref().expect("there is a store");
                s3.kill();
                pause(*ms).await;
                s3.start_again();
            }
            Fault::StoreStop(ms) => stand_still(self.s3.as_ref().expect("there is a store").0.pid(), *ms).await,
            Fault::BrokerCut(cut, resets, ms) => {
                self.kafka.as_ref().expect("there is a broker").1.cut(*cut, *resets, *ms).await;
            }
            Fault::StoreCut(cut, resets, ms) => {
                self.s3.as_ref().expect("there is a store").1.cut(*cut, *resets, *ms).await;
            }
            Fault::Clock(s) => {
                std::fs::write(&self.clock, format!("{s:+}")).expect("written");
                // It is looked at once a second.
                pause(1_100).await;
            }
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
        self.spawn(&[]);
        let named = |told: &str| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let words = ["damaged", "records were lost", "was replaced by an older one", "is gone", "format"];
            told.contains(name) || words.iter().any(|word| told.contains(word))
        };
        let told = match self.server.starts(named).await {
            Ok(()) => {
                // Somebody who reads all of it finds it, or it is where nothing depends on it.
                let (code, _, err) = self.server.cli(&["verify"]);
                if code == 0 { None } else { Some(err) }
            }
            Err(told) => Some(told),
        };
        if let Some(told) = told.filter(|told| !named(told.as_str())) {
            return Err(format!("{} is damaged, and what is said does not tell: {told}", path.display()));
        }
        self.server.kill();
        std::fs::remove_dir_all(&data).expect("removed");
        copy(&kept, &data);
        std::fs::remove_dir_all(&kept).expect("removed");
        self.spawn(&[]);
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
