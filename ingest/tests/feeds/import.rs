//! Importing files into a server that fails now and then.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gravity_events::Body;
use gravity_ingest::client::Client;
use gravity_ingest::feeds::clics::ClicsImporter;
use gravity_ingest::feeds::cloudevents::CloudEventsImporter;
use gravity_ingest::feeds::import::{BatchOptions, ImportFailure, ImportOptions, Report, import};
use gravity_ingest::feeds::source::Source;
use gravity_ingest::feeds::{Importer, source_name};

use super::record_server::{Mishap, RecordServer, quick};

pub fn clics() -> ClicsImporter {
    ClicsImporter::new("t", "e", source_name("clics", "e"))
}

fn file(dir: &tempfile::TempDir, text: impl AsRef<[u8]>) -> Source {
    let path: PathBuf = dir.path().join("feed.ndjson");
    std::fs::write(&path, text).unwrap();
    Source::parse(path.to_str().unwrap()).unwrap()
}

async fn run(server: &RecordServer, source: &Source, options: &ImportOptions) -> Report {
    run_with(server, source, options, &mut clics()).await
}

async fn run_with(server: &RecordServer, source: &Source, options: &ImportOptions, i: &mut dyn Importer) -> Report {
    import(&server.client(), source, i, options, &mut |_| {}).await.unwrap()
}

/// `updates` states of each of `teams` teams, interleaved.
fn updates(teams: usize, updates: usize) -> String {
    let line = |u: usize, t: usize| {
        format!(
            "{{\"type\":\"teams\",\"id\":\"{t}\",\"data\":{{\"id\":\"{t}\",\"name\":\"{u}\"}},\"token\":\"{u}-{t}\"}}\n"
        )
    };
    (0..updates).flat_map(|u| (0..teams).map(move |t| line(u, t))).collect()
}

fn names_in_order(server: &RecordServer) -> BTreeMap<String, Vec<String>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for r in &server.taken().records {
        if let Body::TeamRegistered(t) = &r.body {
            names.entry(t.team.to_string()).or_default().push(t.name.clone());
        }
    }
    names
}

