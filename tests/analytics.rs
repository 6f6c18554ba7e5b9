//! Meters and views of events through the real server, which is killed at every failpoint of pipelines: what they show is
//! what the records say, a meter has its past at once, and late usage shows as a correction.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gravity_events::body::*;
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Record};
use gravity_ingest::failpoint::PIPELINES;
use gravity_operators::harness::dice::Dice;
use serde_json::{Value, json};
use support::Server;
use support::environment::{number, seed};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const START_MS: i64 = 1_780_002_000_000;
const EVENT: &str = "cup";

fn encoded(id: String, subject: Option<&str>, time_ms: Option<i64>, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: "/analytics".into(),
        tenant: "acme".into(),
        event: body.topic().is_input().then(|| EVENT.into()),
        subject: subject.map(Into::into),
        time_ms,
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

fn meter(name: &str, aggregation: Aggregation, value: Option<&str>, group_by: &[&str]) -> MeterDefined {
    MeterDefined {
        meter: name.into(),
        of: "usage.tokens".into(),
        aggregation,
        value: value.map(Into::into),
        window: Span::Hour,
        time_zone: None,
        group_by: group_by.iter().map(|by| (*by).into()).collect(),
        deleted: false,
        revision: 0,
    }
}

fn meters() -> Vec<MeterDefined> {
    vec![
        meter("sum", Aggregation::Sum, Some("input_tokens"), &["model"]),
        meter("count", Aggregation::Count, None, &["team", "model"]),
        meter("min", Aggregation::Min, Some("output_tokens"), &[]),
        meter("max", Aggregation::Max, Some("total_tokens"), &["team"]),
        meter("avg", Aggregation::Avg, Some("total_tokens"), &[]),
        meter("participants", Aggregation::UniqueCount, Some("participant"), &["model"]),
        meter("latest", Aggregation::Latest, Some("input_tokens"), &["participant"]),
    ]
}

/// A record of usage, as far as meters look at it.
struct Used {
    at_ms: i64,
    model: String,
    team: String,
    participant: String,
    input: i64,
    output: i64,
}

/// Everything that was sent.
#[derive(Default)]
struct Model {
    sent: i64,
    used: Vec<Used>,
    /// By submission: team, problem, language, and whether it solves, where there is a verdict.
    submissions: BTreeMap<i64, (String, String, String, Option<bool>)>,
}

impl Model {
    fn more(&mut self, dice: &mut Dice) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        for _ in 0..12 {
            self.sent += 1;
            let n = self.sent;
            let name = |prefix: &str, of: u64| format!("{prefix}{of}");
            let (team, participant) = (name("t", dice.below(4)), name("p", dice.below(9)));
            // No two records of a participant have the same time: which one is the latest is certain.
            let at_ms = START_MS + n * 40_001 - if dice.chance(10) { 2 * HOUR_MS } else { 0 };
            let (input, output) = (dice.below(4_000), dice.below(900));
            let body = UsageTokens {
                model: name("m", dice.below(2)).into(),
                input_tokens: input,
                output_tokens: output,
                team: Some(team.as_str().into()),
                ..UsageTokens::default()
            };
            let (model, input, output) = (body.model.to_string(), input as i64, output as i64);
            let record = encoded(format!("u{n}"), Some(&participant), Some(at_ms), Body::UsageTokens(body));
            records.push(record.clone());
            if dice.chance(20) {
                records.push(record);
            }
            self.used.push(Used { at_ms, model, team: team.clone(), participant, input, output });
            let (problem, language) = (name("q", dice.below(3)), name("lang", dice.below(2)));
            let body = SubmissionReceived {
                submission: format!("s{n}").into(),
                team: team.as_str().into(),
                problem: problem.as_str().into(),
                language: Some(language.as_str().into()),
                contest_time_ms: Some(n * 1_000),
                revision: 0,
            };
            records.push(encoded(format!("s{n}"), None, Some(at_ms), Body::SubmissionReceived(body)));
            let solves = dice.chance(80).then(|| dice.chance(30));
            if let Some(solves) = solves {
                let body = JudgementRecorded {
                    judgement: format!("j{n}").into(),
                    submission: format!("s{n}").into(),
                    judgement_type: Some(if solves { "AC" } else { "WA" }.into()),
                    end_contest_time_ms: Some(n * 1_000 + 700),
                    ..JudgementRecorded::default()
                };
                records.push(encoded(format!("j{n}"), None, None, Body::JudgementRecorded(body)));
            }
            self.submissions.insert(n, (team, problem, language, solves));
        }
        records
    }

    /// By window's start and group: number and records.
    fn windows(&self, meter: &MeterDefined) -> BTreeMap<(String, String), (f64, i64)> {
        let mut groups: BTreeMap<(String, String), Vec<&Used>> = BTreeMap::new();
        for used in &self.used {
            let of = |by: &str| match by {
                "model" => &used.model,
                "team" => &used.team,
                _ => &used.participant,
            };
            let group: serde_json::Map<String, Value> =
                meter.group_by.iter().map(|by| (by.to_string(), json!(of(by)))).collect();
            let start = format_rfc3339_ms(used.at_ms - used.at_ms.rem_euclid(HOUR_MS));
            groups.entry((start, Value::Object(group).to_string())).or_default().push(used);
        }
        let number = |used: &Used| match meter.value.as_deref() {
            Some("input_tokens") => used.input,
            Some("output_tokens") => used.output,
            _ => used.input + used.output,
        };
        let value = |of: &[&Used]| {
            let numbers = of.iter().map(|used| number(used));
            match meter.aggregation {
                Aggregation::Sum => numbers.sum::<i64>() as f64,
                Aggregation::Count => of.len() as f64,
                Aggregation::Min => numbers.min().expect("there are records") as f64,
                Aggregation::Max => numbers.max().expect("there are records") as f64,
                Aggregation::Avg => numbers.sum::<i64>() as f64 / of.len() as f64,
                Aggregation::UniqueCount => {
                    of.iter().map(|used| &used.participant).collect::<BTreeSet<_>>().len() as f64
                }
                Aggregation::Latest => {
                    number(of.iter().max_by_key(|used| used.at_ms).expect("there are records")) as f64
                }
            }
        };
        groups.into_iter().map(|(key, of)| (key, (value(&of), of.len() as i64))).collect()
    }

    fn languages(&self) -> Value {
        let mut rows: BTreeMap<&String, [i64; 4]> = BTreeMap::new();
        for (_, _, language, solves) in self.submissions.values() {
            let row = rows.entry(language).or_default();
            row[0] += 1;
            row[match solves {
                Some(true) => 1,
                Some(false) => 2,
                None => 3,
            }] += 1;
        }
        let row = |(language, [submissions, solved, rejected, pending]): (&&String, &[i64; 4])| {
            json!({"language": language, "submissions": submissions, "solved": solved, "rejected": rejected,
                "pending": pending})
        };
        rows.iter().map(row).collect()
    }

    fn funnel(&self) -> Value {
        let problems: BTreeSet<&String> = self.submissions.values().map(|(_, problem, ..)| problem).collect();
        let row = |problem: &String| {
            let (mut tried, mut solved, mut attempts, mut pending) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
            for (team, _, _, solves) in self.submissions.values().filter(|(_, of, ..)| of == problem) {
                tried.insert(team);
                // What comes after a solution is no attempt any more.
                if !solved.contains(team) {
                    attempts += 1;
                    pending += i64::from(solves.is_none());
                    if *solves == Some(true) {
                        solved.insert(team);
                    }
                }
            }
            json!({"problem": problem, "teams_tried": tried.len(), "teams_solved": solved.len(),
                "teams_without": tried.len() - solved.len(), "attempts": attempts, "attempts_pending": pending})
        };
        problems.into_iter().map(row).collect()
    }
}

