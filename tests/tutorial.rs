//! Follows docs/tutorial-operator.md to the letter in a fresh copy of the project: files are written, patches applied and
//! commands run as they stand there.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::Server;

/// A fenced block: the words after the fence, and its text.
fn blocks(text: &str) -> Vec<(Vec<String>, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(Vec<String>, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(words), None) => open = Some((words.split(' ').map(str::to_owned).collect(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let all = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{all}");
    all
}

/// A copy of what git would give: tracked files, and new ones that are not ignored. With the times of their last change, by
/// which cargo knows what it has built already.
fn copy(project: &Path, to: &Path) {
    let files = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(project)
        .output()
        .expect("git lists the files");
    for name in String::from_utf8(files.stdout).expect("names are text").split('\0').filter(|n| !n.is_empty()) {
        let from = project.join(name);
        // One that was removed and not committed yet.
        if from.is_file() {
            let at = to.join(name);
            std::fs::create_dir_all(at.parent().expect("a folder")).expect("made");
            std::fs::copy(&from, &at).expect("copied");
            let changed_at = from.metadata().and_then(|m| m.modified()).expect("a time");
            std::fs::File::options().write(true).open(at).and_then(|f| f.set_modified(changed_at)).expect("it is set");
        }
    }
}

/// Our crates that know nothing of operators: what the tutorial adds does not change them.
const UNTOUCHED: [&str; 4] = ["gravity-events", "gravity-ingest", "gravity-storage", "gravity-api"];

/// What is built already of all that the tutorial does not touch: only the rest is built again.
fn already_built(from: &Path, to: &Path) {
    for part in ["deps", "build", ".fingerprint"] {
        let (from, to) = (from.join(part), to.join(part));
        std::fs::create_dir_all(&to).expect("made");
        let mut names: Vec<String> = std::fs::read_dir(&from)
            .expect("it is built")
            .map(|e| e.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        if part == "deps" {
            names.retain(|n| n.starts_with("lib"));
        }
        let crate_of = |name: &str| name.trim_start_matches("lib").rsplit_once('-').map(|(c, _)| c.replace('_', "-"));
        let (ours, others): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|n| n.trim_start_matches("lib").starts_with("gravity"));
        let untouched =
            ours.into_iter().filter(|n| crate_of(n).is_some_and(|c| UNTOUCHED.contains(&c.as_str()))).collect();
        // By hard links, for they are large. But what is our own, or what cargo notes of each, might be written over in place,
        // under the feet of the other tests. Where folders lie on several disks links fail, and all is built: slower, but
        // no other result.
        let link = if part == ".fingerprint" { "-a" } else { "-al" };
        for (how, names) in [("-a", untouched), (link, others)] {
            for names in names.chunks(500) {
                let _ = Command::new("cp").arg(how).args(names.iter().map(|n| from.join(n))).arg(&to).output();
            }
        }
    }
}

/// What cargo tells a test of its package. Build scripts that look at such variables (ring's) would run again, and with them
/// hundreds of crates be built anew: no newcomer has them set.
fn is_of_this_test(name: &str) -> bool {
    let of_package = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_EXE_"];
    of_package.iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"].contains(&name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_who_follows_it_to_the_letter_gets_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().expect("a folder");
    let clone: PathBuf = dir.path().join("gravity");
    copy(project, &clone);
    let target = dir.path().join("target");
    already_built(&project.join("target/debug"), &target.join("debug"));
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let mut server: Option<Server> = None;
    let mut said = String::new();
    for (words, text) in blocks(&std::fs::read_to_string(project.join("docs/tutorial-operator.md")).expect("the page"))
    {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["rust" | "json" | "toml", file] => std::fs::write(clone.join(file), text).expect("written"),
            ["diff"] => {
                std::fs::write(dir.path().join("patch"), text).expect("written");
                output(Command::new("patch").args(["-p1", "-i", "../patch"]).current_dir(&clone));
            }
            ["sh"] => {
                let binary = target.join("debug");
                if server.is_none() && text.contains("gravity apply") {
                    server = Some(Server::start_binary(&binary.join("gravity"), &data).await);
                }
                let url = server.as_ref().map_or(String::new(), |s| s.url.clone());
                let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
                let mut shell = Command::new("bash");
                shell.args(["-euc", &text.replace("cd gravity\n", "")]).current_dir(&clone);
                for (name, _) in std::env::vars().filter(|(name, _)| is_of_this_test(name)) {
                    shell.env_remove(name);
                }
                shell.env("PATH", path).env("CARGO_TARGET_DIR", &target).env("NO_COLOR", "1");
                shell.env("GRAVITY_SERVER", url).env("GRAVITY_DATA_DIR", &data);
                said.push_str(&output(&mut shell));
            }
            _ => panic!("a block that nobody knows what to do with: {words:?}"),
        }
    }
    let golden = std::fs::read_to_string(clone.join("operators/tests/dimensions/brevity.golden")).expect("written");
    assert!(golden.contains("otters + 50.00 %") && golden.contains("newts + 0.00 %"), "{golden}");
    for part in
        ["brevity        How few lines", "test result: ok", "84.00", "75.00", "100 lines, between 250 and 50: 75.00 %"]
    {
        assert!(said.contains(part), "`{part}` is not in what it said:\n{said}");
    }
    assert!(clone.join("docs/operators.md").exists());
}
