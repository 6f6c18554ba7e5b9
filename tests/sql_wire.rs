//! SQL by PostgreSQL's protocol through the real server: psql and a driver, TLS, tenants, hostile statements, limits.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use gravity_events::body::UsageTokens;
use gravity_events::{Body, Record};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection, PgConnection, Row};
use support::{Server, free_port};

fn usage(tenant: &str, n: u64) -> Vec<u8> {
    let record = Record {
        id: format!("{n}").into(),
        source: "/gateway".into(),
        tenant: tenant.into(),
        event: None,
        subject: None,
        time_ms: Some(1_780_000_000_000),
        backfill: true,
        body: Body::UsageTokens(UsageTokens {
            model: format!("m{}", n % 3).into(),
            input_tokens: n,
            ..UsageTokens::default()
        }),
    };
    gravity_events::codec::encode(&record)
}

/// Runs psql; gives its exit code, and what it says.
fn psql(port: u16, more: &str, token: &str, sql: &str) -> (i32, String) {
    let address = format!("host=127.0.0.1 port={port} user=someone dbname=gravity {more}");
    let mut command = Command::new("psql");
    command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, &address]).env("PGPASSWORD", token);
    let output = command.stdin(Stdio::null()).output().expect("psql is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), said)
}

fn certificate(dir: &Path) -> (String, String) {
    let (key, certificate) = (dir.join("key.pem"), dir.join("certificate.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    let output = command.output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (certificate.display().to_string(), key.display().to_string())
}

async fn until_in_the_lake(server: &Server, rows: i64) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let told = server.ok(&["sql", "select count(*) as n from lake.usage", "--format", "json"]);
        if serde_json::from_str::<serde_json::Value>(&told).expect("JSON") == json!([{ "n": rows }]) {
            return;
        }
        assert!(std::time::Instant::now() < until, "{told}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// What somebody may try to see or do more than they may, by kind. Written before the door was built.
const HOSTILE: &[&str] = &[
    // Files and places of the server.
    "select * from '/etc/passwd'",
    "select * from read_csv('/etc/passwd')",
    "select * from read_parquet('/etc/passwd')",
    "select pg_read_file('/etc/passwd')",
    "copy (select 1) to '/tmp/gravity-hostile.csv'",
    "copy usage from '/etc/passwd'",
    "create external table x stored as csv location '/etc/passwd'",
    "select lo_import('/etc/passwd')",
    // What changes something.
    "create table x as select 1",
    "create view x as select 1",
    "create function f() returns int return 1",
    "create schema x",
    "drop table lake.usage",
    "drop schema lake cascade",
    "insert into lake.usage select * from lake.usage",
    "update lake.usage set tenant = 'acme'",
    "delete from lake.usage",
    "truncate lake.usage",
    "with x as (insert into lake.usage select * from lake.usage returning *) select * from x",
    "explain analyze insert into lake.usage select * from lake.usage",
    "prepare p as delete from lake.usage",
    "alter table lake.usage add column x int",
    "grant all on lake.usage to public",
    // Settings that are the operator's.
    "set datafusion.runtime.memory_limit = '100G'",
    "set datafusion.execution.target_partitions = 10000",
    "set \"datafusion.execution.batch_size\" = 1",
    "SET LOCAL DataFusion.execution.batch_size TO 1",
    "reset datafusion.runtime.memory_limit",
    // Servers elsewhere.
    "select * from dblink('host=127.0.0.1', 'select 1')",
];

/// Ways to see another tenant's rows. Each has to see none of them.
const NOSY: &[&str] = &[
    "select count(*) from lake.usage where tenant = 'acme'",
    "select count(*) from lake.usage where tenant <> 'rival'",
    "select count(*) from gravity.lake.usage u where u.tenant = 'acme' or true and u.tenant like 'a%'",
    "with x as (select * from lake.usage) select count(*) from x where tenant = 'acme'",
    "select count(*) from (select * from lake.usage union all select * from lake.usage) where tenant = 'acme'",
    "select count(*) from lake.usage a right join lake.usage b on a.id = b.id where b.tenant = 'acme'",
    "select count(*) from lake.usage where exists (select 1 from lake.usage b where b.tenant = 'acme')",
    "select count(*) from live.burn where tenant = 'acme'",
    "select count(*) from lake.refused where tenant = 'acme'",
    "select coalesce(max(n), 0) from (select count(*) over () as n from lake.usage where tenant = 'acme')",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_and_drivers_see_what_their_token_may_see_and_change_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (certificate, key) = certificate(dir.path());
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let env = [
        ("GRAVITY_SQL__LISTEN", listen.as_str()),
        ("GRAVITY_SQL__TLS_CERTIFICATE", &certificate),
        ("GRAVITY_SQL__TLS_KEY", &key),
        ("GRAVITY_SQL__ROWS", "1000"),
        ("GRAVITY_SQL__TIMEOUT_S", "20"),
        ("GRAVITY_LAKE__INTERVAL_MS", "100"),
    ];
    let server = Server::start(dir.path(), &env).await;
    let records: Vec<_> = (1..=20).map(|n| usage("acme", n)).chain((1..=5).map(|n| usage("rival", n))).collect();
    server.send(&records, true).await;
    until_in_the_lake(&server, 25).await;
    let admin = server.token();
    let rival = server.ok(&["token", "analyst", "--tenant", "rival"]);
    let rival = rival.trim();

    // psql: a question, its own questions about what there is, and by TLS, which is checked.
    let sum = "select model, sum(input_tokens) from lake.usage where tenant = 'acme' group by model order by model";
    let sums = "m0|63\nm1|70\nm2|77\n";
    assert_eq!(psql(port, "sslmode=disable", &admin, sum), (0, sums.to_owned()));
    let verified = format!("sslmode=verify-full sslrootcert={certificate}");
    assert_eq!(psql(port, &verified, &admin, sum), (0, sums.to_owned()));
    let (code, said) = psql(port, &verified, &admin, "\\d");
    assert!(code == 0 && said.contains("lake|usage") && said.contains("lake|boards"), "{said}");
    let (code, said) = psql(port, &verified, &admin, "\\dt live.*");
    assert!(code == 0 && said.contains("live|burn"), "{said}");
    let (code, said) = psql(port, &verified, "wrong", "select 1");
    assert!(code == 2 && said.contains("password is an access token"), "{said}");
    let team = server.ok(&["token", "feed"]);
    let (code, said) = psql(port, &verified, team.trim(), "select 1");
    assert!(code == 2 && said.contains("analyst"), "{said}");

    // A driver, with parameters and binary values.
    let options = PgConnectOptions::new().host("127.0.0.1").port(port).username("x").database("gravity");
    let options = options.password(&admin).ssl_mode(PgSslMode::VerifyCa).ssl_root_cert(&certificate);
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options.clone()).await.expect("it connects");
    let of_model = "select input_tokens from lake.usage where model = $1 and input_tokens > $2 order by 1 desc limit 2";
    let rows = sqlx::query(of_model).bind("m1").bind(4_i64).fetch_all(&pool).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>(), [19, 16]);
    for hostile in HOSTILE {
        let simple = sqlx::raw_sql(*hostile).execute(&pool).await;
        assert!(simple.is_err(), "{hostile} was taken: {simple:?}");
        let extended = sqlx::query(*hostile).execute(&pool).await;
        assert!(extended.is_err(), "{hostile} was taken: {extended:?}");
    }
    assert!(!Path::new("/tmp/gravity-hostile.csv").exists());
    let counted = sqlx::query("select count(*) from lake.usage").fetch_one(&pool).await.expect("it goes on");
    assert_eq!(counted.get::<i64, _>(0), 25);
    // Another tenant's rows are nowhere, however it is asked.
    let mut own = PgConnection::connect_with(&options.clone().password(rival)).await.expect("it connects");
    for nosy in NOSY {
        let row = sqlx::query(*nosy).fetch_one(&mut own).await.unwrap_or_else(|e| panic!("{nosy}: {e}"));
        assert_eq!(row.get::<i64, _>(0), 0, "{nosy}");
    }
    let counted = sqlx::query("select count(*) from lake.usage").fetch_one(&mut own).await.expect("rows");
    assert_eq!(counted.get::<i64, _>(0), 5);
    // Limits, and the connection goes on after them.
    let long = "select a.value from generate_series(1, 5000) a";
    let error = sqlx::query(long).fetch_all(&mut own).await.expect_err("too many rows").to_string();
    assert!(error.contains("more than 1000 rows"), "{error}");
    let slow = "select count(*) from generate_series(1, 100000000000) a where a.value = -1";
    let begun = std::time::Instant::now();
    // What a person does who sees that it takes too long: Ctrl-C, which psql sends as a request to cancel.
    let mut command = Command::new("timeout");
    let address = format!("host=127.0.0.1 port={port} user=someone dbname=gravity sslmode=disable");
    command.args(["-s", "INT", "2", "psql", "-X", "-c", slow, &address]).env("PGPASSWORD", &admin);
    let output = command.stdin(Stdio::null()).output().expect("psql is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("user request"), "after {:?}: {said}", begun.elapsed());
    assert_eq!(psql(port, "sslmode=disable", &admin, "select 1"), (0, "1\n".to_owned()));
}

/// Questions on standard input, and commands that people of psql know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_answers_questions_from_its_standard_input() {
    use std::io::Write;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]).await;
    let ask = |args: &[&str], text: &str| {
        let mut command = support::gravity(dir.path(), &server.url);
        command.args(args).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said + &String::from_utf8_lossy(&output.stderr))
    };
    let (done, said) = ask(&["sql", "--format", "csv"], "select 1 as a;\nselect ';'\n as b;\\d views.drop_off\n");
    assert!(done && said.starts_with("a\n1\nb\n;\n") && said.contains("without_pct"), "{said}");
    let (done, said) = ask(&["sql"], "\\d\n");
    assert!(done && ["usage", "funnel", "improved"].iter().all(|name| said.contains(name)), "{said}");
    let (done, said) = ask(&["sql"], "  ;\n");
    assert!(!done && said.contains("no question"), "{said}");
    let (done, said) = ask(&["sql"], "select * from nothing;");
    assert!(!done && said.contains("nothing"), "{said}");
}