fn json_of(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&server.ok(args)).expect("JSON")
}

/// The windows of a meter; none while it is not known: the analytics pipeline follows behind the others.
fn windows_of(server: &Server, meter: &str) -> Vec<Value> {
    let (code, answer, problem) = server.cli(&["meters", "acme", meter, "--format", "json"]);
    if code != 0 && problem.contains("has no meter") {
        return Vec::new();
    }
    assert_eq!(code, 0, "{problem}\nserver: {}", server.log());
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["windows"].as_array().expect("windows").clone()
}

fn shown(server: &Server, meter: &str) -> BTreeMap<(String, String), (f64, i64)> {
    let row = |row: &Value| {
        let start = row["window_start"].as_str().expect("a time").to_owned();
        let number = (row["value"].as_f64().expect("a number"), row["records"].as_i64().expect("a number"));
        ((start, row["group"].to_string()), number)
    };
    windows_of(server, meter).iter().map(row).collect()
}

/// Waits until a question has the expected answer: the analytics pipeline follows behind the others.
async fn until<T: PartialEq + std::fmt::Debug>(server: &Server, what: &str, expected: T, ask: impl Fn() -> T) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask();
        if answer == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {answer:?}, expected {expected:?}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn agrees(server: &Server, model: &Model, meters: &[MeterDefined], when: &str) {
    for meter in meters {
        let what = format!("{when}: meter {}", meter.meter);
        until(server, &what, model.windows(meter), || shown(server, &meter.meter)).await;
    }
    for (view, expected) in [("languages", model.languages()), ("funnel", model.funnel())] {
        let rows = || json_of(server, &["analytics", EVENT, view, "--format", "json"])["rows"].clone();
        until(server, &format!("{when}: {view}"), expected, rows).await;
    }
}

