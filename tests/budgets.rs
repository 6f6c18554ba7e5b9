//! Budgets through the real server, on SQLite and on PostgreSQL, killed at every failpoint of the ledger and of pipelines: what was
//! reserved, settled and used is what clients were told, once.

#[path = "../storage/tests/support/postgres_server.rs"]
mod postgres_server;
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gravity_events::body::{BudgetSet, Price, PricePublished, UsageTokens};
use gravity_events::{Body, Record};
use gravity_ingest::failpoint::{LEDGER, PIPELINES};
use gravity_operators::harness::dice::Dice;
use postgres_server::PostgresServer;
use serde_json::{Value, json};
use support::Server;
use support::environment::seed;

const TENANT: &str = "acme/one";
const BUDGETS: &str = "/api/v1/billing/tenants/acme%2Fone/budgets";
const LIMIT: i64 = 20_000;

fn encoded(id: &str, event: Option<&str>, time_ms: Option<i64>, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: "/gateway".into(),
        tenant: TENANT.into(),
        event: event.map(Into::into),
        subject: None,
        time_ms,
        backfill: false,
        body,
    };
    gravity_events::codec::encode(&record)
}

/// A micro-unit a token, so that amounts can be read.
fn prices() -> Vec<u8> {
    let price =
        |kind: &str| Price { model: "m".into(), kind: kind.into(), micro_per_million: 1_000_000, tiers: Vec::new() };
    let body = PricePublished {
        price_list: "list".into(),
        version: 1,
        currency: "EUR".into(),
        effective_at: None,
        prices: vec![price("input"), price("output")],
    };
    encoded("prices", None, None, Body::PricePublished(body))
}

fn budget(name: &str, event: Option<&str>, team: Option<&str>, limit_micro: i64) -> Vec<u8> {
    let body = BudgetSet {
        budget: name.into(),
        team: team.map(Into::into),
        limit_micro,
        currency: "EUR".into(),
        alerts_bp: vec![5_000, 10_000],
        soft: false,
    };
    encoded(&format!("budget/{name}/{limit_micro}"), event, None, Body::BudgetSet(body))
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the year 292 million")
}

/// What clients were told.
#[derive(Default)]
struct Model {
    sent: u64,
    open: BTreeMap<String, i64>,
    settled: i64,
    settled_records: i64,
    unreserved: i64,
    unreserved_records: i64,
}

impl Model {
    fn available(&self) -> i64 {
        LIMIT - self.settled - self.unreserved - self.open.values().sum::<i64>()
    }
}

