//! Everybody watches: from the moment a submission is sent until the last of 18,000 was told of it.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::contest::Contest;
use crate::crowd::{self, Seen};
use crate::http::append_request;
use crate::report::{Row, at_most};
use crate::server;
use crate::usage::{memory_bytes, monotonic_ns};
use crate::{Run, part, say};

const EVENT: &str = "fanout";
/// Changes of the board that all are told of.
const CHANGES: usize = 10;
/// From one to the next.
const BETWEEN: Duration = Duration::from_secs(2);
/// Requests that the cost of asking is measured with.
const POLLS: u32 = 2_000;

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run))
}

async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let (teams, watchers) = (run.scaled(25_000), run.scaled(18_000) as u32);
    let contest = Contest { event: EVENT.into(), teams, problems: 20, seed: 3 };
    let (server, mut client) = server::with_contest(run, &contest).await?;
    server.idle().await?;
    let idle_bytes = memory_bytes(&server.pid().to_string(), "VmRSS:");

    // What it would cost to ask again and again, as a page without a stream does.
    let before_s = server.cpu_s();
    for _ in 0..POLLS {
        let (status, _) = client.get(&format!("/api/v1/events/{EVENT}/board?limit=100")).await?;
        ensure!(status == 200, "the board answers {status}");
    }
    let poll_us = (server.cpu_s() - before_s) * 1e6 / f64::from(POLLS);

    let crowds: Vec<_> = [10, 20]
        .into_iter()
        .map(|from| crowd::Task {
            address: server.address.clone(),
            event: EVENT.into(),
            limit: 100,
            watchers: watchers / 2,
            from,
            versions: CHANGES,
        })
        .map(|task| part::start("crowd", &task))
        .collect::<anyhow::Result<_>>()?;
    let until = std::time::Instant::now() + Duration::from_secs(120);
    while subscribers(&mut client).await? < u64::from(watchers / 2 * 2) {
        ensure!(std::time::Instant::now() < until, "not all came:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.idle().await?;
    say(format!("fanout: {watchers} watch"));
    let watched_bytes = memory_bytes(&server.pid().to_string(), "VmRSS:");

    let (token, before_s, mut sent) = (server.token()?, server.cpu_s(), Vec::new());
    for n in 0..CHANGES as u64 {
        let record = contest.submission_of(n, 0, n % contest.problems, 1_000);
        let request = append_request(&server.address, &token, &[gravity_events::codec::encode(&record)]);
        let sent_ns = monotonic_ns();
        let (status, body) = client.send(&request).await?;
        ensure!(status == 202, "the submission is answered {status}: {}", String::from_utf8_lossy(&body));
        sent.push(sent_ns);
        tokio::time::sleep(BETWEEN).await;
    }
    let cpu_s = server.cpu_s() - before_s;
    let peak_bytes = memory_bytes(&server.pid().to_string(), "VmHWM:");
    let crowds: Vec<Seen> = crowds.into_iter().map(part::Running::answer).collect::<anyhow::Result<_>>()?;
    server.stop()?;
    let seen = Seen::of_all(crowds);
    ensure!(seen.told_ns.len() == CHANGES, "{} versions were told, {CHANGES} were made", seen.told_ns.len());
    let all = seen.told_ns.values().all(|told| told.len() == (watchers / 2 * 2) as usize);
    ensure!(all, "some were not told of each version");
    // Versions are told in the order in which submissions were sent.
    let after_ms = |share: f64| -> Vec<f64> {
        seen.told_ns.keys().zip(&sent).map(|(version, sent_ns)| seen.after_ms(*version, *sent_ns, share)).collect()
    };
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let worst_ms = after_ms(1.0).into_iter().fold(0.0, f64::max);
    let load = format!("{watchers} subscribers of 100 rows from 2 processes, {teams} teams, {CHANGES} changes");
    let row = |figure: String, peer: String, ratio: String, target: String| Row {
        case: "fanout",
        load: load.clone(),
        figure,
        peer,
        ratio,
        target,
    };
    let told_us = cpu_s * 1e6 / (CHANGES as f64 * f64::from(watchers));
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Ok(vec![
        row(
            format!(
                "all told {:.0} ms after the submission is sent (worst of {CHANGES}: {worst_ms:.0}); the first {:.0} ms, p50 {:.0}, p99 {:.0}",
                middle(after_ms(1.0)),
                middle(after_ms(0.0)),
                middle(after_ms(0.5)),
                middle(after_ms(0.99))
            ),
            format!("crowds: {:.1} CPU s, {:.1} MB received", seen.cpu_s, mb(seen.bytes)),
            "-".to_owned(),
            at_most(worst_ms / 1e3, 1.0, " s"),
        ),
        row(
            format!("{told_us:.1} us of server CPU for each that is told"),
            format!("asking for 100 rows: {poll_us:.0} us of server CPU each time"),
            format!("{:.2}", told_us / poll_us),
            "-".to_owned(),
        ),
        row(
            format!("{:.0} MB resident while all watch, {:.0} MB at most", mb(watched_bytes), mb(peak_bytes)),
            format!("before they came: {:.0} MB", mb(idle_bytes)),
            format!("{:.1} KB each", (watched_bytes.saturating_sub(idle_bytes)) as f64 / 1e3 / f64::from(watchers)),
            at_most(mb(peak_bytes), 1024.0, " MB"),
        ),
    ])
}

async fn subscribers(client: &mut crate::http::Client) -> anyhow::Result<u64> {
    let (status, metrics) = client.get("/metrics").await?;
    ensure!(status == 200, "metrics answer {status}");
    let metrics = String::from_utf8(metrics)?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("gravity_stream_subscribers "));
    line.context("subscribers are not counted")?.parse().context("no number")
}
