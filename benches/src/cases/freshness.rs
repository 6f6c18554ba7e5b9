//! How old a board is: from the moment a record is due to be sent until the stream shows it.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::contest::{self, Contest};
use crate::generator::{Answer, Plan, Task, quantile};
use crate::report::{Row, at_most};
use crate::server::{self, Server};
use crate::sse::Watcher;
use crate::{Run, part, say};

const EVENT: &str = "fresh";
const BATCH: u64 = 5;

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run))
}

async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let (per_s, seconds, teams) = (5_000, run.scaled(20).max(4), 1_000);
    let contest = Contest { event: EVENT.into(), teams, problems: 20, seed: 3 };
    let (server, mut client) = Server::with_teams(run, &contest).await?;
    // The marked team solves a problem before all others can, so that its row stays at the top.
    for record in (1_000_000..1_000_020).flat_map(|n| solve(&contest, n)) {
        let request = crate::http::append_request(&server.address, &server.token()?, &[record]);
        let (status, answer) = client.send(&request).await?;
        ensure!(status == 202, "the server answers {status}: {}", String::from_utf8_lossy(&answer));
    }
    server::drained(&mut client, Duration::from_secs(60)).await?;
    let mark = contest::team(0);
    let (watcher, watching) = Watcher::follow(server.client().await?, EVENT, 10, &mark).await?;
    let before = watcher.version(0).await;
    ensure!(before.pending == Some(0), "the marked team is at the top, with nothing pending: {before:?}");
    let cpu_s = server.cpu_s();
    let plan = Plan::Paced { per_s, batch: BATCH, seconds };
    let task = Task { address: server.address.clone(), token: server.token()?, contest, connections: 64, plan };
    let sending = part::start("generate", &task)?;
    let sent: Answer = tokio::task::spawn_blocking(move || sending.answer()).await??;
    let wait = async {
        while watcher.frames().iter().filter_map(|f| f.pending).max() < Some(sent.marks_ns.len() as u64) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await?;
    let cpu_s = server.cpu_s() - cpu_s;
    watching.abort();
    ensure!(sent.errors == 0, "{} requests failed: {:?}", sent.errors, sent.error);
    server.stop()?;

    let frames = watcher.frames();
    let mut ages_us: Vec<u64> = Vec::new();
    let mut shown = frames.iter().filter_map(|f| Some((f.pending?, f.at_ns))).peekable();
    for (n, due_ns) in sent.marks_ns.iter().enumerate() {
        while shown.peek().is_some_and(|(pending, _)| *pending <= n as u64) {
            shown.next();
        }
        let Some((_, at_ns)) = shown.peek() else { break };
        ages_us.push(at_ns.saturating_sub(*due_ns) / 1_000);
    }
    ages_us.sort_unstable();
    say("freshness: now the floor");
    let floor_us = floor(run, per_s, seconds.min(10)).await?;
    let ms = |of: &[u64], share| quantile(of, share) as f64 / 1e3;
    let load = format!("{per_s} records/s in batches of {BATCH} for {seconds} s, {teams} teams");
    let row = |figure: String, peer: String, ratio: String, target: String| Row {
        case: "freshness",
        load: load.clone(),
        figure,
        peer,
        ratio,
        target,
    };
    let (p50, p99) = (ms(&ages_us, 0.5), ms(&ages_us, 0.99));
    Ok(vec![
        row(
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms from due to shown on the stream ({} marks)", ages_us.len()),
            format!("append + fdatasync + echo: p50 {:.1} ms, p99 {:.1} ms", ms(&floor_us, 0.5), ms(&floor_us, 0.99)),
            format!("p50 {:.1}, p99 {:.1}", p50 / ms(&floor_us, 0.5), p99 / ms(&floor_us, 0.99)),
            at_most(p99, 50.0, " ms at p99"),
        ),
        row(
            format!(
                "202 after p50 {:.1} ms, p99 {:.1} ms from due",
                ms(&sent.latencies_us, 0.5),
                ms(&sent.latencies_us, 0.99)
            ),
            format!("{} frames", frames.len()),
            format!(
                "server {:.0} % of a core, generator {:.0} %",
                cpu_s / seconds as f64 * 100.0,
                sent.cpu_s / seconds as f64 * 100.0
            ),
            "-".into(),
        ),
    ])
}

/// A submission of the marked team and its acceptance.
fn solve(contest: &Contest, n: u64) -> [Vec<u8>; 2] {
    let received = contest.submission_of(n, 0, n % contest.problems, 0);
    // As one of very many, so that its contest time stays small.
    let mut judged = contest.judgement(n, 1_000_000_000, 0);
    if let gravity_events::Body::JudgementRecorded(j) = &mut judged.body {
        j.judgement_type = Some("AC".into());
    }
    [received, judged].map(|r| gravity_events::codec::encode(&r))
}

/// The same pace with nothing between disk and socket: batches over TCP, appended, synced, echoed.
async fn floor(run: &Run, per_s: u64, seconds: u64) -> anyhow::Result<Vec<u64>> {
    const BYTES: usize = 330 * BATCH as usize;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut file = std::fs::File::create(run.dir.join("floor"))?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let mut bytes = vec![0; 4 << 20];
        let mut begun = 0;
        loop {
            let n = std::io::Read::read(&mut socket, &mut bytes)?;
            if n == 0 {
                return Ok(());
            }
            file.write_all(&bytes[..n])?;
            file.sync_data()?;
            // One byte for each whole batch.
            let whole = (begun + n) / BYTES;
            begun = (begun + n) % BYTES;
            socket.write_all(&vec![1; whole])?;
        }
    });
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut from, mut to) = stream.into_split();
    let (batches, began) = (per_s / BATCH * seconds, Instant::now());
    let due = move |n: u64| Duration::from_nanos(n * BATCH * 1_000_000_000 / per_s);
    let reading = tokio::spawn(async move {
        let (mut ages_us, mut bytes) = (Vec::new(), vec![0; 4_096]);
        while (ages_us.len() as u64) < batches {
            let n = from.read(&mut bytes).await.unwrap_or(0);
            if n == 0 {
                break;
            }
            for _ in 0..n {
                let age = began.elapsed().saturating_sub(due(ages_us.len() as u64));
                ages_us.push(age.as_micros() as u64);
            }
        }
        ages_us
    });
    let batch = vec![b'x'; BYTES];
    for n in 0..batches {
        tokio::time::sleep_until((began + due(n)).into()).await;
        to.write_all(&batch).await?;
    }
    let mut ages_us = reading.await?;
    ages_us.sort_unstable();
    Ok(ages_us)
}
