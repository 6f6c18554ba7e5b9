//! The board page of the real binary in a real Chromium.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::Server;
use support::contest::{attempt, reference};

const TEAMS: u32 = 300;
const PROBLEMS: u32 = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_what_the_server_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]).await;
    server.send(&reference("page", TEAMS, PROBLEMS), true).await;
    let all: Vec<_> = (0..2_000).flat_map(|n| attempt("page", n * 7, TEAMS, PROBLEMS)).collect();
    for part in all.chunks(500) {
        server.send(part, true).await;
    }
    // Each call of the step lets the team at the top solve or try something more.
    let top = server.get_json("/api/v1/events/page/board?limit=1").await["rows"][0]["team"]
        .as_str()
        .expect("a team")
        .to_owned();
    for n in 0..40u32 {
        let lines: Vec<_> = support::contest::more("page", n, &top, n % PROBLEMS)
            .into_iter()
            .map(|r| String::from_utf8(r).expect("JSON"))
            .collect();
        std::fs::write(dir.path().join(format!("step{n}.ndjson")), lines.join("\n")).expect("written");
    }
    let step = dir.path().join("step.sh");
    let script = format!(
        "#!/bin/sh\ncd {dir}\nn=$(cat count 2>/dev/null || echo 0)\necho $((n + 1)) > count\nexec {bin} import cloudevents step$n.ndjson --event - --server {url} --data-dir {dir}\n",
        dir = dir.path().display(),
        bin = env!("CARGO_BIN_EXE_gravity"),
        url = server.url
    );
    std::fs::write(&step, script).expect("written");
    std::fs::set_permissions(&step, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/run");
    let url = server.url.clone();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(run).env("BASE_URL", url).env("EVENT", "page").env("STEP", step).output()
    });
    let output = output.await.expect("it ran").expect("tests/browser/run starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
