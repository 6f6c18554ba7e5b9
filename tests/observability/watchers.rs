//! A real Prometheus and a real Alertmanager, with the configuration that we ship; only addresses, secrets and patience are
//! of the test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use super::support::{free_port, http};

/// What we ship.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/observability")
}

/// The folder of programs that `scripts/setup watchers` made.
pub fn programs() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(made);
    &MADE
}

fn made() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let command = format!("{0}/setup watchers && . {0}/parts.sh && watchers_home", script.display());
    let made = Command::new("bash").args(["-c", &command]).output().expect("bash runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Path::new(String::from_utf8_lossy(&made.stdout).trim()).join("bin")
}

/// Runs one of them to its end, which must be a good one.
pub fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(programs().join(program)).args(args).current_dir(shipped()).output().expect("it runs");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}:\n{said}");
    said
}

fn shipped_text(name: &str) -> String {
    std::fs::read_to_string(shipped().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The text with another in the place of one that must be there.
fn with(text: &str, was: &str, is: &str) -> String {
    assert!(text.contains(was), "`{was}` is not there any more");
    text.replace(was, is)
}

/// Both, for a server's metrics.
pub struct Watchers {
    prometheus: Child,
    alertmanager: Child,
    url: String,
    dir: PathBuf,
}

impl Watchers {
    /// Prometheus scrapes `metrics`; alerts go to a pager and a mail relay.
    pub fn start(dir: &Path, metrics: &str, pager: SocketAddr, mail: SocketAddr) -> Watchers {
        let (port, alerts_port) = (free_port(), free_port());
        std::fs::create_dir_all(dir.join("rules")).expect("made");
        for name in ["rules/slo.yml", "rules/alerts.yml"] {
            let text = shipped_text(name).replace("for: 1m\n", "for: 1s\n").replace("for: 5m\n", "for: 1s\n");
            std::fs::write(dir.join(name), text).expect("written");
        }
        let prometheus = with(&shipped_text("prometheus.yml"), "127.0.0.1:9464", metrics);
        let prometheus = with(&prometheus, "127.0.0.1:9093", &format!("127.0.0.1:{alerts_port}"));
        let prometheus = with(&prometheus, "scrape_interval: 5s", "scrape_interval: 1s");
        let prometheus = with(&prometheus, "evaluation_interval: 15s", "evaluation_interval: 1s");
        std::fs::write(dir.join("prometheus.yml"), prometheus).expect("written");
        std::fs::write(dir.join("pagerduty.key"), "a-key").expect("written");
        let key = dir.join("pagerduty.key").display().to_string();
        let alertmanager = with(&shipped_text("alertmanager.yml"), "/etc/alertmanager/pagerduty.key", &key);
        let alertmanager = with(&alertmanager, "https://events.pagerduty.com", &format!("http://{pager}"));
        let alertmanager = with(&alertmanager, "mail.example.org:587", &mail.to_string());
        let alertmanager = with(&alertmanager, "smtp_require_tls: true", "smtp_require_tls: false");
        let alertmanager = with(&alertmanager, "group_wait: 10s", "group_wait: 1s");
        let alertmanager = with(&alertmanager, "group_interval: 2m", "group_interval: 1s");
        // The relay asks nobody who they are.
        let lines = alertmanager.lines().filter(|line| !line.contains("smtp_auth_"));
        std::fs::write(dir.join("alertmanager.yml"), lines.collect::<Vec<_>>().join("\n")).expect("written");
        Watchers {
            alertmanager: spawn(
                dir,
                "alertmanager",
                &[&format!("--web.listen-address=127.0.0.1:{alerts_port}"), "--cluster.listen-address="],
            ),
            prometheus: spawn(
                dir,
                "prometheus",
                &[&format!("--web.listen-address=127.0.0.1:{port}"), "--rules.alert.resend-delay=2s"],
            ),
            url: format!("http://127.0.0.1:{port}"),
            dir: dir.to_owned(),
        }
    }

    /// The end of what they logged.
    pub fn said(&self) -> String {
        let log = |name: &str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        let said = log("prometheus.log") + &log("alertmanager.log");
        said.lines().filter(|line| !line.contains("level=info")).collect::<Vec<_>>().join("\n")
    }

    /// What a query gives now: its samples, or why it gives none.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let request = http().get(format!("{}/api/v1/query", self.url)).query(&[("query", query)]);
        let answer: Value = match request.send().await {
            Ok(answer) => answer.json().await.map_err(|e| e.to_string())?,
            Err(e) => return Err(e.to_string()),
        };
        match answer["data"]["result"].as_array() {
            Some(samples) => Ok(samples.clone()),
            None => Err(answer["error"].to_string()),
        }
    }
}

fn spawn(dir: &Path, program: &str, args: &[&str]) -> Child {
    let log = std::fs::File::create(dir.join(format!("{program}.log"))).expect("a log file");
    let storage = if program == "prometheus" { "--storage.tsdb.path" } else { "--storage.path" };
    Command::new(programs().join(program))
        .arg(format!("--config.file={}", dir.join(format!("{program}.yml")).display()))
        .arg(format!("{storage}={}", dir.join(format!("{program}-data")).display()))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("it starts")
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for child in [&mut self.prometheus, &mut self.alertmanager] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