/// Posts until there is an answer; starts the server again when it was killed.
async fn insist(server: &mut Server, path: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < until, "{path} is not answered; the server's log:\n{}", server.log());
        if server.ended() {
            server.spawn_again(&[]);
        }
        if server.ready_or_ended().await {
            let mut request = support::http().post(format!("{}{path}", server.url)).bearer_auth(server.token());
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            if let Ok(answer) = request.json(body).send().await {
                let status = answer.status().as_u16();
                match answer.json().await {
                    Ok(answer) if status != 503 => return (status, answer),
                    _ => {}
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One thing that a client does.
async fn act(server: &mut Server, model: &mut Model, dice: &mut Dice) {
    model.sent += 1;
    let n = model.sent;
    match dice.below(10) {
        0..5 => {
            let key = format!("call {n}");
            let (input, output) = (dice.below(300) as i64, dice.below(300) as i64);
            let body = json!({"tenant": TENANT, "event": "cup", "team": "otters", "model": "m",
                "max_input_tokens": input, "max_output_tokens": output, "ttl_s": 3_600});
            let (status, answer) = insist(server, "/api/v1/billing/reservations", Some(&key), &body).await;
            // What was not told before it was killed may be booked already: then it is told again.
            match status {
                200 | 201 => {
                    assert_eq!(
                        (answer["state"].as_str(), answer["amount_micro"].as_i64()),
                        (Some("open"), Some(input + output))
                    );
                    let id = answer["reservation"].as_str().expect("an id").to_owned();
                    model.open.insert(id, input + output);
                }
                409 => {
                    assert_eq!(answer["code"], "over_budget", "{answer}");
                    assert!(input + output > model.available(), "{answer}");
                }
                _ => panic!("{status} {answer}"),
            }
        }
        5..8 => {
            let Some((id, amount)) = model.open.pop_first() else { return };
            if dice.chance(25) {
                let path = format!("/api/v1/billing/reservations/{id}/release");
                let (status, answer) = insist(server, &path, None, &json!({})).await;
                assert_eq!((status, answer["state"].as_str()), (200, Some("released")), "{answer}");
                return;
            }
            let used = dice.below(amount as u64 + 1) as i64;
            let path = format!("/api/v1/billing/reservations/{id}/settle");
            let (status, answer) = insist(server, &path, None, &json!({"input_tokens": used})).await;
            assert_eq!((status, answer["settled_micro"].as_i64()), (200, Some(used)), "{answer}");
            (model.settled, model.settled_records) = (model.settled + used, model.settled_records + 1);
        }
        _ => {
            let used = dice.below(200) as i64;
            let usage = UsageTokens { model: "m".into(), output_tokens: used as u64, ..UsageTokens::default() };
            let record = encoded(&format!("u{n}"), Some("cup"), Some(now_ms()), Body::UsageTokens(usage));
            server.deliver(&[record], &["counted", "duplicate"]).await;
            (model.unreserved, model.unreserved_records) = (model.unreserved + used, model.unreserved_records + 1);
        }
    }
}

/// Waits until the books say what clients were told, and the stream has each usage once.
async fn check(server: &Server, model: &Model, what: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let budgets = server.get_json(BUDGETS).await;
        let row = budgets["budgets"].as_array().and_then(|rows| rows.iter().find(|row| row["budget"] == "all"));
        let told = ["settled_micro", "reserved_micro", "unreserved_micro", "available_micro"]
            .map(|name| row.and_then(|row| row[name].as_i64()));
        let open = model.open.values().sum::<i64>();
        let expected = [model.settled, open, model.unreserved, model.available()].map(Some);
        let burn = server.get_json("/api/v1/billing/tenants/acme%2Fone/burn").await;
        let used = [burn["totals"]["records"].as_i64(), burn["totals"]["cost_micro"].as_i64()];
        let all = [model.settled_records + model.unreserved_records, model.settled + model.unreserved].map(Some);
        if told == expected && used == all {
            return;
        }
        assert!(Instant::now() < until, "{what}: {told:?} and {used:?}, expected {expected:?} and {all:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn killed_everywhere(env: &[(&str, &str)], dice: &mut Dice) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), env).await;
    server
        .send(&[prices(), budget("all", None, None, LIMIT), budget("otters", Some("cup"), Some("otters"), LIMIT)], true)
        .await;
    let mut model = Model::default();
    check(&server, &model, "at the start").await;
    for point in LEDGER.iter().chain(PIPELINES.iter().filter(|point| point.starts_with("commit."))) {
        let armed = format!("{point}:{}:kill", 1 + dice.below(4));
        server.terminate();
        server.spawn_again(&[("GRAVITY_FAILPOINT", &armed)]);
        for _ in 0..15 {
            act(&mut server, &mut model, dice).await;
        }
        server.kill();
        server.spawn_again(&[]);
        server.wait_ready().await;
        check(&server, &model, &armed).await;
    }
    assert!(model.settled_records > 5 && model.unreserved_records > 5, "{} were settled", model.settled_records);
    let text = server.ok(&["budgets", TENANT]);
    assert!(text.starts_with("BUDGET") && text.contains("cup/otters"), "{text}");
    server.ok(&["verify"]);
    // Nobody but the ledger says that usage was settled.
    let forged = String::from_utf8(encoded(
        "x",
        None,
        Some(now_ms()),
        Body::UsageTokens(UsageTokens { model: "m".into(), ..UsageTokens::default() }),
    ));
    let forged = forged.expect("JSON").replace("/gateway", "gravity:reservations");
    assert_eq!(server.send(&[forged.into_bytes()], false).await, ["refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_nothing_leaks_and_nothing_counts_twice() {
    let mut dice = Dice::new(seed());
    killed_everywhere(&[], &mut dice).await;
    let postgres = PostgresServer::start();
    killed_everywhere(&[("GRAVITY_DATABASE__URL", &postgres.url())], &mut dice).await;
}

/// May 2026.
const MAY_MS: i64 = 1_778_000_000_000;

fn past(id: &str, tokens: u64) -> Vec<u8> {
    let usage = UsageTokens { model: "m".into(), input_tokens: tokens, ..UsageTokens::default() };
    let record = encoded(id, None, Some(MAY_MS), Body::UsageTokens(usage));
    let text = String::from_utf8(record).expect("JSON");
    text.replacen('{', r#"{"backfill":true,"#, 1).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_taken_as_others_tell_it_and_a_month_is_closed_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]).await;
    server.send(&[prices(), past("1", 100), past("2", 20)], true).await;
    let client = support::http();
    let post = async |path: &str, body: &Value| {
        let request = client.post(format!("{}{path}", server.url)).bearer_auth(server.token()).json(body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    // The same answer of a model twice, one of another, one that cannot be used.
    let created = now_ms() / 1_000;
    let chat = json!({"id": "chatcmpl-1", "created": created, "model": "m",
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 10}}});
    let batch = json!([chat, chat, {"id": "chatcmpl-2", "model": "m"}]);
    let (status, answer) = post("/api/v1/billing/usage/openai?tenant=acme/one&event=cup&wait=visible", &batch).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let statuses: Vec<_> = answer["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .map(|r| r["status"].as_str())
        .collect();
    assert_eq!((status, statuses), (200, vec![Some("counted"), Some("duplicate"), Some("refused")]), "{answer}");
    assert_eq!(answer["results"][2]["problem"]["errors"][0]["field"], "usage");
    let message = json!({"id": "msg_1", "model": "m", "usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 3}});
    assert_eq!(post("/api/v1/billing/usage/anthropic?tenant=acme/one&wait=visible", &message).await.0, 200);
    let nanoseconds = format!("{}000000", now_ms());
    let point = json!({"attributes": [{"key": "gen_ai.token.type", "value": {"stringValue": "output"}},
        {"key": "gen_ai.response.model", "value": {"stringValue": "m"}}], "timeUnixNano": nanoseconds, "sum": 5});
    let metrics = json!([{"name": "gen_ai.client.token.usage", "histogram": {"aggregationTemporality": 1, "dataPoints": [point]}}]);
    let export = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]});
    let otlp = "/api/v1/billing/otlp/v1/metrics?tenant=acme/one&wait=visible";
    assert_eq!(post(otlp, &export).await, (200, "{}".to_owned()));
    assert_eq!(post(otlp, &export).await, (200, "{}".to_owned()));
    let burn = server.get_json("/api/v1/billing/tenants/acme%2Fone/burn").await;
    let totals =
        ["records", "input_tokens", "cached_tokens", "output_tokens", "cost_micro"].map(|n| burn["totals"][n].as_i64());
    assert_eq!(totals, [5, 153, 12, 12, 165].map(Some), "{burn}");
    // What another price would change, and that nothing has changed.
    let list = json!({"price_list": "list", "version": 2, "currency": "EUR", "effective_at": "2026-05-01T00:00:00Z",
        "prices": [{"model": "m", "kind": "input", "micro_per_million": 3_000_000}]});
    let preview = "/api/v1/billing/tenants/acme%2Fone/prices/preview";
    let (status, answer) = post(preview, &list).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((status, answer["cost_micro"].as_i64(), answer["new_cost_micro"].as_i64()), (200, Some(165), Some(459)));
    assert_eq!(answer["changes"][0]["new_cost_micro"], 360, "{answer}");
    let wrong = json!({"price_list": "list", "version": 2, "currency": "EUR", "effective_at": "2026-05-01T00:00:01Z", "prices": []});
    assert!([400, 422].contains(&post(preview, &wrong).await.0));
    // May is closed; this month is not.
    let invoices = "/api/v1/billing/tenants/acme%2Fone/invoices";
    let (status, invoice) = post(invoices, &json!({"month": "2026-05"})).await;
    let document: Value = serde_json::from_str(&invoice).expect("JSON");
    assert_eq!((status, document["total_micro"].as_i64()), (201, Some(120)), "{invoice}");
    assert_eq!(post(invoices, &json!({"month": "2026-05"})).await, (200, invoice.clone()), "the same bytes");
    assert_eq!(server.get(&format!("{invoices}/2026-05/0")).await, (200, invoice));
    let this_month = &gravity_events::time::format_rfc3339_ms(now_ms())[..7];
    assert_eq!(post(invoices, &json!({ "month": this_month })).await.0, 409);
    assert_eq!(post(invoices, &json!({"month": "May"})).await.0, 422);
    // Usage that comes afterwards goes to a credit note, once.
    server.send(&[past("3", 7)], true).await;
    let (status, note) = post(invoices, &json!({"month": "2026-05"})).await;
    let document: Value = serde_json::from_str(&note).expect("JSON");
    assert_eq!(
        (status, document["kind"].as_str(), document["total_micro"].as_i64()),
        (201, Some("credit_note"), Some(7))
    );
    assert_eq!(post(invoices, &json!({"month": "2026-05"})).await, (200, note));
    let page = client.get(format!("{}{invoices}/2026-05/1", server.url)).bearer_auth(server.token());
    let page = page.header("accept", "text/html").send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("<h1>Credit note acme/one/2026-05/1</h1>") && page.contains("0.000007"), "{page}");
    assert_eq!(server.get_json(invoices).await["documents"].as_array().map(Vec::len), Some(2));
}
