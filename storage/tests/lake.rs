//! The lake's writer on the embedded log: what counted is in the tables once, whatever was interrupted; in a folder, and in a
//! bucket of a real S3 server, with requests that fail.

#![allow(clippy::unwrap_used)] // its helpers, too, are tests

#[path = "support/faulty_proxy.rs"]
mod faulty_proxy;
#[path = "support/s3_server.rs"]
mod s3_server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use faulty_proxy::{FAULTS, FaultyProxy};
use gravity_events::body::{AnalyticsChanged, EpochAccepted, RefusedRun, TopicBounds, UsageTokens};
use gravity_events::{Body, Position, Record, Topic};
use gravity_ingest::failpoint::{Action, Failpoints, LAKE};
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions};
use gravity_ingest::log::{Log, Produce};
use gravity_storage::lake::schema::{Row, tables};
use gravity_storage::lake::table::{LakeTable, Positions};
use gravity_storage::lake::writer::{LakeOptions, LakeWriter};
use gravity_storage::objects::{Objects, S3Options};
use gravity_storage::sql::{Limits, Scope, SqlEngine, SqlError};
use s3_server::S3Server;
use tokio_util::sync::CancellationToken;

const DAY_MS: i64 = 86_400_000;

fn usage(tenant: &str, n: i64) -> Record {
    Record {
        id: format!("r{n}").into(),
        source: "/test".into(),
        tenant: tenant.into(),
        event: Some("cup".into()),
        subject: Some(format!("{tenant}/user-{}", n % 7).into()),
        // Over three days.
        time_ms: Some(20_000 * DAY_MS + n * DAY_MS / 2),
        backfill: true,
        body: Body::UsageTokens(UsageTokens {
            model: "m".into(),
            input_tokens: n as u64,
            output_tokens: 1,
            ..UsageTokens::default()
        }),
    }
}

struct World {
    log: Arc<dyn Log>,
    objects: Objects,
    dir: tempfile::TempDir,
    epoch: u64,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&dir.path().join("log"), EmbeddedOptions::default()).unwrap();
        let objects = Objects::folder(&dir.path().join("lake")).unwrap();
        World { log: Arc::new(log), objects, dir, epoch: 0 }
    }

    /// With its lake in a folder of a bucket, behind a port.
    fn in_bucket(folder: &str, port: u16) -> World {
        World { objects: bucket(folder, port), ..World::new() }
    }

    async fn append(&self, records: &[Record]) {
        self.log.append(records.iter().map(Produce::from).collect()).await.unwrap();
    }

    /// Says that all usage so far is judged, and that of each partition the record at every `nth` offset is a duplicate.
    async fn judge(&mut self, nth: u64) -> u64 {
        let topic = Topic::Usage;
        let mut refused = Vec::new();
        let mut offsets = Vec::new();
        for partition in 0..self.log.partitions(topic) {
            let (_, end) = self.log.range(topic, partition).unwrap();
            offsets.push((partition, end));
            refused.extend((0..end).filter(|offset| nth > 0 && offset % nth == nth - 1).map(|offset| RefusedRun {
                topic: topic.name().into(),
                partition,
                offset,
                records: 1,
                code: "duplicate".into(),
                detail: None,
            }));
        }
        let count = refused.len() as u64;
        self.epoch += 1;
        let bounds = vec![TopicBounds { topic: topic.name().into(), offsets }];
        let body = EpochAccepted { pipeline: "burn".into(), epoch: self.epoch, bounds, refused };
        let record = Record {
            id: self.epoch.to_string().into(),
            source: "pipeline:burn".into(),
            tenant: "-".into(),
            event: None,
            subject: None,
            time_ms: None,
            backfill: false,
            body: Body::EpochAccepted(body),
        };
        self.append(&[record]).await;
        count
    }

    fn writer(&self, failpoints: Failpoints) -> LakeWriter {
        let options = LakeOptions {
            interval: Duration::from_millis(20),
            rows_max: 40,
            compact_files: 6,
            upkeep_interval: Duration::from_millis(100),
            failpoints,
            ..LakeOptions::default()
        };
        LakeWriter::new(self.log.clone(), self.objects.clone(), options)
    }

    /// Brings everything that is judged into the lake.
    async fn write(&self) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.writer(Failpoints::default()).run(stop).await;
    }

    fn engine(&self) -> SqlEngine {
        SqlEngine::new(self.objects.clone(), Vec::new(), self.dir.path().join("spill"), Limits::default()).unwrap()
    }

    async fn numbers(&self, scope: &Scope, sql: &str) -> Vec<i64> {
        let batches = self.engine().query(scope, sql).await.unwrap().collect().await.unwrap();
        let columns = batches.iter().flat_map(|batch| batch.columns().to_vec());
        columns
            .flat_map(|c| c.as_primitive::<Int64Type>().iter().map(|n| n.unwrap_or(-1)).collect::<Vec<_>>())
            .collect()
    }
}

