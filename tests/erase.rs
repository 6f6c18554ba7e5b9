//! A person is erased from everything that a server keeps, in its folder or in a bucket and on PostgreSQL, killed between any two
//! steps, and nothing else changes.

#[path = "../storage/tests/support/postgres_server.rs"]
mod postgres_server;
#[path = "../storage/tests/support/s3_server.rs"]
mod s3_server;
mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use gravity_events::body::{MeterDefined, Price, PricePublished, TeamRegistered, UsageTokens};
use gravity_events::{Body, Record};
use gravity_storage::objects::{Objects, S3Options};
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use postgres_server::PostgresServer;
use s3_server::S3Server;
use serde_json::{Value, json};
use sqlx::{Connection, Row};
use support::{Server, gravity};

const EVENT: &str = "cup";
const TEAMS: u32 = 6;
const PROBLEMS: u32 = 4;
/// Whom it is about.
const PERSON: &str = "p-marker-4711";
/// Their name, as it stands in texts, and a part of it that no encoding changes.
const NAME: &str = "Zoë \"Marker\" Lovelace-Quux";
const SURNAME: &str = "Lovelace-Quux";
/// A pseudonym that another tenant gave to somebody else.
const SHARED: &str = "p-shared-0815";
const USED: u64 = 240;
const TIME_MS: i64 = 1_780_000_000_000;

fn record(tenant: &str, id: String, event: Option<&str>, subject: Option<&str>, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: format!("agent/{}", subject.unwrap_or("x")).into(),
        tenant: tenant.into(),
        event: event.map(Into::into),
        subject: subject.map(Into::into),
        time_ms: Some(TIME_MS),
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

fn used(tenant: &str, n: u64, subject: &str) -> Vec<u8> {
    let body = UsageTokens {
        model: "m".into(),
        input_tokens: n,
        lab: Some(format!("lab/{subject}").into()),
        ..UsageTokens::default()
    };
    record(tenant, format!("{subject}/{n}"), None, Some(subject), Body::UsageTokens(body))
}

/// All records, and of each the status that it has to be answered with.
fn records() -> Vec<(Vec<u8>, &'static str)> {
    let mut records = support::contest::reference(EVENT, TEAMS, PROBLEMS);
    records.extend((0..120).flat_map(|n| support::contest::attempt(EVENT, n, TEAMS, PROBLEMS)));
    let meter: MeterDefined =
        serde_json::from_value(json!({"meter": "tokens", "of": "usage.tokens", "aggregation": "sum",
        "value": "input_tokens", "window": "day", "group_by": ["participant"]}))
        .expect("a meter");
    records.push(record("t", "meter".into(), None, None, Body::MeterDefined(meter)));
    let price = Price { model: "m".into(), kind: "input".into(), micro_per_million: 2_000_000, tiers: Vec::new() };
    let prices = PricePublished {
        price_list: "list".into(),
        version: 1,
        currency: "EUR".into(),
        effective_at: None,
        prices: vec![price],
    };
    records.push(record("t", "prices".into(), None, None, Body::PricePublished(prices)));
    let team = TeamRegistered { team: PERSON.into(), name: NAME.into(), ..TeamRegistered::default() };
    records.push(record("t", "person".into(), Some(EVENT), None, Body::TeamRegistered(team)));
    records.extend((0..USED).map(|n| used("t", n, [PERSON, SHARED, "p-other-1"][n as usize % 3])));
    records.extend((0..40).map(|n| used("other", n, SHARED)));
    let mut records: Vec<_> = records.into_iter().map(|record| (record, "counted")).collect();
    // Another number under the same id: it is kept as a dead letter.
    let conflict =
        String::from_utf8(used("t", 0, PERSON)).expect("JSON").replace("\"input_tokens\":0", "\"input_tokens\":9");
    records.push((conflict.into_bytes(), "conflict"));
    records
}

fn json_of(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&server.ok(args)).expect("JSON")
}

const COUNTS: &str = "select tenant, count(*) as n, count(distinct id) as ids, count(distinct subject) as people, \
                      sum(input_tokens) as tokens from lake.usage group by tenant order by tenant";

