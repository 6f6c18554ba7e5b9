//! What clients that nobody here wrote read: DuckDB, Polars, pandas and psycopg have the rows that `gravity sql` has.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use gravity_events::body::{EventConfigured, UsageTokens};
use gravity_events::{Body, Record};
use serde_json::{Value, json};
use support::{Server, free_port};

fn record(tenant: &str, id: String, event: Option<&str>, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: "/readers".into(),
        tenant: tenant.into(),
        event: event.map(Into::into),
        subject: Some("someone".into()),
        time_ms: Some(1_780_000_000_000),
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

/// The folder of Python with the readers, which `scripts/setup readers` made.
fn python() -> std::path::PathBuf {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let command = format!("{0}/setup readers && . {0}/parts.sh && readers_home", script.display());
    let made = Command::new("bash").args(["-c", &command]).output().expect("bash runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::path::Path::new(String::from_utf8_lossy(&made.stdout).trim()).join("bin/python")
}

fn json_of(server: &Server, sql: &str) -> Value {
    serde_json::from_str(&server.ok(&["sql", sql, "--format", "json"])).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_read_the_same_rows_while_files_are_put_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let listen = format!("127.0.0.1:{}", free_port());
    let env = [
        ("GRAVITY_LAKE__INTERVAL_MS", "50"),
        ("GRAVITY_LAKE__COMPACT_FILES", "4"),
        ("GRAVITY_SQL__LISTEN", listen.as_str()),
    ];
    let mut server = Server::start(dir.path(), &env).await;
    let mut records = Vec::new();
    for event in ["cup", "league"] {
        let config = EventConfigured { name: event.into(), ..EventConfigured::default() };
        records.push(record("acme", format!("config/{event}"), Some(event), Body::EventConfigured(config)));
    }
    for n in 0..600_u64 {
        let tenant = ["acme", "it's, 100%/other"][(n % 2) as usize];
        let body = UsageTokens {
            model: ["large", "small", "größer"][(n % 3) as usize].into(),
            input_tokens: n * n,
            output_tokens: n,
            ..UsageTokens::default()
        };
        let record = record(tenant, format!("u{n}"), None, Body::UsageTokens(body));
        records.push(record.clone());
        if n % 7 == 0 {
            records.push(record);
        }
    }
    // Many commits, so that there is something to put together.
    for part in records.chunks(40) {
        server.deliver(part, &["counted", "duplicate"]).await;
    }
    let count = "select (select count(*) from lake.usage) as used, (select count(*) from lake.refused) as refused";
    let until = Instant::now() + Duration::from_secs(60);
    while json_of(&server, count) != json!([{"used": 600, "refused": 86}]) {
        assert!(Instant::now() < until, "{}\n{}", json_of(&server, count), server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ask = |sql: &str| {
        let rows = json_of(&server, sql);
        let rows = rows.as_array().expect("rows").iter().map(|row| row["row"].clone());
        rows.map(|row| serde_json::from_str::<Value>(row.as_str().expect("text")).expect("JSON")).collect::<Vec<_>>()
    };
    // The rows as JSON arrays, made by the engine itself.
    let usage = ask(
        "select '[\"' || tenant || '\",\"' || model || '\",' || count(*) || ',' || sum(input_tokens) || ',' || sum(output_tokens) || ']' as row from lake.usage group by tenant, model order by tenant, model",
    );
    let refused = ask(
        "select '[\"' || tenant || '\",\"' || code || '\",' || count(*) || ',' || sum(bytes) || ']' as row from lake.refused group by tenant, code order by tenant, code",
    );
    let reference = ask(
        "select '[\"' || type || '\",\"' || event || '\",' || count(*) || ']' as row from lake.reference group by type, event order by type, event",
    );
    assert_eq!((usage.len(), refused.len(), reference.len()), (6, 2, 2));
    let expected = json!({"usage": usage, "refused": refused, "reference": reference});
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py");
    let (host, port) = listen.split_once(':').expect("an address");
    let read =
        Command::new(python()).arg(script).arg(dir.path().join("lake")).args([host, port, &server.token()]).output();
    let read = read.expect("Python runs");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read: Value = serde_json::from_slice(&read.stdout).expect("JSON");
    for reader in ["duckdb", "polars", "pandas", "psycopg"] {
        assert_eq!(read[reader], expected, "{reader}");
    }
}
