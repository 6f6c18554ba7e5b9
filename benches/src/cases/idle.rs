//! A server with events and nothing to do.

use std::time::Duration;

use crate::contest::Contest;
use crate::report::{Row, at_most};
use crate::server::{self, Server};
use crate::usage::memory_bytes;
use crate::{Run, log, part};

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run))
}

async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let dir = run.dir.join("data");
    for n in 0..10 {
        let contest = Contest { event: format!("idle-{n}"), teams: 100, problems: 10, seed: n };
        let fill = log::Fill { dir: dir.join("log"), contest, reference: true, records: 1_000, rejudges: 50 };
        part::call::<u64>("fill", &fill)?;
    }
    let mut server = Server::spawn(&run.bin, &dir)?;
    server.ready().await?;
    let mut client = server.client().await?;
    server::drained(&mut client, Duration::from_secs(60)).await?;
    drop(client);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seconds = run.scaled(20).max(5);
    let before = server.cpu_s();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let share = (server.cpu_s() - before) / seconds as f64 * 100.0;
    let memory = memory_bytes(&server.pid().to_string(), "VmRSS:") as f64 / 1e6;
    server.stop()?;
    Ok(vec![Row {
        case: "idle",
        load: format!("10 events, nothing to do for {seconds} s"),
        figure: format!("{share:.2} % of a core, {memory:.0} MB resident"),
        peer: "-".into(),
        ratio: "-".into(),
        target: at_most(share, 2.0, " %"),
    }])
}
