//! Alerts of labs and sources that are alike, through the real server, which is killed at random instants and at every
//! failpoint: what is shown is what the records say.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gravity_events::body::{LabProvisionRequested, LabState, LabStep, LabTelemetry, SourcePublished};
use gravity_events::publish::{LabPhase, LabSeen};
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Id, Record};
use gravity_operators::anomaly::alert::Levels;
use gravity_operators::anomaly::lab::{Lab, Told};
use gravity_operators::harness::dice::Dice;
use gravity_operators::similarity::fingerprint::{Fineness, containment_bp, fingerprint};
use gravity_operators::similarity::pairs::Limits;
use gravity_pipelines::runtime::failpoint;
use serde_json::{Value, json};
use support::Server;
use support::contest::reference;
use support::environment::{number, seed};

const MINUTE_MS: i64 = 60_000;
const EVENT: &str = "flags";

fn record(id: String, event: Option<&str>, time_ms: i64, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: "flags".into(),
        tenant: "uni".into(),
        event: event.map(Into::into),
        subject: None,
        time_ms: Some(time_ms),
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

/// Everything that was sent, and what follows from it.
#[derive(Default)]
struct Sent {
    minute: i64,
    labs: BTreeMap<Id, Lab>,
    /// The newest source of each team: time, submission, text.
    sources: BTreeMap<Id, (i64, Id, String)>,
    alerts: BTreeSet<(Id, i64, Id)>,
}

impl Sent {
    /// Ten minutes of four labs, what is next in the life of a fifth, and the sources of four teams.
    fn more(&mut self, random: &mut Dice) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        for _ in 0..10 {
            self.minute += 1;
            for n in 0..4 {
                // Once there is something usual; and each higher than the one before: what was seen is no anomaly.
                let lab = Id::from(format!("lab-{n}"));
                let burst = self.minute > 400 && (self.minute + 97 * n) % 397 > 393;
                let value = if burst {
                    (self.minute * self.minute) as f64 / 1_000.0
                } else {
                    20.0 + random.below(100) as f64 / 20.0
                };
                let at_ms = self.minute * MINUTE_MS;
                let told = Told::Point { metric: "cpu".into(), at_ms: Some(at_ms), value };
                let state = self.labs.entry(lab.clone()).or_default();
                state.take(told, &Levels::default());
                self.alerts.extend(state.alert().map(|(since_ms, metric, _)| (lab.clone(), since_ms, metric)));
                let body = LabTelemetry { lab: lab.clone(), metric: "cpu".into(), value };
                records.push(record(format!("{lab}/{}", self.minute), None, at_ms, Body::LabTelemetry(body)));
            }
        }
        records.push(self.next_of_a_life());
        for team in 0..4 {
            let (at_ms, submission) = (self.minute * MINUTE_MS, Id::from(format!("s{}/{team}", self.minute)));
            let text = program(random.below(3), self.minute as u64);
            let team = Id::from(team.to_string());
            self.sources.insert(team.clone(), (at_ms, submission.clone(), text.clone()));
            let (problem, language) = ("p0".into(), "rust".into());
            let body = SourcePublished { submission: submission.clone(), team, problem, language, text };
            records.push(record(format!("source/{submission}"), Some(EVENT), at_ms, Body::SourcePublished(body)));
        }
        records
    }

    /// The lab that measures nothing: requested, made, used, broken, gone, requested again.
    fn next_of_a_life(&mut self) -> Vec<u8> {
        let lab = Id::from("life");
        let state = LabState { lab: lab.clone(), reason: None };
        let step = LabStep { lab: lab.clone(), step: "network".into(), attempt: 1, error: None };
        let requested = LabProvisionRequested { lab: lab.clone(), template: "t".into(), team: None };
        let (body, told) = match self.minute / 10 % 5 {
            1 => (Body::LabProvisionRequested(requested), Told::Phase(LabPhase::Requested)),
            2 => (Body::LabStepStarted(step), Told::Phase(LabPhase::Provisioning)),
            3 => (Body::LabReady(state), Told::Phase(LabPhase::Ready)),
            4 => (Body::LabFailed(state), Told::Phase(LabPhase::Failed)),
            _ => (Body::LabReleased(state), Told::Released),
        };
        self.labs.entry(lab).or_default().take(told, &Levels::default());
        record(format!("life/{}", self.minute), None, self.minute * MINUTE_MS, body)
    }

    fn shown_labs(&self) -> Value {
        let lab = |(lab, state, seen): (&Id, &Lab, LabSeen)| {
            let alert = state.alert().map(|(since_ms, metric, alert)| {
                json!({"metric": metric, "since": format_rfc3339_ms(since_ms), "evidence_nats": alert.evidence_nats, "others": alert.others})
            });
            json!({"tenant": "uni", "lab": lab, "state": seen.phase.name(), "seen_at": seen.seen_at_ms.map(format_rfc3339_ms),
                "silent": seen.seen_at_ms.is_some(), "late": seen.late, "unwatched": seen.unwatched, "alert": alert})
        };
        json!({ "labs": self.seen_labs().map(lab).collect::<Vec<_>>() })
    }

    fn seen_labs(&self) -> impl Iterator<Item = (&Id, &Lab, LabSeen)> {
        self.labs.iter().filter_map(|(lab, state)| Some((lab, state, state.seen()?)))
    }

    fn pairs(&self) -> BTreeSet<(String, String, u64)> {
        let prints = |text: &str| fingerprint("rust", text, Fineness::default());
        let mut pairs = BTreeSet::new();
        for (_, left, one) in self.sources.values() {
            for (_, right, other) in self.sources.values() {
                let share_bp = containment_bp(&prints(one), &prints(other), &[]);
                if left < right && share_bp >= Limits::default().containment_bp {
                    pairs.insert((left.to_string(), right.to_string(), u64::from(share_bp)));
                }
            }
        }
        pairs
    }
}