fn set_up() -> Vec<Vec<u8>> {
    let judgement_type = |name: &str, solved| {
        let body = JudgementTypePublished { judgement_type: name.into(), solved: Some(solved), ..Default::default() };
        encoded(format!("type/{name}"), None, None, Body::JudgementTypePublished(body))
    };
    let config = EventConfigured { name: EVENT.into(), ..EventConfigured::default() };
    vec![
        encoded("config".into(), None, None, Body::EventConfigured(config)),
        judgement_type("AC", true),
        judgement_type("WA", false),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meters_and_views_are_what_the_records_say_whenever_the_server_is_killed() {
    let crashes = number("GRAVITY_CRASHES").unwrap_or(PIPELINES.len() as u64);
    let mut dice = Dice::new(seed());
    let dir = tempfile::tempdir().expect("a folder");
    let env = [("GRAVITY_PIPELINES__MERGE_BYTES", "20000"), ("GRAVITY_PIPELINES__ROW_CAP", "64")];
    let mut server = Server::start(dir.path(), &env).await;
    let (mut model, all) = (Model::default(), meters());
    server.deliver(&set_up(), &["counted"]).await;
    for crash in 0..crashes {
        let point = PIPELINES[crash as usize % PIPELINES.len()];
        let armed = format!("{point}:{}:kill", 1 + dice.below(12));
        server.terminate();
        server.spawn_again(&[("GRAVITY_FAILPOINT", &armed)]);
        let until = Instant::now() + Duration::from_millis(200 + dice.below(600));
        while Instant::now() < until && !server.ended() {
            server.deliver(&model.more(&mut dice), &["counted", "duplicate"]).await;
        }
        server.kill();
        server.spawn_again(&[]);
        server.wait_ready().await;
        // One meter more each time: it begins with all that was.
        let known = &all[..all.len().min(1 + crash as usize)];
        let newest = known.last().expect("there is one").clone();
        let defined = encoded(format!("meter/{}", newest.meter), None, None, Body::MeterDefined(newest));
        server.deliver(&[defined], &["counted", "duplicate"]).await;
        agrees(&server, &model, known, &format!("crash {crash} ({armed})")).await;
        eprintln!("crash {crash:3} {armed:34} {} records", model.sent);
    }
    // The server counts what it shows: after a start all that there is.
    let (_, metrics) = server.get("/metrics").await;
    let counted: i64 = metrics
        .lines()
        .filter(|l| l.starts_with("gravity_tokens_total{") && l.contains("kind=\"input\""))
        .filter_map(|l| l.rsplit(' ').next()?.parse::<i64>().ok())
        .sum();
    assert_eq!(counted, model.used.iter().map(|used| used.input).sum::<i64>());
    let listed = json_of(&server, &["meters", "acme", "--format", "json"]);
    assert_eq!(listed["meters"].as_array().map(Vec::len), Some(all.len().min(crashes as usize)));
    assert!(server.ok(&["meters", "acme"]).starts_with("METER"));
    assert!(server.ok(&["meters", "acme", "sum"]).starts_with("WINDOW_START"));
    let text = server.ok(&["analytics", EVENT]);
    assert!(text.contains("PROBLEM") && text.contains("WAIT_P95_MS") && text.contains("700"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_usage_is_a_correction_live_and_in_the_lake_and_a_meter_that_goes_takes_its_windows_along() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[("GRAVITY_LAKE__INTERVAL_MS", "50")]).await;
    server.deliver(&set_up(), &["counted"]).await;
    let used = |id: &str, at_ms: i64, input_tokens| {
        let team = Some("t1".into());
        let body = UsageTokens { model: "m".into(), input_tokens, team, ..UsageTokens::default() };
        encoded(id.into(), Some("p1"), Some(at_ms), Body::UsageTokens(body))
    };
    let sum = meter("sum", Aggregation::Sum, Some("input_tokens"), &["event", "team"]);
    let defined = encoded("meter/1".into(), None, None, Body::MeterDefined(sum.clone()));
    server.deliver(&[used("1", START_MS, 10), defined], &["counted"]).await;
    let windows = |server: &Server| {
        let rows = windows_of(server, "sum");
        rows.iter().map(|row| (row["value"].clone(), row["corrected_at"].is_string())).collect::<Vec<_>>()
    };
    until(&server, "the past is no correction", vec![(json!(10), false)], || windows(&server)).await;
    server.deliver(&[used("2", START_MS + 1_000, 5)], &["counted"]).await;
    until(&server, "late usage is", vec![(json!(15), true)], || windows(&server)).await;
    let ask = |server: &Server, sql: &str| json_of(server, &["sql", sql, "--format", "json"]);
    let told = "select value, records, correction, window_group from lake.meters order by log_offset";
    let group = r#"{"event":"cup","team":"t1"}"#;
    let expected = json!([{"value": 10, "records": 1, "correction": false, "window_group": group},
        {"value": 15, "records": 2, "correction": true, "window_group": group}]);
    until(&server, "the lake has both", expected, || ask(&server, told)).await;
    let live = "select event, team, value, records from live.meters where meter = 'sum'";
    assert_eq!(ask(&server, live), json!([{"event": EVENT, "team": "t1", "value": 15, "records": 2}]));
    // Groups that are asked for, and what cannot be.
    let path = "/api/v1/billing/tenants/acme/meters";
    for (query, n) in [("?team=t1", 1), ("?team=t2", 0), ("?team=", 0), ("?to=2020-01-01T00:00:00Z", 0)] {
        let answer = server.get_json(&format!("{path}/sum{query}")).await;
        assert_eq!(answer["windows"].as_array().map(Vec::len), Some(n), "{query}");
    }
    for (of, status, says) in [("sum?lab=l", 422, "not grouped by it"), ("none", 404, "unknown_meter")] {
        let (answered, body) = server.get(&format!("{path}/{of}")).await;
        assert!(answered == status && body.contains(says), "{of}: {answered} {body}");
    }
    // Another tenant's analyst sees none of it; the tenant's own does, and the views of its events.
    let client = support::http();
    let get = async |token: &str, path: &str| {
        let request = client.get(format!("{}{path}", server.url)).bearer_auth(token);
        request.send().await.expect("an answer").status().as_u16()
    };
    let (own, other) =
        (server.ok(&["token", "analyst", "--tenant", "acme"]), server.ok(&["token", "analyst", "--tenant", "x"]));
    let view = format!("/api/v1/analytics/events/{EVENT}/active");
    for path in [path, &view] {
        assert_eq!((get(own.trim(), path).await, get(other.trim(), path).await), (200, 403), "{path}");
    }
    let (status, body) = server.get(&format!("/api/v1/analytics/events/{EVENT}/weather")).await;
    assert!(status == 404 && body.contains("funnel"), "{status} {body}");
    // A definition that makes no sense is kept with the reason, and changes nothing.
    let wrong = encoded("meter/2".into(), None, None, Body::MeterDefined(MeterDefined { value: None, ..sum.clone() }));
    let answer = server.send(&[wrong], true).await;
    assert_eq!(answer.len(), 1);
    let gone = MeterDefined { deleted: true, ..sum };
    server.deliver(&[encoded("meter/3".into(), None, None, Body::MeterDefined(gone))], &["counted"]).await;
    until(&server, "it is gone", json!([]), || ask(&server, "select * from live.meters")).await;
    let (status, _) = server.get(&format!("{path}/sum")).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_views_answer_what_analysts_ask() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[("GRAVITY_LAKE__INTERVAL_MS", "50")]).await;
    let mut records = support::contest::reference(EVENT, 6, 3);
    records.extend((0..120).flat_map(|n| support::contest::attempt(EVENT, n, 6, 3)));
    let lab = |id: &str, time_ms: i64, body: Body| {
        let record = Record {
            id: id.into(),
            source: "/labs".into(),
            tenant: "t".into(),
            event: None,
            subject: None,
            time_ms: Some(time_ms),
            backfill: true,
            body,
        };
        gravity_events::codec::encode(&record)
    };
    let step = |lab: &str| LabStep { lab: lab.into(), step: "boot".into(), attempt: 1, error: None };
    records.push(lab("l1", START_MS, Body::LabStepStarted(step("stuck"))));
    records.push(lab("l2", START_MS, Body::LabStepStarted(step("fine"))));
    let ready = LabReady { lab: "fine".into(), reason: None };
    records.push(lab("l3", START_MS + 1, Body::LabReady(ready)));
    let used = UsageTokens { model: "m".into(), input_tokens: 1, team: Some("t1".into()), ..UsageTokens::default() };
    let used = Record {
        id: "u".into(),
        source: "/gateway".into(),
        tenant: "t".into(),
        event: Some(EVENT.into()),
        subject: None,
        time_ms: Some(START_MS),
        backfill: true,
        body: Body::UsageTokens(used),
    };
    records.push(gravity_events::codec::encode(&used));
    server.deliver(&records, &["counted", "duplicate"]).await;
    let ask = |sql: &str| json_of(&server, &["sql", sql, "--format", "json"]);
    until(&server, "labs", json!([{"lab": "stuck", "step": "boot"}]), || ask("select lab, step from views.stuck_labs"))
        .await;
    // The same counted from the records, in other words.
    let counted = "select sum(judgements) as n from views.verdicts";
    until(&server, "verdicts", json!([{"n": 120}]), || ask(counted)).await;
    let tried = "select sum(teams_tried) as tried, sum(teams_solved) + sum(teams_without) as both from views.drop_off";
    until(&server, "drop-off", json!([{"tried": 18, "both": 18}]), || ask(tried)).await;
    let cost = "select team, cost_micro, name from views.cost_per_point";
    until(&server, "cost", json!([{"team": "t1", "cost_micro": 0, "name": "Team 1"}]), || ask(cost)).await;
    // Everybody came from nothing within the hour in which these records were sent.
    let improved = "select count(*) as n, min(score_before) as before from views.improved";
    let scored = "select count(*) as n, 0 as before from live.boards where view = 'jury' and score > 0";
    until(&server, "improved", ask(scored), || ask(improved)).await;
    let all = "select table_name from information_schema.tables where table_schema = 'views' order by 1";
    let names: Vec<Value> = gravity_storage::sql::VIEWS.iter().map(|v| json!({"table_name": v.name})).collect();
    assert_eq!(ask(all), Value::Array(names));
    // A tenant's analyst sees through views what it sees without them.
    let token = server.ok(&["token", "analyst", "--tenant", "x"]);
    for view in gravity_storage::sql::VIEWS {
        let request = support::http().post(format!("{}/api/v1/analytics/sql", server.url));
        let query = json!({"query": format!("select count(*) as n from views.{}", view.name)});
        let answer = request.bearer_auth(token.trim()).json(&query).send().await.expect("an answer");
        assert_eq!(answer.text().await.expect("a text"), r#"[{"n":0}]"#, "{}", view.name);
    }
}
