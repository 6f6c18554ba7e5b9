//! A rubric changes in the middle of an event of 25,000 teams and 20 problems: how long until every row is another, beside
//! a hand-written recomputation; and what others feel of it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use gravity_events::body::*;
use gravity_events::{Body, Record};
use gravity_operators::boards::facts::{Outcome, RubricText};
use gravity_operators::scoring::explain::Explain;
use gravity_operators::scoring::rubric::Rubric;

use crate::generator::quantile;
use crate::http::{Client, append_request};
use crate::report::{Row, at_most};
use crate::server::{self, Server};
use crate::{Run, say};

const EVENT: &str = "rubric";
const OTHER: &str = "other";
const PROBLEMS: u64 = 20;

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    let teams = run.scaled(25_000);
    let dir = run.dir.join("data");
    let records = crate::log::fill_with(&dir.join("log"), event(teams))?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(measure(run, &dir, teams, records))
}

pub(super) fn record(event: &str, id: String, body: Body) -> Record {
    let (source, tenant) = ("bench".into(), "bench".into());
    Record {
        id: id.into(),
        source,
        tenant,
        event: Some(event.into()),
        subject: None,
        time_ms: None,
        backfill: true,
        body,
    }
}

fn rubric(version: u64) -> RubricPublished {
    let dimension = |name: &str, weight_bp: u32, operator: &str, parameters: serde_json::Value| RubricDimension {
        dimension: name.into(),
        weight_bp,
        operator: operator.into(),
        parameters,
    };
    let shift = (version % 2) as u32 * 1_000;
    RubricPublished {
        rubric: "main".into(),
        version,
        dimensions: vec![
            dimension("correctness", 4_000 - shift, "test_groups", serde_json::json!({})),
            dimension(
                "performance",
                2_000 + shift,
                "log_ratio",
                serde_json::json!({"measure": "latency_p95_us", "bad": 100_000, "reference": 1_000}),
            ),
            dimension(
                "security",
                1_500,
                "findings",
                serde_json::json!({"severities": {"findings_high": 10, "findings_low": 1}, "cap": 50}),
            ),
            dimension(
                "engineering",
                1_500,
                "ladder",
                serde_json::json!({"parts": [{"measure": "coverage_bp", "weight": 1, "rungs": [{"at": 5000, "bp": 5000}, {"at": 8000, "bp": 10000}]}]}),
            ),
            dimension(
                "resourcefulness",
                1_000,
                "budget",
                serde_json::json!({"spend": ["tokens_cost_micro"], "budget": 2_000_000}),
            ),
        ],
    }
}

