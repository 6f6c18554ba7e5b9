//! Everybody submits at once: from the first send until all is on the board, through HTTP.

use std::time::Duration;

use anyhow::{Context, ensure};
use gravity_events::Topic;

use crate::contest::{self, Contest};
use crate::generator::{Answer, Plan, Task, quantile};
use crate::report::{Row, at_most};
use crate::server;
use crate::sse::Watcher;
use crate::usage::monotonic_ns;
use crate::{Run, part, say};

const EVENT: &str = "burst";

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run))
}

async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let teams = run.scaled(25_000);
    let (submissions, connections) = (run.scaled(20_000), run.scaled(2_000) as usize);
    let contest = Contest { event: EVENT.into(), teams, problems: 20, seed: 2 };
    let (server, mut client) = server::with_contest(run, &contest).await?;
    say(format!("burst: {teams} teams are on the board"));
    // Their rows are still on their way to the output topics: that is no part of the burst.
    server.idle().await?;
    let mark = contest::team(0);
    let (watcher, watching) = Watcher::follow(server.client().await?, EVENT, 100, &mark).await?;
    let cpu_s = server.cpu_s();
    let task = Task {
        address: server.address.clone(),
        token: server.token()?,
        contest,
        connections,
        plan: Plan::Burst { submissions },
    };
    let sending = part::start("generate", &task)?;
    let on_board = async {
        // Every submission has its epoch, and the marked team's row has the last one.
        loop {
            let bound = server::bound(&mut client, Topic::Submissions).await?;
            if bound >= submissions {
                break;
            }
            // Asking costs the server too: rarely at first, then as often as the figure wants.
            let pause_ms = if bound < submissions / 10 * 9 { 50 } else { 5 };
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        let (status, page) = client.get(&format!("/api/v1/events/{EVENT}/board?limit=100")).await?;
        ensure!(status == 200, "the board answers {status}");
        let page = String::from_utf8(page)?;
        let at_ns = monotonic_ns();
        ensure!(crate::sse::pending(&page, &mark).is_some_and(|n| n > 0), "the marked submission is not on the board");
        let version = serde_json::from_str::<serde_json::Value>(&page)?["version"].as_u64().unwrap_or(u64::MAX);
        anyhow::Ok((at_ns, watcher.version(version).await.at_ns))
    };
    let on_board = tokio::time::timeout(Duration::from_secs(20), on_board).await;
    let sent: Answer = sending.answer()?;
    let (board_ns, stream_ns) = on_board.with_context(|| {
        format!("{} were accepted, {} were not, such as: {:?}", sent.accepted, sent.errors, sent.error)
    })??;
    let cpu_s = server.cpu_s() - cpu_s;
    watching.abort();
    ensure!(sent.accepted + sent.errors >= submissions.min(sent.accepted), "every request has an answer");
    ensure!(pending_of_all(&mut client).await? == sent.accepted, "what was accepted is not what the board shows");
    server.stop()?;
    let seconds = |ns: u64| ns.saturating_sub(sent.first_ns) as f64 / 1e9;
    let visible = seconds(board_ns.max(stream_ns));
    let ms = |share| quantile(&sent.latencies_us, share) as f64 / 1e3;
    let load = format!("{submissions} submissions, {connections} connections, {teams} teams");
    let row = |figure: String, peer: String, ratio: String, target: String| Row {
        case: "burst",
        load: load.clone(),
        figure,
        peer,
        ratio,
        target,
    };
    let took = seconds(sent.last_ns);
    Ok(vec![
        row(
            format!(
                "{visible:.2} s from the first send until all are on the board (page {:.2} s, stream {:.2} s)",
                seconds(board_ns),
                seconds(stream_ns)
            ),
            format!("last 202 after {took:.2} s"),
            format!("{:.2}", visible / took),
            at_most(visible, 2.0, " s"),
        ),
        row(
            format!(
                "{:.0} requests/s, {} errors, 202 after p50 {:.0} ms, p99 {:.0} ms",
                submissions as f64 / took,
                sent.errors,
                ms(0.5),
                ms(0.99)
            ),
            format!("server {cpu_s:.2} CPU s, generator {:.2} CPU s", sent.cpu_s),
            format!("{:.0} us of server CPU per request", cpu_s * 1e6 / submissions as f64),
            format!("no errors: {}", sent.error.map_or("met".to_owned(), |e| format!("missed, {e}"))),
        ),
    ])
}

/// Pending submissions on the whole board.
async fn pending_of_all(client: &mut crate::http::Client) -> anyhow::Result<u64> {
    let (mut all, mut cursor) = (0, String::new());
    loop {
        let (status, page) = client.get(&format!("/api/v1/events/{EVENT}/board?limit=1000{cursor}")).await?;
        ensure!(status == 200, "the board answers {status}: {}", String::from_utf8_lossy(&page));
        let page: serde_json::Value = serde_json::from_slice(&page)?;
        let cells = page["rows"].as_array().into_iter().flatten().flat_map(|r| r["problems"].as_array()).flatten();
        all += cells.filter_map(|c| c["pending"].as_u64()).sum::<u64>();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}
