//! What operators watch: every query of a dashboard or a rule gives data of a real server in a real Prometheus, and alerts
//! go through a real Alertmanager to who has to hear them.

#[path = "observability/receivers.rs"]
mod receivers;
mod support;
#[path = "observability/watchers.rs"]
mod watchers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use gravity_events::body::*;
use gravity_events::{Body, Record};
use serde_json::Value;
use support::contest::{attempt, reference};
use support::{Server, free_port};
use watchers::{Watchers, run, shipped};

const EVENT: &str = "watched";
/// Long enough that a test which has to wait for it has failed.
const LONG: Duration = Duration::from_secs(120);

fn page(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn files(folder: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

#[test]
fn rules_routes_and_dashboards_are_what_their_programs_want() {
    run("promtool", &["check", "rules", "rules/slo.yml", "rules/alerts.yml"]);
    run("promtool", &["test", "rules", "tests/alerts.yml"]);
    run("amtool", &["check-config", "alertmanager.yml"]);
    for (severity, receiver) in [("page", "pager"), ("ticket", "mail")] {
        let args = ["config", "routes", "test", "--config.file=alertmanager.yml", &format!("severity={severity}")];
        assert!(run("amtool", &args).lines().any(|line| line == receiver), "{severity} goes to {receiver}");
    }
    // With -B nothing is left beside the sources.
    run("python", &["-B", "source/build.py", "--check", "dashboards"]);
}

/// The values of a key in the rules' file, which is written plainly enough.
fn values<'a>(rules: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    rules.lines().filter_map(move |line| line.trim().trim_start_matches("- ").strip_prefix(key)).map(str::trim)
}

#[test]
fn every_alert_is_tested_and_has_a_page_whose_commands_exist() {
    let (rules, tests) = (page(&shipped().join("rules/alerts.yml")), page(&shipped().join("tests/alerts.yml")));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for alert in values(&rules, "alert:") {
        let quiet = format!("alertname: {alert}}}");
        assert!(tests.contains(&quiet), "{alert} is not tested to be quiet when all is well");
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        assert!(tests.contains(&fires), "{alert} is not tested to fire");
    }
    let pages: BTreeSet<&str> = values(&rules, "runbook:").collect();
    let there = files(&root.join("docs/runbooks"), "md");
    let there: BTreeSet<_> =
        there.iter().map(|p| p.strip_prefix(root).expect("in it").to_str().expect("text")).collect();
    assert_eq!(pages, there);
    let (mut known, dir) = (BTreeSet::new(), tempfile::tempdir().expect("a folder"));
    for page_of_alert in there {
        let text = page(&root.join(page_of_alert));
        for shown in text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("gravity ")) {
            let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
            let words: Vec<String> = shown.split(' ').take_while(is_word).map(str::to_owned).collect();
            if known.insert(words.clone()) {
                let help = support::gravity(dir.path(), "").args(&words).arg("--help").output().expect("it runs");
                assert!(help.status.success(), "{page_of_alert}: there is no `gravity {}`", words.join(" "));
            }
        }
    }
    assert!(known.len() > 5);
}

/// All queries that dashboards make, with what Grafana would put in, by where they stand.
fn queries() -> BTreeMap<String, String> {
    let mut queries = BTreeMap::new();
    for file in files(&shipped().join("dashboards"), "json") {
        let dashboard: Value = serde_json::from_str(&page(&file)).expect("JSON");
        for (n, panel) in dashboard["panels"].as_array().expect("panels").iter().enumerate() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().expect("a query");
                let query = query.replace("$instance", ".*").replace("$__rate_interval", "15s");
                let at = format!("{} / {n} {} / {}", dashboard["title"], panel["title"], target["refId"]);
                queries.insert(at, query);
            }
        }
    }
    queries
}

/// Names of metrics that a text speaks of.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|w| ["gravity_", "gravity:", "process_"].iter().any(|p| w.starts_with(p))).collect()
}