fn bucket(folder: &str, port: u16) -> Objects {
    let options = S3Options {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: Some("us-east-1".into()),
        access_key_id: Some("gravity".into()),
        secret_access_key: Some("gravity-secret".into()),
        timeout: Some(Duration::from_secs(1)),
    };
    Objects::open(&format!("s3://lake/{folder}"), &options).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counted_is_in_the_table_once() {
    let s3 = S3Server::start();
    for world in [World::new(), World::in_bucket("once", s3.port())] {
        counted_once(world).await;
    }
}

async fn counted_once(mut world: World) {
    world.append(&(0..100).map(|n| usage("acme", n)).collect::<Vec<_>>()).await;
    let refused = world.judge(5).await;
    world.write().await;
    let all = "select count(*), count(distinct id) from lake.usage";
    assert_eq!(world.numbers(&Scope::All, all).await, [100 - refused as i64; 2]);
    assert_eq!(
        world.numbers(&Scope::All, "select count(*) from lake.refused where code = 'duplicate'").await,
        [refused as i64]
    );
    // Not judged yet, so not there.
    world.append(&(100..150).map(|n| usage("other", n)).collect::<Vec<_>>()).await;
    world.write().await;
    assert_eq!(world.numbers(&Scope::All, all).await, [100 - refused as i64; 2]);
    let refused = world.judge(0).await;
    assert_eq!(refused, 0);
    world.write().await;
    assert_eq!(world.numbers(&Scope::All, "select count(*) from lake.usage where tenant = 'other'").await, [50]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_ends_while_its_topics_go_on() {
    let world = World::new();
    let changed = |n: i64| Record {
        body: Body::AnalyticsChanged(AnalyticsChanged {
            view: "solves".into(),
            window_start: None,
            contest_minute_ms: None,
            by: None,
            team: None,
            numbers: [("n".into(), n)].into(),
        }),
        ..usage("acme", 1)
    };
    world.append(&[changed(0)]).await;
    let log = world.log.clone();
    let goes_on = tokio::spawn(async move {
        for n in 1.. {
            log.append(vec![Produce::from(&changed(n))]).await.unwrap();
        }
    });
    tokio::time::timeout(Duration::from_secs(60), world.write()).await.expect("what comes meanwhile is not waited for");
    goes_on.abort();
    assert!(world.numbers(&Scope::All, "select count(*) from lake.analytics").await[0] > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releases_with_fewer_and_more_columns_write_to_one_table() {
    let mut world = World::new();
    let spec = |without: &'static str| {
        let mut usage = tables().into_iter().find(|table| table.name == "usage").unwrap();
        usage.columns.retain(|column| column.name != without);
        Arc::new(usage)
    };
    let row = |n: i64| Row {
        position: Position { topic: Topic::Usage, partition: 0, offset: n as u64 },
        appended_at_ms: 0,
        record: Some(usage("acme", n)),
        raw: Bytes::new(),
        refused: None,
    };
    let open = async |without| LakeTable::open(&world.objects, spec(without)).await.unwrap();
    open("output_tokens").await.append(&[row(1), row(2)], &Positions::new()).await.unwrap();
    // Done before there are rows to write: who asks finds it.
    drop(open("").await);
    let numbers = "select count(*), count(output_tokens), count(input_tokens) from lake.usage";
    assert_eq!(world.numbers(&Scope::All, numbers).await, [2, 0, 2]);
    open("").await.append(&[row(3)], &Positions::new()).await.unwrap();
    // The older release goes on beside it.
    open("output_tokens").await.append(&[row(4)], &Positions::new()).await.unwrap();
    assert_eq!(world.numbers(&Scope::All, numbers).await, [4, 1, 4]);
    world.append(&(5..10).map(|n| usage("acme", n)).collect::<Vec<_>>()).await;
    world.judge(0).await;
    world.write().await;
    assert_eq!(world.numbers(&Scope::All, numbers).await, [9, 6, 9]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_sees_its_own_rows_and_no_others() {
    let mut world = World::new();
    world
        .append(&(0..60).map(|n| usage(if n % 3 == 0 { "acme" } else { "it's, 100%/other" }, n)).collect::<Vec<_>>())
        .await;
    world.judge(0).await;
    world.write().await;
    let acme = Scope::Tenant("acme".into());
    let other = Scope::Tenant("it's, 100%/other".into());
    for sql in
        ["select count(*) from lake.usage", "select count(*) from usage", "select count(*) from gravity.lake.usage"]
    {
        assert_eq!(world.numbers(&acme, sql).await, [20], "{sql}");
        assert_eq!(world.numbers(&other, sql).await, [40], "{sql}");
        assert_eq!(world.numbers(&Scope::Tenant("nobody".into()), sql).await, [0], "{sql}");
    }
    // Whatever is asked of other tenants' rows, there are none: not even one to fail on.
    for sql in [
        "select count(*) from usage where tenant <> 'acme'",
        "select count(*) from usage where tenant <> 'acme' or true and tenant > 'b'",
        "select count(*) from usage where cast(substr(tenant, 1, 2) as int) > 0 and tenant <> 'acme'",
        "with x as (select * from lake.usage) select count(*) from x where tenant like '%other'",
        "select count(*) from (select * from usage union all select * from usage) where tenant <> 'acme'",
    ] {
        let answer = world.engine().query(&acme, sql).await.unwrap().collect().await;
        match answer {
            Ok(batches) => assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 0, "{sql}"),
            Err(e) => assert!(!e.to_string().contains("it"), "{sql}: {e}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_reads_the_catalogue_is_answered() {
    let world = World::new();
    let engine = world.engine();
    let file = world.dir.path().join("secret.csv");
    std::fs::write(&file, "a\n1\n").unwrap();
    let path = file.display();
    for sql in [
        "create table x as select 1".to_owned(),
        "create view x as select 1".to_owned(),
        format!("create external table x stored as csv location '{path}'"),
        "drop table lake.usage".to_owned(),
        "insert into lake.usage select * from lake.usage".to_owned(),
        "delete from lake.usage".to_owned(),
        "update lake.usage set tenant = 'x'".to_owned(),
        format!("copy (select 1) to '{path}'"),
        "set datafusion.catalog.information_schema = true".to_owned(),
        format!("select * from '{path}'"),
        format!("select * from \"{path}\""),
        format!("select * from read_csv('{path}')"),
        "select * from lake.nothing".to_owned(),
        "selec 1".to_owned(),
        "select 1; select 2".to_owned(),
        "prepare p as select 1".to_owned(),
        "begin".to_owned(),
    ] {
        let error = engine.query(&Scope::All, &sql).await.err().unwrap_or_else(|| panic!("{sql} was answered"));
        assert!(matches!(error, SqlError::Query(_)), "{sql}: {error:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\n1\n");
    let names = "select table_schema || '.' || table_name from information_schema.tables where table_schema = 'lake' order by 1";
    let batches = engine.query(&Scope::All, names).await.unwrap().collect().await.unwrap();
    let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, tables().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold() {
    let world = World::new();
    let limits = Limits {
        memory_bytes: 16 << 20,
        spill_bytes: 32 << 20,
        time: Duration::from_millis(1_500),
        rows: 1_000,
        concurrency: 1,
    };
    let engine = SqlEngine::new(world.objects.clone(), Vec::new(), world.dir.path().join("spill"), limits).unwrap();
    let ask = async |sql: &str| engine.query(&Scope::All, sql).await?.collect().await;
    let error = ask("select value from generate_series(1, 100000)").await.unwrap_err();
    assert!(matches!(error, SqlError::Rows { limit: 1_000 }), "{error:?}");
    let endless = "select count(*) from generate_series(1, 1000000000000) where value % 7 = 3";
    let error = ask(endless).await.unwrap_err();
    assert!(matches!(error, SqlError::Time { .. }), "{error:?}");
    let wide = "select count(*) from (select value, repeat(cast(value as varchar), 60) as t from generate_series(1, 3000000) order by t desc)";
    let error = ask(wide).await.err();
    assert!(matches!(error, None | Some(SqlError::Memory { .. } | SqlError::Time { .. })), "{error:?}");
    let first = engine.query(&Scope::All, "select 1").await.unwrap();
    assert!(matches!(engine.query(&Scope::All, "select 1").await.err(), Some(SqlError::Busy { limit: 1 })));
    drop(first);
    assert_eq!(ask("select 1").await.unwrap()[0].num_rows(), 1);
}

/// Behind a network and a server that fail in every way, while a reader, whose own requests succeed, looks on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_fail_and_stall_lose_nothing_and_double_nothing() {
    let s3 = S3Server::start();
    let proxy = FaultyProxy::start(s3.port(), Duration::from_millis(1_200)).await;
    let mut world = World::in_bucket("faulty", proxy.port);
    let reader = World::in_bucket("faulty", s3.port());
    let writer = Arc::new(world.writer(Failpoints::default()));
    let stop = CancellationToken::new();
    let (running, ends) = (writer.clone(), stop.clone());
    let task = tokio::spawn(async move { running.run(ends).await });
    let mut passes = writer.passes();
    let counts = "select count(*), count(distinct id) from lake.usage";
    let (mut refused, mut before) = (0, 0);
    for round in 0..3 {
        let from = round * 30;
        world.append(&(from..from + 30).map(|i| usage("acme", i)).collect::<Vec<_>>()).await;
        refused = world.judge(6).await;
        passes.changed().await.unwrap();
        let seen = reader.numbers(&Scope::All, counts).await;
        assert!(seen[0] == seen[1] && seen[0] >= before, "round {round}: {seen:?} after {before}");
        before = seen[0];
    }
    stop.cancel();
    task.await.unwrap();
    world.objects = bucket("faulty", s3.port());
    world.write().await;
    let expected = 90 - refused as i64;
    assert_eq!(world.numbers(&Scope::All, counts).await, [expected; 2]);
    assert_eq!(world.numbers(&Scope::All, "select count(*) from lake.refused").await, [refused as i64]);
    for (name, n) in FAULTS.iter().zip(proxy.faults.iter()) {
        assert!(n.load(Ordering::Relaxed) > 0, "no request was {name}");
    }
}

/// What is older than is kept goes, part by part, and its objects with it; what is newer stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_days_go_and_so_do_objects_that_nobody_needs() {
    let mut world = World::new();
    let now_ms = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let aged = |n: i64| Record { time_ms: Some(now_ms - n * DAY_MS), ..usage("acme", n) };
    for n in 0..10 {
        world.append(&[aged(n)]).await;
        world.judge(0).await;
        world.write().await;
    }
    let objects = || {
        let files = walk(&world.dir.path().join("lake/usage"));
        files.iter().filter(|path| path.extension().is_some_and(|e| e == "parquet")).count()
    };
    assert_eq!(objects(), 10);
    let options = LakeOptions {
        interval: Duration::from_millis(20),
        retention: Some(Duration::from_millis((4 * DAY_MS) as u64)),
        vacuum_after: Duration::ZERO,
        upkeep_interval: Duration::ZERO,
        failpoints: Failpoints::default(),
        ..LakeOptions::default()
    };
    let writer = Arc::new(LakeWriter::new(world.log.clone(), world.objects.clone(), options));
    let (running, stop) = (writer.clone(), CancellationToken::new());
    let ends = stop.clone();
    let task = tokio::spawn(async move { running.run(ends).await });
    let mut passes = writer.passes();
    // Upkeep follows a pass: after three there was one, and nothing new came.
    for _ in 0..3 {
        passes.changed().await.unwrap();
    }
    stop.cancel();
    task.await.unwrap();
    assert_eq!(world.numbers(&Scope::All, "select count(*), count(distinct id) from lake.usage").await, [5, 5]);
    assert_eq!(objects(), 5);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Each failpoint, at several passages: the writer fails there, begins again by itself, and nothing is lost or double.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_fails_anywhere_goes_on_exactly() {
    for (n, name) in LAKE.iter().enumerate() {
        for nth in [1, 2] {
            let mut world = World::new();
            let failpoints = Failpoints::arm(name, nth, Action::Fail);
            let writer = Arc::new(world.writer(failpoints.clone()));
            let stop = CancellationToken::new();
            let (running, ends) = (writer.clone(), stop.clone());
            let task = tokio::spawn(async move { running.run(ends).await });
            let mut passes = writer.passes();
            let mut refused = 0;
            for round in 0..5 {
                let from = round * 30;
                world.append(&(from..from + 30).map(|i| usage("acme", i)).collect::<Vec<_>>()).await;
                refused = world.judge(4 + n as u64).await;
                passes.changed().await.unwrap();
            }
            stop.cancel();
            task.await.unwrap();
            // One more, as after a restart.
            world.write().await;
            let expected = 150 - refused as i64;
            let counts = world.numbers(&Scope::All, "select count(*), count(distinct id) from lake.usage").await;
            assert_eq!(counts, [expected; 2], "{name} {nth}");
            let of_refused = world.numbers(&Scope::All, "select count(*) from lake.refused").await;
            assert_eq!(of_refused, [refused as i64], "{name} {nth}");
            assert!(failpoints.acted(), "{name} {nth} was never passed");
        }
    }
}
