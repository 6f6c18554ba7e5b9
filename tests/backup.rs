//! A backup and back, with everything destroyed in between: into a folder and into a bucket of a real S3 server.

#[path = "../storage/tests/support/s3_server.rs"]
mod s3_server;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use gravity_events::body::{BudgetSet, Price, PricePublished, UsageTokens};
use gravity_events::{Body, Record};
use s3_server::S3Server;
use serde_json::{Value, json};
use support::{Server, gravity};

const EVENT: &str = "cup";
const TEAMS: u32 = 8;
const PROBLEMS: u32 = 4;

fn record(id: String, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: "/backup".into(),
        tenant: "t".into(),
        event: None,
        subject: None,
        time_ms: Some(1_780_000_000_000),
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

fn used(n: u64) -> Vec<u8> {
    let body = UsageTokens { model: "m".into(), input_tokens: n, ..UsageTokens::default() };
    record(format!("u{n}"), Body::UsageTokens(body))
}

fn json_of(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&server.ok(args)).expect("JSON")
}

/// All that a server shows of everything it keeps.
async fn shown(server: &Server) -> Value {
    let count =
        "select (select count(*) from lake.usage) as used, (select count(distinct id) from lake.submissions) as subs";
    let mut board = json_of(server, &["board", EVENT, "--format", "json"]);
    // When it was computed is not what it says.
    board.as_object_mut().expect("an object").retain(|key, _| key != "generated_at");
    json!({
        "board": board,
        "burn": json_of(server, &["burn", "t", "--format", "json"])["totals"],
        "budgets": json_of(server, &["budgets", "t", "--format", "json"])["budgets"],
        "lake": json_of(server, &["sql", count, "--format", "json"]),
    })
}

fn run(dir: &Path, env: &[(&str, &str)], args: &[&str]) -> (bool, String) {
    let done = gravity(dir, "http://127.0.0.1:9").envs(env.iter().copied()).args(args).output().expect("it runs");
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_comes_back_after_everything_was_destroyed() {
    let s3 = S3Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let in_folder = folder.path().join("a b").display().to_string();
    for place in [in_folder, "s3://lake/backups".to_owned()] {
        there_and_back(&place, &s3.env()).await;
    }
}

async fn there_and_back(place: &str, env: &[(&'static str, String)]) {
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let parent = tempfile::tempdir().expect("a folder");
    let (dir, other) = (parent.path().join("data"), parent.path().join("other"));
    std::fs::create_dir(&dir).expect("a folder");
    let lake = [("GRAVITY_LAKE__INTERVAL_MS", "50"), ("GRAVITY_PIPELINES__MERGE_BYTES", "20000")];
    let mut server = Server::start(&dir, &lake).await;
    let mut records = support::contest::reference(EVENT, TEAMS, PROBLEMS);
    records.extend((0..200).flat_map(|n| support::contest::attempt(EVENT, n, TEAMS, PROBLEMS)));
    let price = Price { model: "m".into(), kind: "input".into(), micro_per_million: 2_000_000, tiers: Vec::new() };
    let prices = PricePublished {
        price_list: "list".into(),
        version: 1,
        currency: "EUR".into(),
        effective_at: Some(0),
        prices: vec![price],
    };
    records.push(record("prices".into(), Body::PricePublished(prices)));
    let budget = BudgetSet {
        budget: "all".into(),
        team: None,
        limit_micro: 1_000_000_000,
        currency: "EUR".into(),
        alerts_bp: Vec::new(),
        soft: false,
    };
    records.push(record("budget".into(), Body::BudgetSet(budget)));
    records.extend((0..300).map(used));
    server.deliver(&records, &["counted", "duplicate"]).await;
    let until = Instant::now() + Duration::from_secs(60);
    let all = |shown: &Value| {
        shown["lake"] == json!([{"used": 300, "subs": 200}]) && shown["budgets"][0]["unreserved_micro"] != 0
    };
    let mut before = shown(&server).await;
    while !all(&before) {
        assert!(Instant::now() < until, "{before}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
        before = shown(&server).await;
    }

    let (done, said) = run(&dir, &env, &["backup", place]);
    assert!(!done && said.contains("has to be stopped"), "{said}");
    server.terminate();
    let (done, said) = run(&dir, &env, &["backup", place, "--format", "json"]);
    assert!(done, "{said}");
    let first: Value = serde_json::from_str(&said).expect("JSON");
    // Files that are the same, such as empty ones, are sent once.
    let of = |backup: &Value, what: &str| backup[what].as_u64().expect("a number");
    assert!(of(&first, "sent_files") * 3 > of(&first, "files") * 2 && of(&first, "bytes") > 0, "{first}");
    std::fs::remove_dir_all(&dir).expect("it can be destroyed");
    let (done, said) = run(&dir, &env, &["backup", place]);
    assert!(!done && said.contains("no data folder"), "{said}");

    let (done, said) = run(&other, &env, &["restore", place]);
    assert!(done && said.contains(first["backup"].as_str().expect("a name")), "{said}");
    let (done, said) = run(&other, &env, &["restore", place]);
    assert!(!done && said.contains("not empty"), "{said}");
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(other.join(path)).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!(mode("admin.token"), 0o600, "a secret stays one");
    let mut server = Server::start(&other, &lake).await;
    assert_eq!(shown(&server).await, before);
    // It goes on where it was: what counted is known, what is new counts.
    server.deliver(&[used(7)], &["duplicate"]).await;
    server.deliver(&[used(301)], &["counted"]).await;
    let verified = json_of(&server, &["verify"]);
    assert_eq!(verified["differences_total"], 0, "{verified}");
    server.terminate();

    // Most has not changed: only the rest is sent.
    let (done, said) = run(&other, &env, &["backup", place, "--format", "json"]);
    assert!(done, "{said}");
    let second: Value = serde_json::from_str(&said).expect("JSON");
    assert!(of(&second, "sent_files") * 2 < of(&second, "files"), "{second}");
    let (_, said) = run(&other, &env, &["backup", place, "--list"]);
    assert_eq!(said.lines().count(), 2, "{said}");
    // The first one is still whole.
    let third = parent.path().join("third");
    let (done, said) = run(&third, &env, &["restore", place, "--backup", first["backup"].as_str().expect("a name")]);
    assert!(done, "{said}");
    let (done, said) = run(&parent.path().join("x"), &env, &["restore", place, "--backup", "yesterday"]);
    assert!(!done && said.contains("no backup `yesterday`"), "{said}");

    // A flipped byte is found, told, and leaves nothing half done.
    let objects = Path::new(place).join("objects");
    if objects.is_dir() {
        let list =
            Path::new(place).join("backups").join(format!("{}.json", second["backup"].as_str().expect("a name")));
        let list: Value = serde_json::from_slice(&std::fs::read(list).expect("the list is there")).expect("JSON");
        let files = list["files"].as_array().expect("files").iter();
        let largest = files.max_by_key(|file| file["bytes"].as_u64()).expect("there are some");
        let largest = objects.join(largest["hash"].as_str().expect("a hash"));
        let mut bytes = std::fs::read(&largest).expect("it can be read");
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(&largest, bytes).expect("it can be written");
        let fourth = parent.path().join("fourth");
        let (done, said) = run(&fourth, &env, &["restore", place]);
        assert!(!done && said.contains("is damaged") && !fourth.exists(), "{said}");
        assert!(!parent.path().join("fourth.restoring").exists());
    }
}
