//! From the log into the lake, exactly once and durable, by the real server; beside a bulk load of the same records by DuckDB.

use std::io::{BufWriter, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::burn::{FillTask, usage};
use crate::report::Row;
use crate::server::Server;
use crate::usage::memory_bytes;
use crate::{Run, part, peers, say};

const DUCK: &str = include_str!("lake/duck.py");

#[derive(Deserialize)]
struct Duck {
    wall_s: f64,
    cpu_s: f64,
    peak_bytes: u64,
    rows: u64,
    version: String,
}

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run))
}

async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let records = run.records.unwrap_or(run.scaled(2_000_000));
    let different = (0..records).filter(|n| n % 20 != 19).count() as u64;
    let dir = run.dir.join("data");
    let made: u64 = part::call("fill_usage", &FillTask { dir: dir.join("log"), records })?;
    say(format!("lake: a log of {made} records"));
    let mut server = Server::spawn(&run.bin, &dir)?;
    server.ready().await?;
    let mut client = server.client().await?;
    let mut told = Instant::now();
    let took = loop {
        let (_, metrics) = client.get("/metrics").await?;
        let metrics = String::from_utf8_lossy(&metrics).into_owned();
        let rows = |table: &str| {
            let line =
                metrics.lines().find_map(|l| l.strip_prefix(&format!("gravity_lake_rows_total{{table=\"{table}\"}} ")));
            line.and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0) as u64
        };
        if rows("usage") >= different && rows("refused") >= records - different {
            ensure!(rows("usage") == different, "{} rows of {different}", rows("usage"));
            break server.started.elapsed();
        }
        ensure!(server.started.elapsed() < Duration::from_secs(1_200), "{} rows after 20 minutes", rows("usage"));
        if told.elapsed() > Duration::from_secs(10) {
            say(format!("lake: {} rows", rows("usage")));
            told = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (cpu_s, peak) = (server.cpu_s(), memory_bytes(&server.pid().to_string(), "VmHWM:"));
    drop(client);
    server.stop()?;
    let duck = bulk(run, records, different)?;
    let (wall_s, load) =
        (took.as_secs_f64(), format!("{} k records of usage, {different} of them different", records / 1_000));
    Ok(vec![
        Row {
            case: "lake",
            load: format!("{load}; from the start of the server until all are in the lake"),
            figure: format!(
                "{wall_s:.1} s, {:.0} k rows/s, judged, charged, once, durable",
                records as f64 / wall_s / 1e3
            ),
            peer: format!("DuckDB {}, bulk load of {} different ones: {:.1} s", duck.version, duck.rows, duck.wall_s),
            ratio: format!("{:.2}", wall_s / duck.wall_s),
            target: "-".into(),
        },
        Row {
            case: "lake",
            load,
            figure: format!(
                "{:.2} CPU s per million, peak memory {:.0} MB",
                cpu_s * 1e6 / records as f64,
                peak as f64 / 1e6
            ),
            peer: format!(
                "DuckDB: {:.2} CPU s per million, peak memory {:.0} MB",
                duck.cpu_s * 1e6 / duck.rows as f64,
                duck.peak_bytes as f64 / 1e6
            ),
            ratio: format!("{:.2}", (cpu_s / records as f64) / (duck.cpu_s / duck.rows as f64)),
            target: "-".into(),
        },
    ])
}

fn bulk(run: &Run, records: u64, different: u64) -> anyhow::Result<Duck> {
    let (lines, out, script) = (run.dir.join("usage.ndjson"), run.dir.join("duck"), run.dir.join("duck.py"));
    let mut file = BufWriter::new(std::fs::File::create(&lines)?);
    for n in (0..records).filter(|n| n % 20 != 19) {
        file.write_all(&gravity_events::codec::encode(&usage(n)))?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    std::fs::write(&script, DUCK)?;
    let done = Command::new(peers::python()?).arg(&script).args([&lines, &out]).arg("2").output()?;
    ensure!(done.status.success(), "DuckDB failed: {}", String::from_utf8_lossy(&done.stderr));
    let duck: Duck = serde_json::from_slice(&done.stdout).context("DuckDB answers something else")?;
    ensure!(duck.rows == different, "DuckDB has {} rows of {different}", duck.rows);
    Ok(duck)
}
