//! What others feel of clients that mean no good: a participant submits and waits until it is on the board, with nobody
//! else there, and beside each attack.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::attack::{self, Answers, Kind};
use crate::contest::Contest;
use crate::generator::quantile;
use crate::http::{Client, append_and_wait_request};
use crate::report::Row;
use crate::server;
use crate::usage::{memory_bytes, monotonic_ns};
use crate::{Run, part, say};

const EVENT: &str = "hostile";
/// From one submission to the next.
const BETWEEN: Duration = Duration::from_millis(20);
/// An attack begins so long before it is measured.
const BUILD_UP_S: u64 = 4;

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run))
}

/// Submits for so long; gives what each took, sorted, microseconds.
async fn submit(
    client: &mut Client,
    (address, token): (&str, &str),
    contest: &Contest,
    next: &mut u64,
    seconds: u64,
) -> anyhow::Result<Vec<u64>> {
    let (mut took_us, until) = (Vec::new(), Instant::now() + Duration::from_secs(seconds));
    while Instant::now() < until {
        let record = contest.submission_of(*next, 1 + *next % (contest.teams - 1), *next % contest.problems, 1_000);
        *next += 1;
        let request = append_and_wait_request(address, token, &[gravity_events::codec::encode(&record)]);
        let from_ns = monotonic_ns();
        let (status, body) = client.send(&request).await?;
        ensure!(status == 200, "a submission is answered {status}: {}", String::from_utf8_lossy(&body));
        took_us.push((monotonic_ns() - from_ns) / 1_000);
        tokio::time::sleep(BETWEEN).await;
    }
    took_us.sort_unstable();
    Ok(took_us)
}

async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let seconds = run.scaled(20).max(4);
    let contest = Contest { event: EVENT.into(), teams: 1_000, problems: 20, seed: 4 };
    let (server, mut client) = server::with_contest(run, &contest).await?;
    server.idle().await?;
    let (address, token, mut next) = (server.address.clone(), server.token()?, 0);
    let at = (address.as_str(), token.as_str());
    submit(&mut client, at, &contest, &mut next, 2).await?;
    let quiet = submit(&mut client, at, &contest, &mut next, seconds).await?;
    let resident_mb = || memory_bytes(&server.pid().to_string(), "VmRSS:") as f64 / 1e6;
    let quiet_mb = resident_mb();
    let ms = |took_us: &[u64], share| quantile(took_us, share) as f64 / 1e3;
    let mut rows = Vec::new();
    for (kind, what) in Kind::ALL {
        let task = attack::Task {
            address: address.clone(),
            token: token.clone(),
            event: EVENT.into(),
            kind,
            seconds: BUILD_UP_S + seconds + 1,
        };
        let attack = part::start("attack", &task)?;
        tokio::time::sleep(Duration::from_secs(BUILD_UP_S)).await;
        // The last one may have been idle for so long that the server closed it.
        client = server.client().await?;
        let beside = submit(&mut client, at, &contest, &mut next, seconds).await?;
        let attacked_mb = resident_mb();
        let answers: Answers = attack.answer()?;
        say(format!("hostile: {what}: {answers:?}"));
        let told = answers.iter().map(|(status, n)| match status {
            0 => format!("{n} closed"),
            status => format!("{n} x {status}"),
        });
        rows.push(Row {
            case: "hostile",
            load: what.to_owned(),
            figure: format!(
                "a submission is on the board after p50 {:.1} ms, p99 {:.1} ms; {attacked_mb:.0} MB resident",
                ms(&beside, 0.5),
                ms(&beside, 0.99)
            ),
            peer: format!(
                "with nobody there: p50 {:.1} ms, p99 {:.1} ms; {quiet_mb:.0} MB",
                ms(&quiet, 0.5),
                ms(&quiet, 0.99)
            ),
            ratio: format!("{:.1}", ms(&beside, 0.99) / ms(&quiet, 0.99)),
            target: format!("they were answered: {}", told.collect::<Vec<_>>().join(", ")),
        });
        // What an attack left is no part of the next.
        server::drained(&mut server.client().await?, Duration::from_secs(120)).await?;
        server.idle().await?;
    }
    server.stop()?;
    Ok(rows)
}