/// An answer that is larger than what is held back comes whole; one that fails on its way does not look like a whole one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_by_http_are_streamed_and_end_early_when_they_fail() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[("GRAVITY_SQL__ROWS", "400000")]).await;
    let ask = async |rows: u32, accept: &str| {
        let query = format!("select value, repeat('x', 20) as t from generate_series(1, {rows})");
        let request = support::http().post(format!("{}/api/v1/analytics/sql", server.url));
        let request = request.bearer_auth(server.token()).header("accept", accept).json(&json!({ "query": query }));
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.bytes().await.ok())
    };
    let (status, body) = ask(300_000, "text/csv").await;
    let body = body.expect("it is whole");
    assert_eq!((status, body.iter().filter(|b| **b == b'\n').count()), (200, 300_001));
    let (status, body) = ask(300_000, "application/json").await;
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&body.expect("it is whole")).expect("JSON");
    assert_eq!((status, rows.len(), &rows[299_999]["value"]), (200, 300_000, &json!(300_000)));
    // More rows than are allowed, which shows after the first of them are on their way.
    assert_eq!(ask(500_000, "text/csv").await, (200, None));
    let (status, body) = ask(10, "application/vnd.apache.arrow.stream").await;
    assert!(status == 200 && body.is_some_and(|body| body.starts_with(&[0xff; 4])));
}