/// A program; those of a family differ in names and comments.
fn program(family: u64, variant: u64) -> String {
    let mut dice = Dice::new(family);
    let mut text = format!("fn main() {{ // variant {variant}\n");
    for _ in 0..50 {
        let (a, b) = (dice.below(9), dice.below(9));
        text.push_str(&match dice.below(4) {
            0 => format!("for i in {a}..n{variant} {{ total += i * {b}; }}\n"),
            1 => format!("if total % {a} == {b} {{ total += v{variant}; }} else {{ total -= {a}; }}\n"),
            2 => format!("while v{variant} > {a} && x[{b}] != total {{ v{variant} /= 2; }}\n"),
            _ => format!("x[{a}] = f(total, x[{b}]) + g(x[v{variant}]);\n"),
        });
    }
    text + "}\n"
}

fn shown_pairs(answer: &Value) -> BTreeSet<(String, String, u64)> {
    let text = |side: &Value| side["submission"].as_str().expect("a submission").to_owned();
    let pair = |p: &Value| {
        let (left, right) = (text(&p["left"]), text(&p["right"]));
        let (left, right) = if left < right { (left, right) } else { (right, left) };
        (left, right, p["share_bp"].as_u64().expect("a share"))
    };
    answer["pairs"].as_array().expect("pairs").iter().map(pair).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_are_what_the_records_say_whenever_the_server_is_killed() {
    let crashes = number("GRAVITY_CRASHES").unwrap_or(24);
    let mut random = Dice::new(seed());
    let dir = tempfile::tempdir().expect("a folder");
    let env = [("GRAVITY_PIPELINES__MERGE_BYTES", "20000"), ("GRAVITY_PIPELINES__ROW_CAP", "64")];
    let mut server = Server::start(dir.path(), &env).await;
    server.send(&reference(EVENT, 4, 1), true).await;
    let mut sent = Sent::default();
    for crash in 0..crashes {
        let point = failpoint::ALL[crash as usize % failpoint::ALL.len()];
        let armed = format!("{point}:{}:kill", 1 + random.below(3));
        server.terminate();
        server.spawn_again(&[("GRAVITY_FAILPOINT", &armed)]);
        let until = Instant::now() + Duration::from_millis(200 + random.below(1_200));
        while Instant::now() < until && !server.ended() {
            server.deliver(&sent.more(&mut random), &["counted", "duplicate"]).await;
        }
        server.kill();
        server.spawn_again(&[]);
        server.wait_ready().await;
        let labs: Value = serde_json::from_str(&server.ok(&["labs", "--format", "json"])).expect("JSON");
        assert_eq!(labs, sent.shown_labs(), "crash {crash} ({armed})");
        let similar: Value =
            serde_json::from_str(&server.ok(&["similarity", EVENT, "--format", "json"])).expect("JSON");
        assert_eq!(shown_pairs(&similar), sent.pairs(), "crash {crash} ({armed})");
        let minutes = sent.minute;
        eprintln!("crash {crash:3} {armed:30} {minutes} minutes, {} alerts so far", sent.alerts.len());
    }
    // How far it came in the time between kills depends on the machine.
    for _ in 0..1_000 {
        if sent.alerts.is_empty() {
            server.deliver(&sent.more(&mut random), &["counted", "duplicate"]).await;
        }
    }
    assert!(!sent.alerts.is_empty(), "there were alerts");
    let text = server.ok(&["labs"]);
    assert!(text.starts_with("TENANT") && text.contains("lab-3"), "{text}");
    assert!(server.ok(&["similarity", EVENT]).starts_with("  SHARE"));
    let alerts = server.ok(&["labs", "--alerts", "--tenant", "uni", "--format", "json"]);
    let open = serde_json::from_str::<Value>(&alerts).expect("JSON")["labs"].as_array().map_or(0, Vec::len);
    assert_eq!(open, sent.labs.values().filter(|lab| lab.alert().is_some()).count());
    in_sql(&server, &sent, open).await;
    let (status, problem) = server.get("/api/v1/labs?after=nothing").await;
    assert!(status == 422 && problem.contains("`after`"), "{status} {problem}");
    for path in ["labs", "events/flags/similarity"] {
        let answer = support::http().get(format!("{}/api/v1/{path}", server.url)).send().await.expect("an answer");
        assert_eq!(answer.status(), 401, "{path} is not public");
    }
}

/// The same in SQL: live, and in the lake, which comes a little later.
async fn in_sql(server: &Server, sent: &Sent, open: usize) {
    let ask =
        |sql: &str| -> Value { serde_json::from_str(&server.ok(&["sql", sql, "--format", "json"])).expect("JSON") };
    let labs = "select count(*) as labs, count(alert_since) as alerts from live.labs where tenant = 'uni'";
    assert_eq!(ask(labs), json!([{"labs": sent.seen_labs().count(), "alerts": open}]));
    let pairs = |sql: &str| -> BTreeSet<(String, String, u64)> {
        let text = |row: &Value, name: &str| row[name].as_str().expect("a submission").to_owned();
        let pair = |row: &Value| {
            let (left, right) = (text(row, "left_submission"), text(row, "right_submission"));
            (left.clone().min(right.clone()), left.max(right), row["share_bp"].as_u64().expect("a share"))
        };
        ask(sql).as_array().expect("rows").iter().map(pair).collect()
    };
    let now =
        format!("select left_submission, right_submission, share_bp from live.similarity where event = '{EVENT}'");
    assert_eq!(pairs(&now), sent.pairs());
    // The last that was told of each two teams.
    let told = "select left_submission, right_submission, share_bp from (select *, row_number() over \
        (partition by problem, left_team, right_team order by log_partition, log_offset desc) as nth from lake.similarity) \
        where nth = 1 and share_bp > 0";
    let until = Instant::now() + Duration::from_secs(60);
    while pairs(told) != sent.pairs() {
        assert!(Instant::now() < until, "{:?} is not {:?}", pairs(told), sent.pairs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