fn record(tenant: &str, id: String, event: Option<&str>, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: "/watched".into(),
        tenant: tenant.into(),
        event: event.map(Into::into),
        subject: None,
        time_ms: Some(1_780_000_000_000),
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

/// Something of everything: a contest, what is refused, usage with prices and a budget, labs.
fn beginnings() -> Vec<Vec<u8>> {
    let price =
        |kind: &str| Price { model: "m".into(), kind: kind.into(), micro_per_million: 1_000_000, tiers: vec![] };
    let prices = PricePublished {
        price_list: "list".into(),
        version: 1,
        currency: "EUR".into(),
        effective_at: None,
        prices: vec![price("input"), price("output")],
    };
    let budget = BudgetSet {
        budget: "all".into(),
        team: None,
        limit_micro: 100,
        currency: "EUR".into(),
        alerts_bp: vec![10_000],
        soft: true,
    };
    let lab = |lab: &str| LabState { lab: lab.into(), reason: None };
    let waits = LabProvisionRequested { lab: "waits".into(), template: "t".into(), team: None };
    let mut records = reference(EVENT, 20, 5);
    records.extend([
        record("uni", "prices".to_owned(), None, Body::PricePublished(prices)),
        record("uni", "budget".to_owned(), None, Body::BudgetSet(budget)),
        record("uni", "waits".to_owned(), None, Body::LabProvisionRequested(waits)),
        record("uni", "ready".to_owned(), None, Body::LabReady(lab("ready"))),
        record("uni", "failed".to_owned(), None, Body::LabFailed(lab("failed"))),
    ]);
    records
}

/// What goes on all the time, the n-th of it.
fn load(n: u32) -> Vec<Vec<u8>> {
    let mut records = attempt(EVENT, n, 20, 5);
    let usage = UsageTokens {
        model: "m".into(),
        input_tokens: 1_000,
        output_tokens: 10,
        cached_tokens: 10,
        ..UsageTokens::default()
    };
    let telemetry = LabTelemetry { lab: "ready".into(), metric: "cpu".into(), value: n.into() };
    records.push(record("uni", format!("usage{n}"), None, Body::UsageTokens(usage)));
    records.push(record("uni", format!("telemetry{n}"), None, Body::LabTelemetry(telemetry)));
    // Once more, and what belongs to another tenant.
    records.push(records[0].clone());
    let team = TeamRegistered { team: format!("stolen{n}").into(), name: "Thieves".to_owned(), ..Default::default() };
    records.push(record("thief", format!("stolen{n}"), Some(EVENT), Body::TeamRegistered(team)));
    records
}

async fn until<T>(what: &str, server: &Server, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + LONG;
    loop {
        let why = match look().await {
            Ok(found) => return found,
            Err(why) => why,
        };
        assert!(Instant::now() < end, "{what}: {why}\nserver: {}", server.log());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_has_data_and_alerts_reach_who_has_to_hear_them() {
    let (dir, watch_dir) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (metrics_at, held) = (format!("127.0.0.1:{}", free_port()), dir.path().join("held"));
    let env = [
        ("GRAVITY_METRICS__LISTEN", metrics_at.as_str()),
        ("GRAVITY_LAKE__INTERVAL_MS", "200"),
        ("GRAVITY_FAILPOINT", "commit.before_append:1:hold"),
        ("GRAVITY_FAILPOINT_HOLD", held.to_str().expect("text")),
    ];
    let server = Server::start(dir.path(), &env).await;
    let (pager_at, paged) = receivers::pager().await;
    let (mail_at, mailed) = receivers::mail().await;
    let watchers = Watchers::start(watch_dir.path(), &metrics_at, pager_at, mail_at);
    server.send(&beginnings(), true).await;

    // Every query, while something of everything goes on.
    let (mut missing, mut n) = (queries(), 0);
    assert!(missing.len() > 50, "{} queries", missing.len());
    until("queries without data", &server, async || {
        server.send(&(n..n + 5).flat_map(load).collect::<Vec<_>>(), true).await;
        n += 5;
        let mut left = BTreeMap::new();
        for (at, query) in std::mem::take(&mut missing) {
            let samples = watchers.query(&query).await;
            let is_number = |sample: &Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
            if !samples.as_ref().is_ok_and(|samples| samples.iter().any(is_number)) {
                left.insert(at, query);
            }
        }
        missing = left;
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:#?}")) }
    })
    .await;

    // Every metric that is spoken of is there.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut spoken = page(&root.join("docs/operating.md"));
    for file in [files(&shipped().join("rules"), "yml"), files(&root.join("docs/runbooks"), "md")].concat() {
        spoken.push_str(&page(&file));
    }
    let spoken = metrics(&spoken);
    assert!(spoken.len() > 20, "{spoken:?}");
    until("metrics that nothing exports", &server, async || {
        let mut absent = Vec::new();
        for name in &spoken {
            // A histogram is spoken of by its name, and exported by its parts.
            let query = format!("{{__name__=~\"{name}(_bucket)?\"}}");
            if !watchers.query(&query).await.is_ok_and(|samples| !samples.is_empty()) {
                absent.push(*name);
            }
        }
        if absent.is_empty() { Ok(()) } else { Err(format!("{absent:?}")) }
    })
    .await;

    // Records that were refused are for the morning; so is a budget that was spent.
    until("mails", &server, async || {
        server.send(&(n..n + 5).flat_map(load).collect::<Vec<_>>(), true).await;
        n += 5;
        let mails = mailed.lock().join("\n");
        let has_all = ["DeadLetters", "docs/runbooks/dead-letters.md"].iter().all(|part| mails.contains(part));
        if has_all { Ok(()) } else { Err(format!("{mails}\n{}", watchers.said())) }
    })
    .await;

    // Nothing is committed any more: somebody is called, and told when it is over.
    std::fs::write(&held, "").expect("written");
    for _ in 0..20 {
        let statuses =
            server.send(&(n..n + 100).flat_map(|n| attempt(EVENT, n, 20, 5)).collect::<Vec<_>>(), false).await;
        assert!(statuses.iter().all(|s| s == "accepted"), "what comes is durable all the same: {statuses:?}");
        n += 100;
    }
    let of_drain = |action: &'static str, paged: &[Value]| {
        let drain = |event: &&Value| event["payload"]["summary"].as_str().is_some_and(|s| s.contains("to catch up"));
        paged.iter().filter(|event| event["event_action"] == action).filter(drain).cloned().collect::<Vec<_>>()
    };
    let page = until("a page", &server, async || {
        let paged = paged.lock();
        of_drain("trigger", &paged).pop().ok_or(format!("{paged:#?}"))
    })
    .await;
    assert_eq!(page["routing_key"], "a-key");
    assert_eq!(page["payload"]["custom_details"]["runbook"], "docs/runbooks/drain-takes-long.md");
    assert!(of_drain("resolve", &paged.lock()).is_empty(), "it is not over yet");
    std::fs::remove_file(&held).expect("removed");
    until("the end of it", &server, async || {
        let paged = paged.lock();
        paged
            .iter()
            .any(|event| event["event_action"] == "resolve" && event["dedup_key"] == page["dedup_key"])
            .then_some(())
            .ok_or(format!("{paged:#?}"))
    })
    .await;
    server.ok(&["verify"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traced_submission_is_followed_from_its_request_to_the_stream_that_shows_it() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let dir = tempfile::tempdir().expect("a folder");
    let (collector_at, spans) = receivers::collector().await;
    let endpoint = format!("http://{collector_at}");
    let env = [
        ("GRAVITY_TRACES__ENDPOINT", endpoint.as_str()),
        ("GRAVITY_TRACES__PER_MILLION", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("GRAVITY_LOG", "info,gravity_api=debug"),
        ("GRAVITY_LOG_FORMAT", "json"),
    ];
    let mut server = Server::start(dir.path(), &env).await;
    server.send(&reference(EVENT, 2, 2), true).await;
    let (_, watching) = support::watcher::follow(server.url.clone(), format!("/api/v1/events/{EVENT}/board/stream"));
    until("a watcher", &server, async || {
        let (_, metrics) = server.get("/metrics").await;
        metrics.contains("gravity_stream_subscribers 1").then_some(()).ok_or(metrics)
    })
    .await;
    let records = attempt(EVENT, 0, 2, 2);
    let body = [b"[".as_slice(), &records.join(&b","[..]), b"]"].concat();
    let request = support::http()
        .post(format!("{}/api/v1/records?wait=visible", server.url))
        .bearer_auth(server.token())
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .header("x-request-id", "traced")
        .header("content-type", "application/cloudevents-batch+json");
    assert_eq!(request.body(body).send().await.expect("an answer").status(), 200);
    let spans = until("four spans", &server, async || {
        let spans = spans.lock();
        let of_it: BTreeMap<String, Value> = spans
            .iter()
            .filter(|span| span["traceId"] == TRACE)
            .map(|span| (span["name"].as_str().unwrap_or_default().to_owned(), span.clone()))
            .collect();
        if of_it.len() == 4 { Ok(of_it) } else { Err(format!("{spans:#?}")) }
    })
    .await;
    assert_eq!(
        spans.keys().map(String::as_str).collect::<Vec<_>>(),
        ["POST /api/v1/records", "append", "epoch", "stream"]
    );
    let at =
        |name: &str, field: &str| spans[name][field].as_str().and_then(|ns| ns.parse::<u64>().ok()).expect("a time");
    let request = &spans["POST /api/v1/records"];
    assert_eq!(request["parentSpanId"], "00f067aa0ba902b7");
    for (name, before) in [("append", None), ("epoch", Some("append")), ("stream", Some("epoch"))] {
        assert_eq!(spans[name]["parentSpanId"], request["spanId"], "{name}");
        assert!(at(name, "startTimeUnixNano") <= at(name, "endTimeUnixNano"), "{name}");
        let before =
            before.map_or(at("POST /api/v1/records", "startTimeUnixNano"), |before| at(before, "endTimeUnixNano"));
        assert!(before <= at(name, "startTimeUnixNano"), "{name} begins before what it follows");
    }
    watching.abort();
    assert_eq!(server.terminate(), Some(0), "{}", server.log());
    let log = page(&dir.path().join("server.log"));
    // What `up` says to people stands between them.
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<Value> =
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let of_request: Vec<_> = lines.iter().filter(|line| line["request_id"] == "traced").collect();
    assert!(!of_request.is_empty() && of_request.iter().all(|line| line["trace_id"] == TRACE), "{of_request:?}");
}
