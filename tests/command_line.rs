//! The command line: what goes where, which exit code, and what people are told.

mod support;

use support::{Server, gravity};

#[test]
fn usage_errors_exit_2_and_a_lost_server_exits_1() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = gravity(dir.path(), "http://127.0.0.1:9").args(["board"]).output().expect("runs");
    assert_eq!(out.status.code(), Some(2));
    assert!(out.stdout.is_empty());
    let out = gravity(dir.path(), "ftp://nowhere").args(["board", "e"]).output().expect("runs");
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("http"), "{out:?}");
    let out = gravity(dir.path(), "").args(["run", "--role", "api"]).output().expect("runs");
    assert!(String::from_utf8_lossy(&out.stderr).contains("--role boards,api"), "{out:?}");
    let out = gravity(dir.path(), "").env("GRAVITY_LOG__KIN", "x").args(["up"]).output().expect("runs");
    assert!(String::from_utf8_lossy(&out.stderr).contains("did you mean `log.kind`"), "{out:?}");
}

#[test]
fn a_server_that_waits_for_its_broker_ends_when_asked() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = gravity(dir.path(), "")
        .env("GRAVITY_LOG__KIND", "kafka")
        // Nobody listens there.
        .env("GRAVITY_LOG__BROKERS", "127.0.0.1:1")
        .args(["up", "--listen", "127.0.0.1:0"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map(|l| l.expect("text"));
    assert!(lines.any(|l| l.contains("waiting for it")), "it says what it waits for");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("runs").success());
    assert!(lines.any(|l| l.contains("stopped before it had started")));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_output_ends_a_command_without_a_trace() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]).await;
    let status = |to: std::fs::File| {
        let mut command = gravity(dir.path(), &server.url);
        command.args(["status", "--format", "json"]).stdout(to).output().expect("runs")
    };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let out = status(std::os::fd::OwnedFd::from(writer).into());
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(1), ""));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("there is one");
    let out = status(full);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    assert!(text.starts_with("gravity: standard output: No space left") && text.lines().count() == 1, "{text}");
}

/// What a server says goes to a file, mostly, and the disk of that may be full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_output_cannot_be_written_works_on() {
    let dir = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("/dev/full", dir.path().join("server.log")).expect("a link");
    let mut server = Server::start(dir.path(), &[]).await;
    for _ in 0..3 {
        // Each of these makes a line.
        let request = support::http().post(format!("{}/api/v1/records", server.url)).bearer_auth(server.token());
        let answer = request.header("content-type", "application/cloudevents+json").body("{").send().await;
        assert_eq!(answer.expect("an answer").status(), 400);
    }
    let answer = support::http().get(format!("{}/readyz", server.url)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_guards_its_folder_and_its_token() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[]).await;
    let mode = std::fs::metadata(dir.path().join("admin.token")).expect("a token").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let out = gravity(dir.path(), "").args(["up", "--listen", "127.0.0.1:0"]).output().expect("runs");
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("another process uses the data folder"), "{out:?}");
    let (code, out, err) = server.cli(&["board", "nothing"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("nothing"), "{err}");
    let status: serde_json::Value = serde_json::from_str(&server.ok(&["status", "--format", "json"])).expect("JSON");
    assert_eq!(status["pipelines"][0]["state"], "running");
    // Without the token nothing is written.
    let r = support::http().post(format!("{}/api/v1/records", server.url)).body("{}").send().await.expect("an answer");
    assert_eq!(r.status(), 401);
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_that_a_server_prints_can_be_pasted() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]).await;
    let log = server.log();
    let lines: Vec<_> = log.lines().skip_while(|l| *l != "Try:").skip(1).take_while(|l| l.starts_with("  ")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    // The first names no event yet.
    for line in &lines[1..] {
        let out =
            std::process::Command::new("sh").args(["-c", line]).env_remove("GRAVITY_TOKEN").output().expect("runs");
        assert!(out.status.success(), "{line}: {out:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_gives_the_same_board_for_the_same_seed() {
    let board = async || {
        let dir = tempfile::tempdir().expect("a folder");
        let port = support::free_port();
        let url = format!("http://127.0.0.1:{port}");
        let listen = format!("127.0.0.1:{port}");
        let args =
            ["demo", "--in-memory", "--teams", "20", "--rate", "100000", "--seed", "5", "--listen", listen.as_str()];
        let mut child = gravity(dir.path(), &url)
            .args(args)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        gravity_ingest::client::install_tls_provider();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let board = loop {
            let answer = support::http().get(format!("{url}/api/v1/events/demo/board?limit=1000")).send().await;
            let text = match answer {
                Ok(r) => r.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            let mut board: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if board["state"]["finalized_at"].is_string() {
                // How the records were cut into epochs is not the same twice.
                board["version"] = 0.into();
                break board;
            }
            assert!(std::time::Instant::now() < until, "the demo did not end: {text}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        let _ = child.kill();
        let _ = child.wait();
        board
    };
    let (one, two) = (board().await, board().await);
    assert_eq!(one["rows"].as_array().map(Vec::len), Some(19), "the staff's team is hidden");
    assert_eq!(one, two);
}
