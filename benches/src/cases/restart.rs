//! A start on much data, with a cold page cache; and how long it takes to catch up.

use std::path::Path;
use std::time::Duration;

use crate::contest::Contest;
use crate::log::Fill;
use crate::report::{Row, at_most};
use crate::server::{self, Server};
use crate::usage::memory_bytes;
use crate::{Run, part, say};

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run))
}

async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let records = run.records.unwrap_or(run.scaled(10_000_000));
    let behind = records / 10;
    let contest = Contest { event: "restart".into(), teams: 25_000, problems: 20, seed: 4 };
    let dir = run.dir.join("data");
    // A tenth are submissions, a tenth their judgements, the rest judge those again.
    let mut fill = Fill { dir: dir.join("log"), contest, reference: true, records, rejudges: records / 10 * 8 };
    say(format!("restart: making {records} records"));
    let all: u64 = part::call("fill", &fill)?;
    let mut server = Server::spawn(&run.bin, &dir)?;
    server.ready().await?;
    let mut client = server.client().await?;
    let loaded = server::drained(&mut client, Duration::from_secs(1_800)).await?;
    let load_cpu_s = server.cpu_s();
    let load_peak = memory_bytes(&server.pid().to_string(), "VmHWM:");
    drop(client);
    server.stop()?;
    say(format!("restart: loaded in {:.0} s, {load_cpu_s:.0} CPU s", loaded.as_secs_f64()));

    let cold = drop_caches();
    let (ready, ready_cpu_s, resident) = start(run, &dir).await?;
    // As the producers would while it is down.
    fill.contest.event = "late".into();
    (fill.records, fill.rejudges) = (behind, behind / 20);
    part::call::<u64>("fill", &fill)?;
    drop_caches();
    let mut server = Server::spawn(&run.bin, &dir)?;
    let ready_behind = server.ready().await?;
    let mut client = server.client().await?;
    let before = server::lag(&mut client).await?;
    let drain = server::drained(&mut client, Duration::from_secs(900)).await?;
    drop(client);
    let drain_cpu_s = server.cpu_s();
    server.stop()?;

    let load =
        format!("{} k records in the data folder{}", all / 1_000, if cold { ", page cache dropped" } else { "" });
    let row = |figure: String, peer: String, ratio: String, target: String| Row {
        case: "restart",
        load: load.clone(),
        figure,
        peer,
        ratio,
        target,
    };
    let ready_s = ready.as_secs_f64();
    Ok(vec![
        row(
            format!(
                "ready after {ready_s:.2} s ({ready_cpu_s:.2} CPU s), {:.0} MB resident; data folder {:.0} MB, journal {:.0} MB",
                resident as f64 / 1e6,
                size(&dir) / 1e6,
                size(&dir.join("pipelines")) / 1e6
            ),
            format!(
                "taking the same records in: {:.0} s, {load_cpu_s:.0} CPU s, peak {:.0} MB",
                loaded.as_secs_f64(),
                load_peak as f64 / 1e6
            ),
            format!("{:.3}", ready_s / loaded.as_secs_f64()),
            at_most(ready_s, 5.0, " s"),
        ),
        row(
            format!("{:.1} s to drain {before} records that came while it was down, after ready", drain.as_secs_f64()),
            format!("ready after {:.2} s; {drain_cpu_s:.1} CPU s in all", ready_behind.as_secs_f64()),
            format!("{:.0} k records/s", before as f64 / drain.as_secs_f64() / 1e3),
            "-".into(),
        ),
    ])
}

async fn start(run: &Run, dir: &Path) -> anyhow::Result<(Duration, f64, u64)> {
    let mut server = Server::spawn(&run.bin, dir)?;
    let ready = server.ready().await?;
    let (cpu_s, resident) = (server.cpu_s(), memory_bytes(&server.pid().to_string(), "VmRSS:"));
    server.stop()?;
    Ok((ready, cpu_s, resident))
}

/// Needs root; says whether it could.
fn drop_caches() -> bool {
    let _ = std::process::Command::new("sync").status();
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Bytes of the files in a folder.
fn size(dir: &Path) -> f64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0.0 };
    let of = |e: std::fs::DirEntry| match e.metadata() {
        Ok(m) if m.is_dir() => size(&e.path()),
        Ok(m) => m.len() as f64,
        Err(_) => 0.0,
    };
    entries.flatten().map(of).sum()
}
