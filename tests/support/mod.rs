//! What the end-to-end tests share: the real binary in a folder of its own, and a client that remembers.
#![allow(dead_code)] // each test uses its part

pub mod contest;
pub mod environment;
pub mod watcher;

pub mod broker;
pub mod clients;
#[path = "../../ingest/tests/support/kafka_server.rs"]
pub mod kafka_server;
pub mod out_topics;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A client of a server under test. That reads no certificates, which takes longer than most requests here.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().tls_certs_only([]).build().expect("a client")
}

/// A server under test.
pub struct Server {
    pub dir: PathBuf,
    pub url: String,
    pub port: u16,
    child: Child,
    env: Vec<(String, String)>,
    /// Another binary than the one under test.
    binary: Option<PathBuf>,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has free ports").port()
}

/// The binary, with a client's environment.
pub fn gravity(dir: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gravity"));
    for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("GRAVITY_")) {
        command.env_remove(name);
    }
    command.env("GRAVITY_DATA_DIR", dir).env("GRAVITY_SERVER", url).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

impl Server {
    /// Starts `gravity up` on a folder and waits until it is ready.
    pub async fn start(dir: &Path, env: &[(&str, &str)]) -> Server {
        gravity_ingest::client::install_tls_provider();
        let port = free_port();
        let env: Vec<_> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let child = spawn(dir, port, &env, None);
        let (dir, url) = (dir.to_owned(), format!("http://127.0.0.1:{port}"));
        let mut server = Server { dir, url, port, child, env, binary: None };
        server.wait_ready().await;
        server
    }

    /// The same with a binary that was built elsewhere.
    #[allow(dead_code)] // not every test that takes this file in uses it
    pub async fn start_binary(binary: &Path, dir: &Path) -> Server {
        gravity_ingest::client::install_tls_provider();
        let port = free_port();
        let child = spawn(dir, port, &[], Some(binary));
        let (dir, url) = (dir.to_owned(), format!("http://127.0.0.1:{port}"));
        let mut server = Server { dir, url, port, child, env: Vec::new(), binary: Some(binary.to_owned()) };
        server.wait_ready().await;
        server
    }

    /// Starts it again on the same port, without waiting.
    pub fn spawn_again(&mut self, more: &[(&str, &str)]) {
        let mut env = self.env.clone();
        env.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        self.child = spawn(&self.dir, self.port, &env, self.binary.as_deref());
    }

    /// Waits until it is ready; false when it ended first.
    pub async fn ready_or_ended(&mut self) -> bool {
        self.starts(|_| false).await.is_ok()
    }

    /// Waits until it is ready. Err: what it said when it ended, or why it is not ready where that is what is waited for.
    pub async fn starts(&mut self, tells: impl Fn(&str) -> bool) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(60);
        let mut why = String::new();
        loop {
            if self.ended() {
                return Err(self.log());
            }
            if let Ok(answer) = http().get(format!("{}/readyz", self.url)).send().await {
                if answer.status().is_success() {
                    return Ok(());
                }
                why = answer.text().await.unwrap_or_default();
                if tells(&why) {
                    return Err(why);
                }
            }
            assert!(Instant::now() < until, "not ready after 60 s: {why}; its log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn wait_ready(&mut self) {
        assert!(self.ready_or_ended().await, "the server ended; its log:\n{}", self.log());
    }

    /// Whether the process has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_some()
    }

    /// SIGKILL, as at any instant.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; gives the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let status = self.child.wait().expect("it was started by us");
        if status.code().is_none() {
            eprintln!("the server ended by a signal: {status}\n{}", self.log());
        }
        status.code()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        let log = std::fs::read(self.dir.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(8_000)..]).into_owned()
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.dir.join("admin.token")).expect("the server writes its token")
    }

    /// Runs a client command and gives (exit code, stdout, stderr).
    pub fn cli(&self, args: &[&str]) -> (i32, String, String) {
        let out = gravity(&self.dir, &self.url).args(args).output().expect("the binary runs");
        (
            out.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&out.stdout).into(),
            String::from_utf8_lossy(&out.stderr).into(),
        )
    }

    /// The same, which must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        let (code, out, err) = self.cli(args);
        assert_eq!(code, 0, "{args:?}: {err}\nserver: {}", self.log());
        out
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let r = http().get(format!("{}{path}", self.url)).bearer_auth(self.token()).send().await.expect("an answer");
        (r.status().as_u16(), r.text().await.expect("text"))
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let (status, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Sends records until the server has taken all of them, each with one of these statuses; starts it again when it was
    /// killed.
    #[allow(dead_code)] // not every test that takes this file in uses it
    pub async fn deliver(&mut self, records: &[Vec<u8>], fine: &[&str]) {
        loop {
            if self.ended() {
                self.spawn_again(&[]);
            }
            if self.ready_or_ended().await
                && post(&self.url, &self.token(), records, true)
                    .await
                    .is_some_and(|told| told.iter().all(|t| fine.contains(&t.as_str())))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends records as a batch; gives the status of each.
    pub async fn send(&self, records: &[Vec<u8>], visible: bool) -> Vec<String> {
        let answer = post(&self.url, &self.token(), records, visible).await;
        answer.unwrap_or_else(|| panic!("the server does not answer as it should; its log:\n{}", self.log()))
    }
}

/// Sends records as a batch; None when the server did not answer (it may have been killed).
pub async fn post(url: &str, token: &str, records: &[Vec<u8>], visible: bool) -> Option<Vec<String>> {
    let body = [b"[".as_slice(), &records.join(&b","[..]), b"]"].concat();
    let path = if visible { "api/v1/records?wait=visible" } else { "api/v1/records" };
    let request = http()
        .post(format!("{url}/{path}"))
        .bearer_auth(token)
        .header("content-type", "application/cloudevents-batch+json");
    let answer: Value = request.body(body).send().await.ok()?.json().await.ok()?;
    let statuses = answer["results"]
        .as_array()?
        .iter()
        .map(|r| r["status"].as_str().unwrap_or("?").to_owned())
        .collect::<Vec<_>>();
    (statuses.len() == records.len()).then_some(statuses)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(dir: &Path, port: u16, env: &[(String, String)], binary: Option<&Path>) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("server.log")).expect("a log file");
    let mut command = match binary {
        Some(binary) => {
            let mut command = Command::new(binary);
            command.env("GRAVITY_DATA_DIR", dir).stdin(Stdio::null());
            command
        }
        None => gravity(dir, ""),
    };
    command.envs(env.iter().cloned()).args(["up", "--listen", &format!("127.0.0.1:{port}")]);
    command.stdout(log.try_clone().expect("a second handle")).stderr(log).spawn().expect("the binary starts")
}
