//! The real server, in a process and folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use gravity_events::Topic;
use serde::Deserialize;

use crate::contest::Contest;
use crate::http::Client;
use crate::log::{Fill, TOPICS};
use crate::usage::cpu_s_of;
use crate::{Run, part};

/// A running server.
pub struct Server {
    /// `127.0.0.1:PORT`.
    pub address: String,
    dir: PathBuf,
    child: Child,
    /// When it was started.
    pub started: Instant,
}

/// `/api/v1/ops/status`, as far as it is used.
#[derive(Deserialize)]
struct Status {
    pipelines: Vec<Pipeline>,
}

#[derive(Deserialize)]
struct Pipeline {
    lag: Vec<Lag>,
}

#[derive(Deserialize)]
struct Lag {
    topic: String,
    bound: u64,
    lag: u64,
}

impl Server {
    /// Starts `gravity up` on a folder.
    pub fn spawn(bin: &Path, dir: &Path) -> anyhow::Result<Server> {
        ensure!(bin.exists(), "there is no {}: build it with `cargo build --release --bin gravity`", bin.display());
        std::fs::create_dir_all(dir)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = std::fs::File::options().create(true).append(true).open(dir.join("server.log"))?;
        let mut command = Command::new(bin);
        for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("GRAVITY_")) {
            command.env_remove(name);
        }
        let address = format!("127.0.0.1:{port}");
        let started = Instant::now();
        let child = command
            .env("GRAVITY_DATA_DIR", dir)
            .args(["up", "--listen", &address])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", bin.display()))?;
        Ok(Server { address, dir: dir.into(), child, started })
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) -> anyhow::Result<Duration> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended: {status}, see its log:\n{}", self.log());
            }
            if let Ok(mut client) = Client::connect(&self.address, "").await
                && let Ok((200, _)) = client.get("/readyz").await
            {
                return Ok(self.started.elapsed());
            }
            ensure!(self.started.elapsed() < Duration::from_secs(300), "not ready after 300 s:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.dir.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(3_000)..]).into_owned()
    }

    /// The token of its administrator.
    pub fn token(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.dir.join("admin.token"))?.trim().to_owned())
    }

    /// A connection with that token.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.address, &self.token()?).await
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds that it has used.
    pub fn cpu_s(&self) -> f64 {
        cpu_s_of(self.pid())
    }

    /// Waits until it has used next to no CPU for a while.
    pub async fn idle(&self) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        let mut used_s = self.cpu_s();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now_s = self.cpu_s();
            if now_s - used_s < 0.02 {
                return Ok(());
            }
            ensure!(Instant::now() < until, "the server is still busy after 60 s");
            used_s = now_s;
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}:\n{}", self.log());
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many input records no epoch has yet.
pub async fn lag(client: &mut Client) -> anyhow::Result<u64> {
    Ok(status(client).await?.pipelines.iter().flat_map(|p| &p.lag).map(|l| l.lag).sum())
}

/// How many records of a topic have their epoch, in each pipeline that reads it.
pub async fn bound(client: &mut Client, topic: Topic) -> anyhow::Result<u64> {
    let of_pipeline = |pipeline: Pipeline| {
        let of_topic = pipeline.lag.into_iter().filter(|l| l.topic == topic.name()).map(|l| l.bound);
        of_topic.reduce(|a, b| a + b)
    };
    Ok(status(client).await?.pipelines.into_iter().filter_map(of_pipeline).min().unwrap_or(0))
}

/// Waits until every record has its epoch.
pub async fn drained(client: &mut Client, at_most: Duration) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut told = Instant::now();
    loop {
        let lag = lag(client).await?;
        if lag == 0 && bound(client, TOPICS[1]).await? > 0 {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < at_most, "{lag} records behind after {at_most:?}");
        if told.elapsed() > Duration::from_secs(10) {
            crate::say(format!("{lag} records to go"));
            told = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn status(client: &mut Client) -> anyhow::Result<Status> {
    let (code, body) = client.get("/api/v1/ops/status").await?;
    ensure!(code == 200, "status answers {code}: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}

/// A contest is on the board, with all its teams and nothing judged: the server, and a client of it.
pub async fn with_contest(run: &Run, contest: &Contest) -> anyhow::Result<(Server, Client)> {
    let dir = run.dir.join("data");
    let fill = Fill { dir: dir.join("log"), contest: contest.clone(), reference: true, records: 0, rejudges: 0 };
    part::call::<u64>("fill", &fill)?;
    let mut server = Server::spawn(&run.bin, &dir)?;
    server.ready().await?;
    let mut client = server.client().await?;
    while lag(&mut client).await? > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((server, client))
}
