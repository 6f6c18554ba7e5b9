//! Runs the commands that the documentation shows, in the order in which it shows them.

mod support;

use std::path::Path;
use std::process::Stdio;

use support::contest::{attempt, reference};
use support::{Server, gravity};

/// A contest in the dialect of the CLICS 2023-06 event feed.
const FEED: &str = r#"{"type":"contest","id":"cup","data":{"id":"cup","name":"Cup","duration":"5:00:00","scoreboard_freeze_duration":"1:00:00","penalty_time":"0:20:00"},"token":"1"}
{"type":"judgement-types","id":"AC","data":{"id":"AC","name":"accepted","solved":true,"penalty":false},"token":"2"}
{"type":"problems","id":"a","data":{"id":"a","label":"A","name":"Apples","ordinal":0},"token":"3"}
{"type":"teams","id":"t1","data":{"id":"t1","name":"Otters"},"token":"4"}
{"type":"state","data":{"started":"2026-05-02T09:00:00Z"},"token":"5"}
{"type":"submissions","id":"1","data":{"id":"1","team_id":"t1","problem_id":"a","language_id":"rust","contest_time":"0:10:00.000","time":"2026-05-02T09:10:00Z"},"token":"6"}
{"type":"judgements","id":"1","data":{"id":"1","submission_id":"1","judgement_type_id":"AC","start_contest_time":"0:10:01.000","end_contest_time":"0:10:02.000"},"token":"7"}
"#;

/// Pages whose commands are run, in order.
const PAGES: [&str; 7] = [
    "README.md",
    "docs/operating.md",
    "docs/feeds.md",
    "docs/scoring.md",
    "docs/flags.md",
    "docs/billing.md",
    "docs/analytics.md",
];

fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

/// The files that a page shows with their names.
fn files(text: &str) -> Vec<(String, String)> {
    let named = text.split("```toml ").skip(1).filter_map(|rest| rest.split_once('\n'));
    named.filter_map(|(name, rest)| Some((name.to_owned(), rest.split("```").next()?.to_owned()))).collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("the page is there")
}

/// `gravity ...` lines of the shell blocks of a page, without comments. Lines that start a server or name one that is
/// not here are left out.
fn commands(text: &str) -> Vec<String> {
    let lines = blocks(text, "sh").join("\n");
    let lines = lines.lines().map(|l| l.split('#').next().unwrap_or_default().trim().to_owned());
    lines
        .filter(|l| l.starts_with("gravity ") && !l.starts_with("gravity up") && !l.contains("judge.example"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_shown_works_as_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]).await;
    let operators = page("docs/operating.md");
    std::fs::write(dir.path().join("event.toml"), &blocks(&operators, "toml")[0]).expect("written");
    std::fs::write(dir.path().join("event-feed.ndjson"), FEED).expect("written");
    let mut records = reference("other", 2, 2);
    records.extend(attempt("other", 1, 2, 2));
    std::fs::write(dir.path().join("records.ndjson"), records.join(&b'\n')).expect("written");
    let trace = "TIMESTAMP,ContextTokens,GeneratedTokens\n2026-05-02 09:10:00.5,100,7\n";
    std::fs::write(dir.path().join("trace.csv"), trace).expect("written");
    let trail = dir.path().join("audit-trail");
    std::fs::create_dir(&trail).expect("made");
    let log = r#"[{"challengeId":"a2s","flag":"f","moment":1622219823713,"teamId":"t1"}]"#;
    std::fs::write(trail.join("log.json"), log).expect("written");
    std::fs::write(trail.join("teams.json"), r#"[{"id":"t1","name":"Otters"}]"#).expect("written");
    for (name, text) in files(&page("docs/scoring.md")) {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    let mut shown = 0;
    for name in PAGES {
        for command in commands(&page(name)) {
            // The event that the pages call E or cup is the one that event.toml sets up.
            let command = command.replace("show ID", "list").replace("retry ID", "list");
            let words = shell_words(&command).into_iter().skip(1);
            let args: Vec<String> = words.map(|word| if word == "E" { "cup".to_owned() } else { word }).collect();
            let output = gravity(dir.path(), &server.url)
                .args(&args)
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .output()
                .expect("it runs");
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: `{command}`: {err}");
            shown += 1;
        }
    }
    assert!(shown >= 46, "only {shown} commands were found in the pages");
    let board = server.ok(&["board", "euc", "--format", "json"]);
    assert!(board.contains("\"Otters\""), "{board}");
    let clics: serde_json::Value =
        serde_json::from_str(&server.ok(&["board", "euc", "--format", "clics"])).expect("JSON");
    assert_eq!(clics["rows"][0]["score"]["num_solved"], 1);
}

fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("there is one").push(c),
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs"))
        .expect("docs")
        .chain(std::fs::read_dir(root.join("docs/decisions")).expect("decisions"))
        .chain(std::fs::read_dir(root.join("docs/runbooks")).expect("runbooks"));
    let pages = docs.map(|e| e.expect("an entry").path()).chain([root.join("README.md")]);
    for page in pages.filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(&page).expect("a page");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(page.parent().expect("a folder").join(target).exists(), "{}: {target}", page.display());
        }
    }
}