fn judged(n: u64) -> (Vec<TestGroup>, std::collections::BTreeMap<gravity_events::Id, i64>) {
    let mix = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let groups = vec![TestGroup { group: "hidden".into(), passed: (mix % 21) as u32, total: 20, points: None }];
    let measures = [
        ("latency_p95_us", 500 + (mix % 100_000) as i64),
        ("findings_high", (mix >> 7) as i64 % 4),
        ("findings_low", (mix >> 9) as i64 % 9),
        ("coverage_bp", (mix >> 11) as i64 % 10_000),
        ("tokens_cost_micro", (mix >> 13) as i64 % 2_500_000),
    ];
    (groups, measures.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn config(selection: Selection) -> EventConfigured {
    EventConfigured {
        name: "Lab".into(),
        scoring: Scoring::Rubric,
        start_at: Some(0),
        rules: BoardRules { selection, ..BoardRules::default() },
        ..EventConfigured::default()
    }
}

/// Between two changes: what one leaves to others, the lake above all, which takes its rows in after 5 seconds, is done when
/// the next one comes.
const CALM: Duration = Duration::from_secs(8);

/// The whole event: every team has handed in every problem once.
fn event(teams: u64) -> impl Iterator<Item = Record> {
    let reference = [
        record(EVENT, "config".into(), Body::EventConfigured(config(Selection::Best))),
        record(EVENT, "rubric-1".into(), Body::RubricPublished(rubric(1))),
        record(
            OTHER,
            "other".into(),
            Body::EventConfigured(EventConfigured { start_at: Some(0), ..Default::default() }),
        ),
        record(
            OTHER,
            "other-p".into(),
            Body::ProblemPublished(ProblemPublished { problem: "p".into(), ..Default::default() }),
        ),
        record(
            OTHER,
            "other-t".into(),
            Body::TeamRegistered(TeamRegistered { team: "t".into(), ..Default::default() }),
        ),
    ];
    let problem = |p: u64| {
        let body = ProblemPublished {
            problem: format!("p{p}").into(),
            label: p.to_string(),
            ordinal: p as i64,
            ..Default::default()
        };
        record(EVENT, format!("problem-{p}"), Body::ProblemPublished(body))
    };
    let team = |t: u64| {
        let body = TeamRegistered { team: format!("t{t:05}").into(), name: format!("Team {t}"), ..Default::default() };
        record(EVENT, format!("team-{t}"), Body::TeamRegistered(body))
    };
    let work = move |n: u64| {
        let submission = SubmissionReceived {
            submission: format!("s{n}").into(),
            team: format!("t{:05}", n / PROBLEMS).into(),
            problem: format!("p{}", n % PROBLEMS).into(),
            contest_time_ms: Some(n as i64 % 1_000_000),
            ..Default::default()
        };
        let (groups, measures) = judged(n);
        let judgement = JudgementRecorded {
            judgement: format!("j{n}").into(),
            submission: submission.submission.clone(),
            judgement_type: Some("AC".into()),
            end_contest_time_ms: Some(n as i64 % 1_000_000 + 1),
            groups,
            measures,
            ..Default::default()
        };
        [
            record(EVENT, format!("s{n}"), Body::SubmissionReceived(submission)),
            record(EVENT, format!("j{n}"), Body::JudgementRecorded(judgement)),
        ]
    };
    let reference = reference.into_iter().chain((0..PROBLEMS).map(problem)).chain((0..teams).map(team));
    reference.chain((0..teams * PROBLEMS).flat_map(work))
}

/// Appends a record and waits until it is visible.
pub(super) async fn visible(client: &mut Client, server: &Server, record: &Record) -> anyhow::Result<Duration> {
    visible_at(client, &server.address, &server.token()?, record).await
}

async fn visible_at(client: &mut Client, address: &str, token: &str, record: &Record) -> anyhow::Result<Duration> {
    let request = append_request(address, token, &[gravity_events::codec::encode(record)]);
    let request = String::from_utf8(request)?.replacen("/api/v1/records ", "/api/v1/records?wait=visible ", 1);
    let began = Instant::now();
    let (status, answer) = client.send(request.as_bytes()).await?;
    ensure!(status == 200, "the server answers {status}: {}", String::from_utf8_lossy(&answer));
    Ok(began.elapsed())
}

async fn measure(run: &Run, dir: &Path, teams: u64, records: u64) -> anyhow::Result<Vec<Row>> {
    let mut server = Server::spawn(&run.bin, dir)?;
    server.ready().await?;
    let mut client = server.client().await?;
    server::drained(&mut client, Duration::from_secs(600)).await?;
    server.idle().await?;
    say(format!("rescore: {records} records are on the board"));

    // Others: a record of another event every 2 ms, each until it is visible; and one of usage, until burn has it.
    let (address, token) = (server.address.clone(), server.token()?);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let others = tokio::spawn(follow(address.clone(), token.clone(), stopped.clone(), submission));
    let metered = tokio::spawn(follow(address, token, stopped, usage));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut shown_ms = Vec::new();
    let mut windows = Vec::new();
    let mut version = 1;
    for selection in [Selection::Best, Selection::Last] {
        if selection == Selection::Last {
            let change = record(EVENT, "config-last".into(), Body::EventConfigured(config(selection)));
            let began = Instant::now();
            visible(&mut client, &server, &change).await?;
            windows.push((began, Instant::now()));
            tokio::time::sleep(CALM).await;
        }
        let mut took = Vec::new();
        for _ in 0..5 {
            version += 1;
            let change = record(EVENT, format!("rubric-{version}"), Body::RubricPublished(rubric(version)));
            let began = Instant::now();
            took.push(visible(&mut client, &server, &change).await?.as_secs_f64() * 1e3);
            windows.push((began, Instant::now()));
            tokio::time::sleep(CALM).await;
        }
        took.sort_by(f64::total_cmp);
        shown_ms.push((selection, took[took.len() / 2], took[took.len() - 1]));
    }
    // All submissions to a problem are judged again, and the rejudging is applied.
    let again = (0..teams).map(|team| {
        let n = team * PROBLEMS;
        let (groups, measures) = judged(n + 7);
        let judgement = JudgementRecorded {
            judgement: format!("again{n}").into(),
            submission: format!("s{n}").into(),
            judgement_type: Some("AC".into()),
            end_contest_time_ms: Some(2_000_000),
            rejudging: Some("again".into()),
            groups,
            measures,
            ..Default::default()
        };
        gravity_events::codec::encode(&record(EVENT, format!("again{n}"), Body::JudgementRecorded(judgement)))
    });
    let fed = Instant::now();
    for part in Vec::from_iter(again).chunks(1_000) {
        let (status, _) = client.send(&append_request(&server.address, &server.token()?, part)).await?;
        ensure!(status == 202, "the server answers {status}");
    }
    tokio::time::sleep(CALM).await;
    let applied = RejudgingApplied { rejudging: "again".into(), reason: "a wrong test".into() };
    let began = Instant::now();
    visible(&mut client, &server, &record(EVENT, "applied".into(), Body::RejudgingApplied(applied))).await?;
    let rejudged = (began, Instant::now());
    tokio::time::sleep(CALM).await;
    // A preview of the next one, while the others go on.
    let body = serde_json::json!({"records": [{"type": "rubric.published", "data": rubric(version + 1)}]}).to_string();
    let request = format!(
        "POST /api/v1/events/{EVENT}/preview HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        server.address,
        server.token()?,
        body.len()
    );
    let began = Instant::now();
    let (status, answer) = client.send(request.as_bytes()).await?;
    ensure!(status == 200, "the preview answers {status}: {}", String::from_utf8_lossy(&answer));
    let preview = (began, Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _ = stop.send(true);
    let (others, metered) = (others.await??, metered.await??);
    server.stop()?;

    let near = |at: Instant, (from, to): (Instant, Instant)| at >= from && at <= to;
    let p99_of = |taken: &Taken, of: &dyn Fn(Instant) -> bool| {
        let mut us: Vec<u64> =
            taken.iter().filter(|(at, _)| of(*at)).map(|(_, took)| took.as_micros() as u64).collect();
        us.sort_unstable();
        quantile(&us, 0.99) as f64 / 1e3
    };
    let p99 = |of: &dyn Fn(Instant) -> bool| p99_of(&others, of);
    // A change's window ends a second after it is shown: what it leaves to be done counts, too.
    let changing = |at: Instant| windows.iter().any(|w| near(at, (w.0, w.1 + Duration::from_secs(1))));
    let rejudging = |at: Instant| near(at, (rejudged.0, rejudged.1 + Duration::from_secs(1)));
    let feeding = |at: Instant| near(at, (fed, rejudged.1 + Duration::from_secs(1)));
    let calm = |at: Instant| !changing(at) && !feeding(at) && !near(at, preview);
    let quiet = p99(&calm);
    let during = p99(&changing);
    let previewing = p99(&|at| near(at, preview));
    let plain_ms = plain(teams)?;
    let load = format!("{teams} teams x {PROBLEMS} problems x 5 dimensions, {records} records");
    let row = |figure: String, peer: String, ratio: String, target: String| Row {
        case: "rescore",
        load: load.clone(),
        figure,
        peer,
        ratio,
        target,
    };
    let mut rows = Vec::new();
    for (selection, median, worst) in shown_ms {
        rows.push(row(
            format!(
                "`{selection:?}`: every row visible {median:.0} ms after the record is sent (worst of 5: {worst:.0})"
            )
            .to_lowercase(),
            format!("hand-written recomputation of all scores: {plain_ms:.0} ms"),
            format!("{:.1}", median / plain_ms),
            at_most(median, 1_000.0, " ms"),
        ));
    }
    rows.push(row(
        format!("records of another event: visible after p99 {during:.1} ms in the second after a change"),
        format!("otherwise p99 {quiet:.1} ms"),
        format!("{:.1}", during / quiet),
        "<= 2".to_owned() + if during <= 2.0 * quiet { ": met" } else { ": missed" },
    ));
    let (during, otherwise) = (p99_of(&metered, &changing), p99_of(&metered, &calm));
    rows.push(row(
        format!("usage: in burn after p99 {during:.1} ms in the second after a change"),
        format!("otherwise p99 {otherwise:.1} ms"),
        format!("{:.1}", during / otherwise),
        "as otherwise".into(),
    ));
    let again_ms = (rejudged.1 - rejudged.0).as_secs_f64() * 1e3;
    let during = p99(&rejudging);
    rows.push(row(
        format!(
            "a rejudging of {teams} submissions is applied: visible after {again_ms:.0} ms; others meanwhile p99 {during:.1} ms"
        ),
        format!("otherwise p99 {quiet:.1} ms"),
        format!("{:.1}", during / quiet),
        at_most(again_ms, 1_000.0, " ms"),
    ));
    rows.push(row(
        format!("while a preview is computed ({:.1} s): p99 {previewing:.1} ms", (preview.1 - preview.0).as_secs_f64()),
        format!("otherwise p99 {quiet:.1} ms"),
        format!("{:.1}", previewing / quiet),
        "-".into(),
    ));
    Ok(rows)
}

/// When each record was sent, and how long until it was visible.
type Taken = Vec<(Instant, Duration)>;

/// Sends records, one after the other, each until it is visible.
async fn follow(
    address: String,
    token: String,
    stopped: tokio::sync::watch::Receiver<bool>,
    nth: fn(u64) -> Record,
) -> anyhow::Result<Taken> {
    let mut client = Client::connect(&address, &token).await?;
    let mut taken = Vec::new();
    for n in 0_u64.. {
        if *stopped.borrow() {
            break;
        }
        let began = Instant::now();
        taken.push((began, visible_at(&mut client, &address, &token, &nth(n)).await?));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(taken)
}

fn submission(n: u64) -> Record {
    let body = SubmissionReceived {
        submission: format!("o{n}").into(),
        team: "t".into(),
        problem: "p".into(),
        contest_time_ms: Some(n as i64),
        ..Default::default()
    };
    record(OTHER, format!("o{n}"), Body::SubmissionReceived(body))
}

fn usage(n: u64) -> Record {
    let body = UsageTokens { model: "m".into(), input_tokens: n % 1_000, ..Default::default() };
    Record { time_ms: Some(n as i64 * 10), ..record(OTHER, format!("u{n}"), Body::UsageTokens(body)) }
}

/// What the change needs at least: every score once more, summed by team and sorted, in one loop over facts in memory.
fn plain(teams: u64) -> anyhow::Result<f64> {
    let text = serde_json::to_string(&rubric(2))?;
    let rubric = Rubric::parse(&RubricText(text.into()))?;
    let outcomes: Vec<Outcome> = (0..teams * PROBLEMS)
        .filter_map(|n| {
            let (groups, measures) = judged(n);
            Outcome::of(&groups, &measures).map(std::sync::Arc::unwrap_or_clone)
        })
        .collect();
    let began = Instant::now();
    let mut rows: Vec<(i64, usize)> = outcomes
        .chunks(PROBLEMS as usize)
        .enumerate()
        .map(|(team, outcomes)| {
            let score = |o: &Outcome| -> i64 {
                let of = |d: &gravity_operators::scoring::rubric::Dimension| {
                    i64::from(d.weight_bp) * d.scorer.score(o, &mut Explain::nothing()).unwrap_or(0)
                };
                rubric.dimensions.iter().map(of).sum()
            };
            (outcomes.iter().map(score).sum(), team)
        })
        .collect();
    rows.sort_unstable();
    std::hint::black_box(&rows);
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
