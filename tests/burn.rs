//! What is used, what it costs, and the lake, through the real server, which is killed at random instants, at every failpoint of
//! pipelines and at every failpoint of the lake's writer: all is what the records say, to the token.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gravity_events::body::{Price, PricePublished, UsageHint, UsageTokens, UsageVm};
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Record};
use gravity_ingest::failpoint::{LAKE, PIPELINES};
use gravity_operators::harness::dice::Dice;
use serde_json::{Value, json};
use support::Server;
use support::environment::{number, seed};

const MINUTE_MS: i64 = 60_000;
const START_MS: i64 = 1_780_000_020_000;
const TENANTS: [&str; 2] = ["acme", "other/one"];

fn encoded(tenant: &str, id: String, time_ms: Option<i64>, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: "/gateway".into(),
        tenant: tenant.into(),
        event: None,
        subject: Some(format!("{tenant}/user").into()),
        time_ms,
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

/// What counts of what was sent: by minute and model, the sums; and prices.
#[derive(Default)]
struct Model {
    sent: i64,
    /// By tenant, minute and item: records, input, output, cached, milliseconds.
    cells: BTreeMap<(String, i64, String), [i64; 5]>,
    /// By tenant and version: from which minute, and micro-units per million of input, output, cached, seconds, hints.
    prices: BTreeMap<(String, u64), (i64, [i64; 5])>,
}

impl Model {
    /// Some records: usage, with duplicates and conflicts, late ones and now and then a price list.
    fn more(&mut self, dice: &mut Dice) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        for _ in 0..20 {
            self.sent += 1;
            let n = self.sent;
            let tenant = *dice.pick(&TENANTS);
            // About six records a minute, some much too late, some on the edge.
            let late = if dice.chance(10) { dice.below(40) as i64 * MINUTE_MS } else { 0 };
            let edge = dice.chance(5);
            let time_ms = START_MS + n * 10_000 - late;
            let time_ms = if edge { time_ms - time_ms % MINUTE_MS } else { time_ms };
            let minute = time_ms.div_euclid(MINUTE_MS);
            let id = format!("u{n}");
            let (item, body, sums) = if dice.chance(80) {
                let input = dice.below(5_000) as i64;
                let (output, cached) = (dice.below(900) as i64, dice.below(5_000) as i64);
                let cached = cached.min(input);
                let body = UsageTokens {
                    model: (*dice.pick(&["large", "small"])).into(),
                    input_tokens: input as u64,
                    output_tokens: output as u64,
                    cached_tokens: cached as u64,
                    ..UsageTokens::default()
                };
                (body.model.to_string(), Body::UsageTokens(body), [1, input, output, cached, 0])
            } else if dice.chance(30) {
                let body = UsageHint { hint: "h".into(), ..UsageHint::default() };
                ("hint".to_owned(), Body::UsageHint(body), [1, 0, 0, 0, 0])
            } else {
                let duration = dice.below(90_000) as i64;
                let body = UsageVm { machine: "vm".into(), duration_ms: duration as u64, ..UsageVm::default() };
                ("vm".to_owned(), Body::UsageVm(body), [1, 0, 0, 0, duration])
            };
            let cell = self.cells.entry((tenant.to_owned(), minute, item)).or_default();
            cell.iter_mut().zip(sums).for_each(|(sum, n)| *sum += n);
            let record = encoded(tenant, id.clone(), Some(time_ms), body);
            records.push(record.clone());
            if dice.chance(30) {
                records.push(record);
            }
            if dice.chance(5) {
                let other = UsageTokens { model: "large".into(), input_tokens: 999_999, ..UsageTokens::default() };
                records.push(encoded(tenant, id, Some(time_ms), Body::UsageTokens(other)));
            }
        }
        if dice.chance(12) {
            let tenant = *dice.pick(&TENANTS);
            let version = 1 + self.prices.len() as u64;
            let from_minute = (START_MS + self.sent * 10_000) / MINUTE_MS - dice.below(30) as i64;
            let rates: [i64; 5] = std::array::from_fn(|_| dice.below(20_000_000) as i64);
            self.prices.insert((tenant.to_owned(), version), (from_minute, rates));
            let price = |model: &str, kind: &str, micro_per_million| Price {
                model: model.into(),
                kind: kind.into(),
                micro_per_million,
                tiers: Vec::new(),
            };
            let mut prices = vec![price("vm", "vm_second", rates[3]), price("*", "hint", rates[4])];
            for model in ["large", "small"] {
                let kinds = ["input", "output", "cached"];
                prices.extend(kinds.iter().zip(rates).map(|(kind, rate)| price(model, kind, rate)));
            }
            let body = PricePublished {
                price_list: "list".into(),
                version,
                currency: "EUR".into(),
                effective_at: Some(from_minute * MINUTE_MS),
                prices,
            };
            records.push(encoded(tenant, format!("price/{version}"), None, Body::PricePublished(body)));
        }
        records
    }

    /// By minute: records, input, output, cached, cost.
    fn minutes(&self, tenant: &str) -> BTreeMap<String, [i64; 5]> {
        let mut minutes: BTreeMap<String, [i64; 5]> = BTreeMap::new();
        for ((owner, minute, item), [records, input, output, cached, ms]) in &self.cells {
            if owner != tenant {
                continue;
            }
            let in_force = self.prices.iter().filter(|((t, _), (from, _))| t == tenant && from <= minute);
            let rates =
                in_force.max_by_key(|((_, version), (from, _))| (*from, *version)).map(|(_, (_, rates))| *rates);
            let cost = rates.map_or(0, |rates| {
                let rounded = |units: i64, rate: i64, million: i64| (units * rate + million / 2) / million;
                rounded(input - cached, rates[0], 1_000_000)
                    + rounded(*cached, rates[2], 1_000_000)
                    + rounded(*output, rates[1], 1_000_000)
                    + rounded(*ms, rates[3], 1_000_000_000)
                    + if item == "hint" { rounded(*records, rates[4], 1_000_000) } else { 0 }
            });
            let sums = minutes.entry(format_rfc3339_ms(minute * MINUTE_MS)).or_default();
            sums.iter_mut().zip([*records, *input, *output, *cached, cost]).for_each(|(sum, n)| *sum += n);
        }
        minutes
    }
}

