//! Opens data folders that earlier versions wrote. Each is kept for good: a build that can't read one must say so with
//! the remedy, and this test must then say that, too.
//!
//! A new format gets a new folder: `GRAVITY_KEEP_FOLDER=vN cargo test --test upgrade` writes `tests/data/folder-vN.tar.gz`.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::Server;
use support::contest::{attempt, reference};

const EVENT: &str = "kept";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Everything that the boards show, with versions.
async fn boards(server: &Server) -> Value {
    let mut all = Vec::new();
    for query in ["view=public", "view=public&division=even", "view=jury"] {
        let mut board = server.get_json(&format!("/api/v1/events/{EVENT}/board?limit=1000&{query}")).await;
        // The epoch of a jury view is that of the start.
        board.as_object_mut().expect("an object").remove("epoch");
        all.push(board);
    }
    json!({ "boards": all, "awards": server.get_json(&format!("/api/contests/{EVENT}/awards")).await })
}

/// Panics unless `shown` says all that was shown before. A newer build may say more, and what says more is another
/// version.
fn holds(before: &Value, shown: &Value, at: &str) {
    match (before, shown) {
        (Value::Object(before), Value::Object(shown)) => {
            for (name, value) in before {
                let now = shown.get(name).unwrap_or_else(|| panic!("{at}.{name} is no longer there"));
                match name.as_str() {
                    "version" => assert!(now.as_u64() >= value.as_u64(), "{at}.version went back: {value}, now {now}"),
                    _ => holds(value, now, &format!("{at}.{name}")),
                }
            }
        }
        (Value::Array(before), Value::Array(shown)) => {
            assert_eq!(before.len(), shown.len(), "{at}");
            for (n, (before, shown)) in before.iter().zip(shown).enumerate() {
                holds(before, shown, &format!("{at}[{n}]"));
            }
        }
        _ => assert_eq!(before, shown, "{at}"),
    }
}

fn tar(args: &[&str], dir: &Path) {
    assert!(Command::new("tar").args(args).current_dir(dir).status().expect("tar runs").success(), "tar {args:?}");
}

async fn keep(name: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[("GRAVITY_PIPELINES__MERGE_BYTES", "10000")]).await;
    server.send(&reference(EVENT, 6, 3), true).await;
    for n in 0..60 {
        server.send(&attempt(EVENT, n * 300, 6, 3), true).await;
    }
    let mut conflict = attempt(EVENT, 0, 6, 3).remove(0);
    conflict =
        String::from_utf8(conflict).expect("JSON").replace("\"s0\",\"team\"", "\"s-other\",\"team\"").into_bytes();
    assert_eq!(server.send(&[conflict], true).await, ["conflict"]);
    let shown = boards(&server).await;
    assert_eq!(server.terminate(), Some(0));
    std::fs::write(dir.path().join("expected.json"), shown.to_string()).expect("written");
    for file in ["server.log", "lock", "admin.token", "cursor.key"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    let target = data().join(format!("folder-{name}.tar.gz"));
    tar(&["czf", target.to_str().expect("a path"), "."], dir.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_of_earlier_versions_show_what_they_showed() {
    if let Ok(name) = std::env::var("GRAVITY_KEEP_FOLDER") {
        keep(&name).await;
    }
    let mut opened = 0;
    for entry in std::fs::read_dir(data()).expect("tests/data").map(|e| e.expect("an entry").path()) {
        if !entry.to_string_lossy().ends_with(".tar.gz") {
            continue;
        }
        let dir = tempfile::tempdir().expect("a folder");
        tar(&["xzf", entry.to_str().expect("a path")], dir.path());
        let expected: Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("expected.json")).expect("kept")).expect("JSON");
        let server = Server::start(dir.path(), &[]).await;
        let shown = boards(&server).await;
        holds(&expected, &shown, &entry.display().to_string());
        server.ok(&["verify"]);
        // And it goes on: what was counted is known, what is new counts.
        let again = server.send(&attempt(EVENT, 300, 6, 3), true).await;
        assert!(again.iter().all(|s| s == "duplicate"), "{again:?}");
        let new = server.send(&attempt(EVENT, 301, 6, 3), true).await;
        assert!(new.iter().all(|s| s == "counted"), "{new:?}");
        opened += 1;
    }
    assert!(opened > 0, "no folder is kept");
}