/// All that is shown and has nothing to do with who somebody is.
fn shown(server: &Server) -> Value {
    let board = json_of(server, &["board", EVENT, "--format", "json"]);
    let rows = board["rows"].as_array().expect("rows").iter();
    let rows: Vec<Value> = rows.map(|row| json!([row["rank"], row["score"], row["problems"]])).collect();
    let meters = json_of(server, &["meters", "t", "tokens", "--format", "json"]);
    let windows = meters["windows"].as_array().expect("windows").iter();
    let mut windows: Vec<i64> = windows.map(|window| window["value"].as_i64().expect("a number")).collect();
    windows.sort_unstable();
    json!({
        "rows": rows,
        "windows": windows,
        "burn": json_of(server, &["burn", "t", "--format", "json"])["totals"],
        "lake": json_of(server, &["sql", COUNTS, "--format", "json"]),
        "refused": json_of(server, &["sql", "select code, count(*) as n from lake.refused group by code", "--format", "json"]),
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("it is a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// All that a Parquet file says, whose pages are compressed.
fn texts(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("it can be opened");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let mut texts = arrow::json::LineDelimitedWriter::new(Vec::new());
    for batch in reader.expect("it is Parquet") {
        texts.write(&batch.expect("rows")).expect("rows can be written");
    }
    texts.into_inner()
}

/// The files of a data folder that hold any of the words, also compressed, or in base64.
fn holding(dir: &Path, words: &[&str]) -> Vec<String> {
    let holds = |path: &PathBuf| {
        let mut bytes = std::fs::read(path).expect("it can be read");
        if path.extension().is_some_and(|extension| extension == "parquet") {
            bytes.extend(texts(path));
        }
        let mut opened = Vec::new();
        const FIELD: &[u8] = b"\"data_base64\":\"";
        for at in 0..bytes.len().saturating_sub(FIELD.len()) {
            if bytes[at..].starts_with(FIELD) {
                let data = bytes[at + FIELD.len()..].split(|b| *b == b'"').next().expect("a first part");
                opened.extend(STANDARD.decode(data).unwrap_or_default());
            }
        }
        words.iter().any(|word| contains(&bytes, word) || contains(&opened, word))
    };
    let found = files(dir).into_iter().filter(holds);
    found.map(|path| path.strip_prefix(dir).expect("it is inside").display().to_string()).collect()
}

fn run(dir: &Path, env: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String) {
    let done = gravity(dir, "http://127.0.0.1:9").envs(env.iter().copied()).args(args).output().expect("it runs");
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Where things are.
enum Places {
    /// All in the data folder.
    Folder,
    /// The lake in a bucket, budgets on PostgreSQL.
    Elsewhere(S3Server, PostgresServer),
}

impl Places {
    fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![
            ("GRAVITY_LAKE__INTERVAL_MS", "50".to_owned()),
            ("GRAVITY_LAKE__COMPACT_FILES", "4".to_owned()),
            ("GRAVITY_PIPELINES__MERGE_BYTES", "20000".to_owned()),
        ];
        if let Places::Elsewhere(s3, postgres) = self {
            env.extend(s3.env());
            env.push(("GRAVITY_OBJECTS__URL", "s3://lake/here".to_owned()));
            env.push(("GRAVITY_DATABASE__URL", postgres.url()));
        }
        env
    }

    /// What still holds any of the words.
    async fn holding(&self, dir: &Path, words: &[&str]) -> Vec<String> {
        let mut found = holding(dir, words);
        if let Places::Elsewhere(s3, postgres) = self {
            let fetched = tempfile::tempdir().expect("a folder");
            let options = S3Options {
                endpoint: Some(format!("http://127.0.0.1:{}", s3.port())),
                region: Some("us-east-1".into()),
                access_key_id: Some("gravity".into()),
                secret_access_key: Some("gravity-secret".into()),
                timeout: None,
            };
            let objects = Objects::open("s3://lake/here", &options).expect("it is a bucket");
            let listed: Vec<_> = objects.store().list(None).try_collect().await.expect("a list");
            for object in listed {
                let bytes =
                    objects.store().get(&object.location).await.expect("an object").bytes().await.expect("bytes");
                let path = fetched.path().join(object.location.as_ref().replacen("here", "lake", 1));
                std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
                std::fs::write(path, bytes).expect("it can be written");
            }
            found.extend(holding(fetched.path(), words));
            let mut connection = sqlx::PgConnection::connect(&postgres.url()).await.expect("it answers");
            for table in ["accounts", "budgets", "reservations", "outbox"] {
                let sql = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.expect("rows");
                let texts = rows.iter().map(|row| row.get::<String, _>(0));
                found.extend(
                    texts.filter(|text| words.iter().any(|w| text.contains(w))).map(|_| format!("databases/{table}")),
                );
            }
        }
        found
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_person_and_nothing_else_changes() {
    gravity_ingest::client::install_tls_provider();
    erased_from(Places::Folder).await;
    erased_from(Places::Elsewhere(S3Server::start(), PostgresServer::start())).await;
}

async fn erased_from(places: Places) {
    let env = places.env();
    let often: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let parent = tempfile::tempdir().expect("a folder");
    let dir = parent.path().join("data");
    std::fs::create_dir(&dir).expect("a folder");
    let mut server = Server::start(&dir, &often).await;
    let records = records();
    for part in records.chunks(40) {
        for status in ["counted", "conflict"] {
            let of: Vec<Vec<u8>> = part.iter().filter(|r| r.1 == status).map(|r| r.0.clone()).collect();
            if !of.is_empty() {
                server.deliver(&of, &[status, "duplicate"]).await;
            }
        }
    }
    let reservation = json!({"tenant": "t", "event": EVENT, "team": PERSON, "lab": PERSON, "model": "m", "amount_micro": 5, "ttl_s": 3_600});
    let reserved = support::http()
        .post(format!("{}/api/v1/billing/reservations", server.url))
        .bearer_auth(server.token())
        .header("idempotency-key", "one")
        .json(&reservation)
        .send()
        .await
        .expect("an answer");
    assert_eq!(reserved.status().as_u16(), 201, "{}", reserved.text().await.expect("text"));
    let until = Instant::now() + Duration::from_secs(60);
    let all =
        |shown: &Value| shown["lake"][1]["n"] == USED && shown["lake"][0]["n"] == 40 && shown["refused"][0]["n"] == 1;
    let mut before = shown(&server);
    while !all(&before) {
        assert!(Instant::now() < until, "{before}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
        before = shown(&server);
    }
    let busy = run(&dir, &often, &["erase", PERSON, "--tenant", "t"]);
    assert!(busy.0 == Some(1) && busy.1.contains("has to be stopped"), "{busy:?}");
    // Not told to stop: the log is ahead of some of the journals.
    server.kill();

    let kinds = [
        "log/gravity.usage.v1",
        "log/gravity.deadletter.v1",
        "log/gravity.reference.v1",
        "/frames/",
        "/base/",
        "lake/usage/",
        "lake/refused/",
        "_delta_log",
        "databases/",
    ];
    let held = places.holding(&dir, &[PERSON, SURNAME]).await;
    for kind in kinds {
        assert!(held.iter().any(|path| path.contains(kind)), "nothing to erase in {kind}: {held:#?}");
    }

    let words = ["erase", PERSON, SHARED, "--text", NAME, "--tenant", "t"];
    let mut args: &[&str] = &words;
    let mut steps = 0;
    loop {
        let failpoint = format!("erase.step:{}:kill", steps + 1);
        let armed = [&often[..], &[("GRAVITY_FAILPOINT", &failpoint)]].concat();
        let (code, said) = run(&dir, &armed, args);
        if let Some(code) = code {
            assert_eq!(code, 0, "{said}");
            break;
        }
        steps += 1;
        for other in [&["up"][..], &["backup", "x"], &words] {
            let (code, said) = run(&dir, &often, other);
            assert!(code == Some(1) && said.contains("--resume"), "{other:?}: {said}");
        }
        args = &["erase", "--resume"];
    }
    assert!(steps >= 20, "{steps} steps");
    let (code, said) = run(&dir, &often, &["erase", "--resume"]);
    assert!(code == Some(1) && said.contains("no erasure to finish"), "{said}");

    assert_eq!(places.holding(&dir, &[PERSON, SURNAME]).await, Vec::<String>::new());
    let mut server = Server::start(&dir, &often).await;
    let until = Instant::now() + Duration::from_secs(60);
    while shown(&server) != before {
        assert!(Instant::now() < until, "{}\n\n{before}\n{}", shown(&server), server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let whose = format!("select tenant, count(*) as n from lake.usage where subject = '{SHARED}' group by tenant");
    let left = json_of(&server, &["sql", &whose, "--format", "json"]);
    assert_eq!(left, json!([{"tenant": "other", "n": 40}]), "another tenant's participant is another person");
    let verified = json_of(&server, &["verify"]);
    assert_eq!(verified["differences_total"], 0, "{verified}");
    // What goes on goes on: as somebody who was never here.
    server.deliver(&[used("t", 1_000, PERSON)], &["counted"]).await;
    server.terminate();
    assert!(!places.holding(&dir, &[PERSON]).await.is_empty());
    let (code, said) = run(&dir, &often, &["erase", PERSON, "--tenant", "t", "--format", "json"]);
    let said: Value =
        serde_json::from_str(said.lines().find(|line| line.starts_with('{')).expect("JSON")).expect("JSON");
    assert!(code == Some(0) && said["log_records"].as_u64() >= Some(1), "{said}");
    assert_eq!(places.holding(&dir, &[PERSON]).await, Vec::<String>::new());
    let done = std::fs::read_to_string(dir.join("erasures.jsonl")).expect("it was noted");
    assert!(done.lines().count() == 2 && !contains(done.as_bytes(), PERSON), "{done}");
}
