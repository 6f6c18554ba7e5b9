//! The load generator: a process of its own, which sends requests that it has made before it begins.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Barrier, Semaphore};

use crate::contest::Contest;
use crate::http::{Client, append_request};
use crate::usage::monotonic_ns;

/// What to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The server.
    pub address: String,
    /// Its token.
    pub token: String,
    /// Of which contest.
    pub contest: Contest,
    /// Connections.
    pub connections: usize,
    /// How.
    pub plan: Plan,
}

/// How to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Plan {
    /// So many submissions, one a request, as fast as the connections go. The last is the marked team's (0).
    Burst {
        /// Submissions.
        submissions: u64,
    },
    /// A batch of records every so often, sent at its time whatever the answers do. Every 100th record is a submission
    /// of the marked team (0).
    Paced {
        /// Records a second.
        per_s: u64,
        /// Records of one request.
        batch: u64,
        /// For how long.
        seconds: u64,
    },
}

/// What happened.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// First send, monotonic nanoseconds.
    pub first_ns: u64,
    /// Last answer.
    pub last_ns: u64,
    /// Requests that were answered 202.
    pub accepted: u64,
    /// Others.
    pub errors: u64,
    /// The first of those.
    pub error: Option<String>,
    /// From send (paced: from the time when it was due) to the answer, sorted, microseconds.
    pub latencies_us: Vec<u64>,
    /// When each record of the marked team was due, in order.
    pub marks_ns: Vec<u64>,
    /// CPU seconds of this process.
    pub cpu_s: f64,
}

#[derive(Default)]
struct Tally {
    latencies_us: Vec<u64>,
    accepted: u64,
    errors: u64,
    error: Option<String>,
}

impl Tally {
    fn note(&mut self, from_ns: u64, answer: anyhow::Result<(u16, Vec<u8>)>) -> bool {
        self.latencies_us.push((monotonic_ns() - from_ns) / 1_000);
        let error = match answer {
            Ok((202, _)) => {
                self.accepted += 1;
                return true;
            }
            Ok((status, body)) => format!("{status}: {}", String::from_utf8_lossy(&body)),
            Err(error) => error.to_string(),
        };
        self.errors += 1;
        self.error.get_or_insert(error);
        false
    }
}

/// Runs. In a process of its own.
pub fn run(task: Task) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let meter = crate::usage::Meter::start();
    let mut answer = runtime.block_on(async {
        match &task.plan {
            Plan::Burst { submissions } => burst(&task, *submissions).await,
            Plan::Paced { per_s, batch, seconds } => paced(&task, *per_s, *batch, *seconds).await,
        }
    })?;
    answer.latencies_us.sort_unstable();
    answer.cpu_s = meter.used().cpu_s;
    Ok(answer)
}

async fn burst(task: &Task, submissions: u64) -> anyhow::Result<Answer> {
    let request = |n: u64| {
        let record = match n + 1 == submissions {
            true => task.contest.submission_of(n, 0, 0, 1_000),
            false => task.contest.submission(n, submissions),
        };
        append_request(&task.address, &task.token, &[gravity_events::codec::encode(&record)])
    };
    let requests: Arc<Vec<Vec<u8>>> = Arc::new((0..submissions).map(request).collect());
    let (next, tally) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Tally::default())));
    let start = Arc::new(Barrier::new(task.connections + 1));
    let mut tasks = Vec::new();
    for _ in 0..task.connections {
        let mut client = Client::connect(&task.address, "").await?;
        let (requests, next, tally, start) = (requests.clone(), next.clone(), tally.clone(), start.clone());
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(n) else { return };
                let sent_ns = monotonic_ns();
                let answer = client.send(request).await;
                if !tally.lock().note(sent_ns, answer) {
                    return;
                }
            }
        }));
    }
    let first_ns = monotonic_ns();
    start.wait().await;
    for task in tasks {
        task.await?;
    }
    Ok(finish(first_ns, &tally, Vec::new()))
}

/// Due times and requests of a paced load, and when marks are due within it (nanoseconds from the start).
fn schedule(task: &Task, per_s: u64, batch: u64, seconds: u64) -> (VecDeque<(u64, Vec<u8>)>, Vec<u64>) {
    let all = per_s * seconds;
    let (mut requests, mut marks) = (VecDeque::new(), Vec::new());
    for first in (0..all).step_by(batch as usize) {
        let due_ns = first * 1_000_000_000 / per_s;
        let records = (first..(first + batch).min(all)).map(|n| {
            let record = match (n % 100, n % 2) {
                (99, _) => {
                    marks.push(due_ns);
                    task.contest.submission_of(n, 0, n / 100 % task.contest.problems, 1_000 + n as i64)
                }
                // The judgement of the submission before it; every 20th judges one of earlier again.
                (_, 1) if n % 40 == 39 => task.contest.judgement(n / 2, all, n),
                (_, 1) => task.contest.judgement(n - 1, all, 0),
                _ => task.contest.submission(n, all),
            };
            gravity_events::codec::encode(&record)
        });
        let records: Vec<_> = records.collect();
        requests.push_back((due_ns, append_request(&task.address, &task.token, &records)));
    }
    (requests, marks)
}

async fn paced(task: &Task, per_s: u64, batch: u64, seconds: u64) -> anyhow::Result<Answer> {
    let (requests, marks) = schedule(task, per_s, batch, seconds);
    let mut clients = Vec::new();
    for _ in 0..task.connections {
        clients.push(Client::connect(&task.address, "").await?);
    }
    let (clients, tally) = (Arc::new(Mutex::new(clients)), Arc::new(Mutex::new(Tally::default())));
    let idle = Arc::new(Semaphore::new(task.connections));
    let (began, began_ns) = (Instant::now(), monotonic_ns());
    let mut tasks = Vec::new();
    for (due_ns, request) in requests {
        tokio::time::sleep_until((began + Duration::from_nanos(due_ns)).into()).await;
        let permit = idle.clone().acquire_owned().await?;
        let (clients, tally, address) = (clients.clone(), tally.clone(), task.address.clone());
        tasks.push(tokio::spawn(async move {
            let Some(mut client) = clients.lock().pop() else { return };
            let mut answer = client.send(&request).await;
            if answer.is_err()
                && let Ok(another) = Client::connect(&address, "").await
            {
                // It had been idle for so long that the server closed it, as clients must expect.
                client = another;
                answer = client.send(&request).await;
            }
            if tally.lock().note(began_ns + due_ns, answer) {
                clients.lock().push(client);
            }
            drop(permit);
        }));
    }
    for task in tasks {
        task.await?;
    }
    Ok(finish(began_ns, &tally, marks.into_iter().map(|m| began_ns + m).collect()))
}

fn finish(first_ns: u64, tally: &Mutex<Tally>, marks_ns: Vec<u64>) -> Answer {
    let Tally { latencies_us, accepted, errors, error } = std::mem::take(&mut *tally.lock());
    Answer { first_ns, last_ns: monotonic_ns(), accepted, errors, error, latencies_us, marks_ns, cpu_s: 0.0 }
}

/// The value below which this share of sorted values lies.
pub fn quantile(sorted: &[u64], share: f64) -> u64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(0)
}