fn small() -> ImportOptions {
    ImportOptions { batch: BatchOptions { lanes: 3, records: 20, bytes: 512 << 10 }, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_in_the_order_of_its_object() {
    let server = RecordServer::with(|n| match n % 6 {
        1 => Mishap::CutAfter,
        3 => Mishap::Status(503),
        5 => Mishap::CutBefore,
        _ => Mishap::None,
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let feed = file(&dir, updates(40, 50));
    let report = run(&server, &feed, &small()).await;
    assert_eq!((report.lines, report.sent, report.refused_total(), report.bad_total()), (2000, 2000, 0, 0));
    assert_eq!(report.counted + report.duplicates, 2000, "what an unanswered batch stored is there already");
    let expected: Vec<String> = (0..50).map(|u| u.to_string()).collect();
    let names = names_in_order(&server);
    assert_eq!(names.len(), 40);
    assert!(names.values().all(|n| *n == expected), "{names:?}");
    assert!((2..=3).contains(&server.most_under_way()), "{}", server.most_under_way());
    assert!(server.taken().requests.iter().all(|(records, _)| *records <= 20));

    let again = run(&server, &feed, &small()).await;
    assert_eq!((again.counted, again.duplicates), (0, 2000), "importing again changes nothing");
}

#[tokio::test]
async fn the_first_batch_goes_alone_and_bytes_are_bounded() {
    let server = RecordServer::gated().await;
    let dir = tempfile::tempdir().unwrap();
    let feed = file(&dir, updates(10, 5));
    let mut options = small();
    options.batch.bytes = 900;
    let client = server.client();
    let importing = tokio::spawn(async move { import(&client, &feed, &mut clics(), &options, &mut |_| {}).await });
    while !importing.is_finished() {
        // One permit at a time: requests that come together are seen by the next test of their number.
        if server.taken().requests.is_empty() {
            assert!(server.most_under_way() <= 1);
        }
        server.open();
        tokio::task::yield_now().await;
    }
    importing.await.unwrap().unwrap();
    assert!(
        server.taken().requests.iter().all(|(records, bytes)| *records == 1 || *bytes <= 902),
        "{:?}",
        server.taken().requests
    );
    assert_eq!(server.taken().records.len(), 50);
}

#[tokio::test]
async fn what_cannot_be_used_is_counted_with_examples() {
    let server = RecordServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut text =
        b"\xef\xbb\xbf{\"type\":\"teams\",\"id\":\"1\",\"data\":{\"id\":\"1\",\"name\":\"a\"},\"token\":\"x\"}\n"
            .to_vec();
    text.extend_from_slice(b"\n{oops\n\xff\xfe\n{\"type\":\"runs\",\"id\":\"1\",\"data\":{}}\n");
    text.extend_from_slice(
        b"{\"type\":\"teams\",\"data\":[{\"id\":\"2\"},{\"id\":\"3\",\"hidden\":5}],\"token\":\"y\"}\n",
    );
    text.extend_from_slice(b"{\"type\":\"teams\",\"id\":\"1\",\"data\":{\"id\":\"1\",\"name\":\"b\"},\"token\":\"x\"}");
    let mut progress = Vec::new();
    let feed = file(&dir, text);
    let mut importer = clics();
    let report =
        import(&server.client(), &feed, &mut importer, &ImportOptions::default(), &mut |r| progress.push(r.sent))
            .await
            .unwrap();
    assert_eq!((report.lines, report.sent, report.counted), (7, 4, 3));
    let cases = |m: &BTreeMap<String, gravity_ingest::feeds::import::Cases>| {
        m.iter().map(|(k, c)| (k.clone(), c.count)).collect::<Vec<_>>()
    };
    assert_eq!(cases(&report.refused), [("conflict".to_string(), 1)]);
    assert_eq!(report.refused["conflict"].examples, ["teams/1/x: other data"]);
    let bad = [("bad_object".to_string(), 1), ("not_json".to_string(), 1), ("not_text".to_string(), 1)];
    assert_eq!(cases(&report.bad_lines), bad);
    assert!(report.bad_lines["not_json"].examples[0].starts_with("line 3: not JSON"));
    assert!(report.bad_lines["bad_object"].examples[0].starts_with("line 6: teams `3`"));
    assert_eq!(report.skipped["runs"], 1);
    assert_eq!(progress, [4]);
}

#[tokio::test]
async fn cloudevents_keep_their_own_tenant_and_the_first_payload_counts() {
    let server = RecordServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let line = |id: &str, tenant: &str, tokens: usize| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"s\",\"type\":\"usage.tokens\",\"tenant\":\"{tenant}\",\"time\":\"2020-01-01T00:00:00Z\",\"data\":{{\"model\":\"m\",\"input_tokens\":{tokens},\"output_tokens\":0}}}}\n"
        )
    };
    let mut text: String = (0..300).map(|n| line(&format!("r{n}"), ["a", "b"][n % 2], n)).collect();
    text += &(0..300).map(|n| line(&format!("r{n}"), ["a", "b"][n % 2], n + usize::from(n < 10))).collect::<String>();
    let feed = file(&dir, text);
    let report = run_with(&server, &feed, &small(), &mut CloudEventsImporter::new(None, None)).await;
    assert_eq!((report.counted, report.duplicates, report.refused["conflict"].count), (300, 290, 10));
    let taken = server.taken();
    assert!(taken.records.iter().all(|r| r.backfill && r.id == format!("r{}", tokens(&r.body)).as_str()));
}

fn tokens(body: &Body) -> u64 {
    let Body::UsageTokens(u) = body else { panic!("{body:?}") };
    u.input_tokens
}

#[tokio::test]
async fn gives_up_with_what_was_done() {
    let server = RecordServer::with(|n| if n < 2 { Mishap::None } else { Mishap::Status(503) }).await;
    let dir = tempfile::tempdir().unwrap();
    let feed = file(&dir, updates(40, 50));
    let client = Client::with_retry(&server.url, None, quick(Duration::from_millis(100))).unwrap();
    let error = import(&client, &feed, &mut clics(), &small(), &mut |_| {}).await.unwrap_err();
    assert!(matches!(error.cause, ImportFailure::Client(_)), "{error}");
    assert_eq!(error.report.counted, server.taken().records.len() as u64);
    assert_eq!(error.report.counted, 40);
}

#[tokio::test]
async fn a_recording_is_played_at_its_pace() {
    let server = RecordServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let line = |n: u32| {
        format!(
            "{{\"type\":\"submissions\",\"id\":\"{n}\",\"data\":{{\"id\":\"{n}\",\"team_id\":\"1\",\"problem_id\":\"p\",\"time\":\"2025-03-02T09:{:02}:00Z\"}},\"token\":\"{n}\"}}\n",
            10 * n
        )
    };
    let feed = file(&dir, (0..3).map(line).collect::<String>());
    let began = Instant::now();
    let mut sent = Vec::new();
    let options = ImportOptions { speed: Some(20_000.0), ..Default::default() };
    import(&server.client(), &feed, &mut clics(), &options, &mut |r| sent.push(r.sent)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(60), "twenty minutes at 20,000 times their pace");
    assert_eq!(sent, [1, 2, 3], "each moment is shown before the next one is due");
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = ImportOptions { speed: Some(speed), ..Default::default() };
        let error = import(&server.client(), &feed, &mut clics(), &options, &mut |_| {}).await.unwrap_err();
        assert!(matches!(error.cause, ImportFailure::Speed(_)));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_so() {
    let server = RecordServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_path_buf(), dir.path().join("absent")] {
        let source = Source::File(path.clone());
        let error = import(&server.client(), &source, &mut clics(), &small(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(error.cause, ImportFailure::Source(_)));
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