fn shown(server: &Server, tenant: &str) -> BTreeMap<String, [i64; 5]> {
    let answer: Value =
        serde_json::from_str(&server.ok(&["burn", tenant, "--by", "minute", "--format", "json"])).expect("JSON");
    let numbers = |row: &Value| {
        ["records", "input_tokens", "output_tokens", "cached_tokens", "cost_micro"]
            .map(|name| row[name].as_i64().expect("a number"))
    };
    let rows = answer["rows"].as_array().expect("rows").iter();
    let rows: BTreeMap<_, _> =
        rows.map(|row| (row["window_start"].as_str().expect("a time").to_owned(), numbers(row))).collect();
    let totals = rows.values().fold([0; 5], |sum, row| std::array::from_fn(|at| sum[at] + row[at]));
    assert_eq!(totals, numbers(&answer["totals"]), "rows add up");
    rows
}

/// Waits until a question has this answer.
async fn answers(server: &Server, sql: &str, expected: Value) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer: Value = serde_json::from_str(&server.ok(&["sql", sql, "--format", "json"])).expect("JSON");
        if answer == expected {
            return;
        }
        assert!(Instant::now() < until, "{sql}: {answer}, expected {expected}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burn_and_lake_are_what_the_records_say_whenever_the_server_is_killed() {
    let points: Vec<&str> = PIPELINES.iter().chain(LAKE).copied().collect();
    let crashes = number("GRAVITY_CRASHES").unwrap_or(points.len() as u64);
    let mut dice = Dice::new(seed());
    let dir = tempfile::tempdir().expect("a folder");
    let env = [
        ("GRAVITY_PIPELINES__MERGE_BYTES", "20000"),
        ("GRAVITY_PIPELINES__ROW_CAP", "64"),
        ("GRAVITY_LAKE__INTERVAL_MS", "100"),
        ("GRAVITY_LAKE__COMPACT_FILES", "12"),
    ];
    let mut server = Server::start(dir.path(), &env).await;
    let mut model = Model::default();
    for crash in 0..crashes {
        let point = points[crash as usize % points.len()];
        let armed = format!("{point}:{}:kill", 1 + dice.below(3));
        server.terminate();
        server.spawn_again(&[("GRAVITY_FAILPOINT", &armed)]);
        let until = Instant::now() + Duration::from_millis(300 + dice.below(900));
        while Instant::now() < until && !server.ended() {
            server.deliver(&model.more(&mut dice), &["counted", "duplicate", "conflict"]).await;
        }
        server.kill();
        server.spawn_again(&[]);
        server.wait_ready().await;
        for tenant in TENANTS {
            assert_eq!(shown(&server, tenant), model.minutes(tenant), "crash {crash} ({armed})");
        }
        eprintln!("crash {crash:3} {armed:30} {} records", model.sent);
    }
    assert!(!model.prices.is_empty(), "there were prices");
    let input: i64 = model.cells.values().map(|sums| sums[1]).sum();
    let all = "select count(*) as n, count(distinct id) as ids, sum(input_tokens) as input from lake.usage";
    answers(&server, all, json!([{ "n": model.sent, "ids": model.sent, "input": input }])).await;
    let double = "select count(*) as n from (select log_partition, log_offset from lake.usage group by 1, 2 having count(*) > 1)";
    answers(&server, double, json!([{ "n": 0 }])).await;
    // What counted and what did not are all that was sent, and nothing is both.
    let both =
        "select count(*) as n from lake.refused r join lake.usage u using (log_topic, log_partition, log_offset)";
    answers(&server, both, json!([{ "n": 0 }])).await;
    let prices = "select count(*) as n from lake.reference where type = 'price.published'";
    answers(&server, prices, json!([{ "n": model.prices.len() }])).await;
    let verified: Value = serde_json::from_str(&server.ok(&["verify"])).expect("JSON");
    assert_eq!(verified["differences_total"], 0, "{verified}");
    assert_eq!(verified["cells"].as_u64(), Some(model.cells.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_late_prices_change_is_told_once_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[("GRAVITY_LAKE__INTERVAL_MS", "50")]).await;
    let used = |n: u64| {
        let body = UsageTokens { model: "m".into(), input_tokens: n, ..UsageTokens::default() };
        encoded("acme", format!("u{n}"), Some(START_MS), Body::UsageTokens(body))
    };
    let priced = |version: u64, micro_per_million: i64, model: &str| {
        let prices = vec![Price { model: model.into(), kind: "input".into(), micro_per_million, tiers: Vec::new() }];
        let currency = "EUR".into();
        let body = PricePublished { price_list: "list".into(), version, currency, effective_at: None, prices };
        encoded("acme", format!("price/{version}"), None, Body::PricePublished(body))
    };
    let told = |server: &Server| -> Vec<Value> {
        let answer: Value =
            serde_json::from_str(&server.ok(&["burn", "acme", "--adjustments", "--format", "json"])).expect("JSON");
        let rows = answer["adjustments"].as_array().expect("rows").iter();
        let fields = ["month", "kind", "item", "prices", "records", "before_micro", "after_micro", "difference_micro"];
        rows.map(|row| fields.iter().map(|field| row[*field].clone()).collect()).collect()
    };
    let entry = |version: u64, records: i64, before: i64, after: i64| {
        let prices = json!([{"price_list": "list", "version": version}]);
        json!(["2026-05-01T00:00:00.000Z", "model", "m", prices, records, before, after, after - before])
    };
    server.deliver(&[used(100), used(300)], &["counted"]).await;
    assert_eq!(told(&server), Vec::<Value>::new());
    server.deliver(&[priced(1, 2_000_000, "m")], &["counted"]).await;
    let first = entry(1, 2, 0, 800);
    assert_eq!(told(&server), std::slice::from_ref(&first));
    // It has its price from the start.
    server.deliver(&[used(50)], &["counted"]).await;
    assert_eq!(told(&server), std::slice::from_ref(&first));
    server.deliver(&[priced(2, 1, "other")], &["counted"]).await;
    server.kill();
    server.spawn_again(&[]);
    server.wait_ready().await;
    // Version 2 replaces version 1 whole: the model has no price any more. Its epoch may have been killed before it was told.
    let second = entry(2, 3, 900, 0);
    let until = Instant::now() + Duration::from_secs(30);
    while told(&server) != [second.clone(), first.clone()] {
        assert!(Instant::now() < until, "{:?}", told(&server));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.deliver(&[priced(3, 1_000_000, "m")], &["counted"]).await;
    let all = [entry(3, 3, 0, 450), second, first];
    assert_eq!(told(&server), all);
    server.terminate();
    server.spawn_again(&[]);
    server.wait_ready().await;
    assert_eq!(told(&server), all, "a restart tells none again");
    // What it costs now is what was adjusted, and what had its price when it came.
    let sql = "select item, sum(after_micro - before_micro) as more, count(*) as n from lake.adjustments group by item";
    answers(&server, sql, json!([{"item": "m", "more": 450 - 100, "n": 3}])).await;
    let text = server.ok(&["burn", "acme", "--adjustments"]);
    assert!(text.contains("list/3") && text.contains("-0.000900") && text.contains("2026-05"), "{text}");
    let verified: Value = serde_json::from_str(&server.ok(&["verify"])).expect("JSON");
    assert_eq!(verified["differences_total"], 0, "{verified}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_sees_its_own_books() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[("GRAVITY_LAKE__INTERVAL_MS", "50")]).await;
    let used = |tenant: &str, n: u64| {
        let body = UsageTokens { model: "m".into(), input_tokens: n, team: Some("1".into()), ..UsageTokens::default() };
        encoded(tenant, format!("{n}"), Some(START_MS), Body::UsageTokens(body))
    };
    server.send(&[used("acme", 10), used("other", 7)], true).await;
    let count = "select tenant, sum(input_tokens) as n from usage group by tenant order by tenant";
    answers(&server, count, json!([{"tenant": "acme", "n": 10}, {"tenant": "other", "n": 7}])).await;
    let token = server.ok(&["token", "analyst", "--tenant", "acme"]);
    let token = token.trim();
    let client = support::http();
    let burn = async |tenant: &str, query: &str| {
        let url = format!("{}/api/v1/billing/tenants/{tenant}/burn{query}", server.url);
        let answer = client.get(url).bearer_auth(token).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    assert_eq!(burn("other", "").await.0, 403);
    let (status, body) = burn("acme", "?by=day&group=team&time_zone=Europe/Berlin").await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (status, &answer["totals"]["input_tokens"], &answer["rows"][0]["group"]),
        (200, &json!(10), &json!("1"))
    );
    assert_eq!(answer["rows"][0]["window_start"], "2026-05-28T00:00:00+02:00");
    for (query, field) in [("?from=x", "from"), ("?to=2026-01-01T00:00:01Z", "to"), ("?time_zone=Mars", "time_zone")] {
        let (status, body) = burn("acme", query).await;
        assert!(status == 422 && body.contains(field), "{query}: {status} {body}");
    }
    let ask = async |sql: &str, accept: &str| {
        let request = client.post(format!("{}/api/v1/analytics/sql", server.url)).bearer_auth(token);
        let answer = request.header("accept", accept).json(&json!({ "query": sql })).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    assert_eq!(ask(count, "text/csv").await, (200, "tenant,n\nacme,10\n".to_owned()));
    assert_eq!(
        ask("select count(*) as n from usage where tenant = 'other'", "application/json").await,
        (200, r#"[{"n":0}]"#.to_owned())
    );
    let (status, body) = ask("drop table usage", "application/json").await;
    assert!(status == 422 && body.contains("bad_query"), "{status} {body}");
    let team = server.ok(&["token", "feed"]);
    let answer = client.post(format!("{}/api/v1/analytics/sql", server.url)).bearer_auth(team.trim());
    let answer = answer.json(&json!({"query": "select 1"})).send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    // The stream begins with what there is.
    let stream = client.get(format!("{}/api/v1/billing/tenants/acme/burn/stream", server.url)).bearer_auth(token);
    let mut stream = stream.send().await.expect("a stream");
    let first = stream.chunk().await.expect("it goes on").expect("a frame");
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("event: burn") && first.contains(r#""input_tokens":10"#), "{first}");
    server.send(&[used("acme", 5)], true).await;
    let next = stream.chunk().await.expect("it goes on").expect("a frame");
    assert!(String::from_utf8_lossy(&next).contains(r#""input_tokens":15"#));
    let table = server.ok(&["sql", "select 1 as one"]);
    assert!(table.contains("| one |"), "{table}");
    let text = server.ok(&["burn", "acme", "--group", "model", "--by", "month"]);
    assert!(text.starts_with("WINDOW") && text.contains("2026-05"), "{text}");
}
