//! Clients that mean no good: a process of its own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use gravity_events::body::{LabTelemetry, UsageTokens};
use gravity_events::{Body, Record};
use serde::{Deserialize, Serialize};

use crate::http::{Client, append_request};
use crate::usage::open_all_files;

/// The address that attackers have: others come from another one.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// A question whose answer nobody lives to see.
const ENDLESS: &str = "select count(*) from generate_series(1, 1000000000000) where value % 7 = 3";

/// What they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// 10,000 connections that say nothing.
    Idle,
    /// 200 heads and 200 bodies that never end.
    Slow,
    /// 500 streams of 1,000 rows that are never read.
    Deaf,
    /// A tenant's usage, in batches of 1,000, on 8 connections, as fast as they go.
    Usage,
    /// The same with measurements of labs.
    Telemetry,
    /// Batches of 20 MB, on 4 connections.
    Oversize,
    /// Queries that take all the time that there is, on 8 connections.
    Queries,
}

impl Kind {
    /// All of them, with what is said of them.
    pub const ALL: [(Kind, &str); 7] = [
        (Kind::Idle, "10,000 connections that say nothing"),
        (Kind::Slow, "200 heads and 200 bodies that never end"),
        (Kind::Deaf, "500 streams that are never read"),
        (Kind::Usage, "a tenant sends usage as fast as 8 connections go"),
        (Kind::Telemetry, "a tenant sends measurements as fast as 8 connections go"),
        (Kind::Oversize, "4 connections send batches of 20 MB"),
        (Kind::Queries, "8 connections ask questions in SQL that never end"),
    ];
}

/// Whom to attack, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The server.
    pub address: String,
    /// A token of it.
    pub token: String,
    /// An event of it.
    pub event: String,
    /// How.
    pub kind: Kind,
    /// For how long.
    pub seconds: u64,
}

/// What became of it: answers by status (0: closed without one).
pub type Answers = BTreeMap<u16, u64>;

/// Attacks. In a process of its own.
pub fn run(task: Task) -> anyhow::Result<Answers> {
    open_all_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(attack(&task)))
}

async fn attack(task: &Task) -> Answers {
    let until = Instant::now() + Duration::from_secs(task.seconds);
    let count = match task.kind {
        Kind::Idle => 10_000,
        Kind::Slow => 400,
        Kind::Deaf => 500,
        Kind::Usage | Kind::Telemetry | Kind::Queries => 8,
        Kind::Oversize => 4,
    };
    let mut tasks = Vec::new();
    for n in 0..count {
        let task = task.clone();
        tasks.push(tokio::spawn(async move {
            let mut answers = Answers::new();
            // Those who are sent away come again.
            while Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                match tokio::time::timeout(left, one(&task, n, &mut answers)).await {
                    Err(_) => break,
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => *answers.entry(0).or_default() += 1,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            answers
        }));
        if n % 100 == 99 {
            // The machine forgets connections of which too many come at once.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let mut all = Answers::new();
    for task in tasks {
        for (status, n) in task.await.unwrap_or_default() {
            *all.entry(status).or_default() += n;
        }
    }
    all
}

/// One connection until the server has enough of it.
async fn one(task: &Task, n: u64, answers: &mut Answers) -> anyhow::Result<()> {
    let mut client = Client::connect_from(FROM, &task.address).await?;
    let Task { address, token, event, .. } = task;
    match task.kind {
        Kind::Idle => {
            let (status, _) = client.headers().await?;
            *answers.entry(status).or_default() += 1;
        }
        Kind::Slow => {
            let begin = match n % 2 {
                0 => "GET / HTTP/1.1\r\nhost: x\r\n".to_owned(),
                _ => format!(
                    "POST /api/v1/records HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
                     content-type: application/cloudevents-batch+json\r\ncontent-length: 1000000\r\n\r\n["
                ),
            };
            client.write(begin.as_bytes()).await?;
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                client.write(if n.is_multiple_of(2) { b"x-a: b\r\n" } else { b" " }).await?;
            }
        }
        Kind::Deaf => {
            client.ask(&format!("/api/v1/events/{event}/board/stream?limit=1000")).await?;
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        Kind::Usage | Kind::Telemetry => {
            for round in 0.. {
                let records: Vec<_> = (0..1_000).map(|k| flood(task.kind, (round * 8 + n) * 1_000 + k)).collect();
                let request = append_request(address, token, &records);
                let (status, _) = client.send(&request).await?;
                *answers.entry(status).or_default() += 1;
            }
        }
        Kind::Oversize => {
            let body = vec![b'['; 20 << 20];
            let head = format!(
                "POST /api/v1/records HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/cloudevents-batch+json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
                body.len()
            );
            client.write(head.as_bytes()).await?;
            // The server answers before it has all of it, and closes.
            let _ = client.write(&body).await;
            let (status, _) = client.headers().await?;
            *answers.entry(status).or_default() += 1;
        }
        Kind::Queries => {
            let body = serde_json::json!({"query": ENDLESS}).to_string();
            let head = format!(
                "POST /api/v1/analytics/sql HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let (status, _) = client.send((head + &body).as_bytes()).await?;
            *answers.entry(status).or_default() += 1;
        }
    }
    Ok(())
}

fn flood(kind: Kind, n: u64) -> Vec<u8> {
    let body = match kind {
        Kind::Telemetry => Body::LabTelemetry(LabTelemetry {
            lab: format!("lab-{}", n % 100).into(),
            metric: "cpu".into(),
            value: 1.0,
        }),
        _ => Body::UsageTokens(UsageTokens { model: "m".into(), input_tokens: 1, ..UsageTokens::default() }),
    };
    let record = Record {
        id: format!("{n}").into(),
        source: "/flood".into(),
        tenant: "flood".into(),
        event: None,
        subject: None,
        time_ms: Some(1_780_000_000_000 + n as i64),
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}
