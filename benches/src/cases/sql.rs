//! SQL over the lake's files beside DuckDB on the same files: ten questions, in queries.sql, with the same threads and memory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use gravity_storage::lake::columns;
use gravity_storage::lake::schema::{Table, tables};
use gravity_storage::lake::table::{LakeTable, Positions};
use gravity_storage::objects::Objects;
use gravity_storage::sql::{Limits, Scope, SqlEngine};
use serde::{Deserialize, Serialize};

use crate::contest::mix;
use crate::report::{Row, at_most};
use crate::usage::{Meter, Used};
use crate::{Run, part, say};

const QUERIES: &str = include_str!("sql/queries.sql");
const DUCK: &str = include_str!("sql/duck.py");
const DAYS: u64 = 30;
const TENANTS: u64 = 4;
/// 1 May 2026.
const FIRST_DAY: i32 = 20_574;
const MEMORY_BYTES: usize = 4 << 30;
/// Runs of each question after one that warms up; the best counts.
const RUNS: usize = 3;

/// A lake to be filled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FillTask {
    dir: PathBuf,
    rows: u64,
}

/// Questions to ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AskTask {
    dir: PathBuf,
    questions: Vec<String>,
}

/// An answer, and what it took.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    wall_s: f64,
    cpu_s: f64,
    rows: Vec<String>,
}

/// All answers of one side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answers {
    answers: Vec<Answer>,
    peak_bytes: u64,
    #[serde(default)]
    version: String,
}

/// Few get much: a number below `n`, about as Zipf has it.
fn skewed(random: u64, n: u64) -> u64 {
    let share = (random >> 11) as f64 / (1u64 << 53) as f64;
    ((n as f64 + 1.0).powf(share) as u64).saturating_sub(1).min(n - 1)
}

fn usage() -> anyhow::Result<Table> {
    tables().into_iter().find(|table| table.name == "usage").context("the lake has no usage")
}

/// One tenant's day of usage, as the lake's writer has it.
fn batch(spec: &Table, day: u64, tenant: u64, rows: u64) -> anyhow::Result<RecordBatch> {
    let first = (day * TENANTS + tenant) * rows;
    let of = |salt: u64, n: u64| mix(0, salt, first + n);
    let texts = |text: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new((0..rows).map(|n| Some(text(n))).collect::<StringArray>())
    };
    let numbers = |number: &dyn Fn(u64) -> i64| -> ArrayRef { Arc::new((0..rows).map(number).collect::<Int64Array>()) };
    let day_ms = i64::from(FIRST_DAY) * 86_400_000 + day as i64 * 86_400_000;
    let times = |late_ms: i64| -> ArrayRef {
        let at = |n: u64| (day_ms + (n * 86_400_000 / rows) as i64 + late_ms) * 1_000;
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..rows).map(at)).with_timezone("UTC"))
    };
    let columns = spec.columns.iter().map(|column| -> ArrayRef {
        match column.name {
            "tenant" => texts(&|_| format!("t{tenant}")),
            "day" => Arc::new(Date32Array::from_value(FIRST_DAY + day as i32, rows as usize)),
            "event" => texts(&|n| format!("event-{}", skewed(of(1, n), 50))),
            "type" => texts(&|_| "usage.tokens".into()),
            "model" => texts(&|n| format!("model-{}", skewed(of(2, n), 12))),
            "input_tokens" => numbers(&|n| skewed(of(3, n), 8_000) as i64),
            "output_tokens" => numbers(&|n| (of(4, n) % 900) as i64),
            "cached_tokens" => numbers(&|n| (skewed(of(3, n), 8_000) / 4) as i64),
            "duration_ms" => numbers(&|_| 0),
            "team" => texts(&|n| format!("team-{}", skewed(of(5, n), 2_000))),
            "lab" => texts(&|n| format!("lab-{}", of(6, n) % 300)),
            "subject" => texts(&|n| format!("p-{}", skewed(of(7, n), 20_000))),
            "time" => times(0),
            "appended_at" => times(700),
            "id" => texts(&|n| format!("u{}", first + n)),
            "source" => texts(&|_| "gateway".into()),
            "log_topic" => texts(&|_| "gravity.usage.v1".into()),
            "log_partition" => numbers(&|n| (n % 8) as i64),
            "log_offset" => numbers(&|n| ((first + n) / 8) as i64),
            _ => new_null_array(&column.kind.arrow(), rows as usize),
        }
    });
    Ok(RecordBatch::try_new(columns::schema(&spec.columns), columns.collect())?)
}

/// Fills a lake's table of usage. Run in a process of its own.
pub fn fill(task: FillTask) -> anyhow::Result<Used> {
    let meter = Meter::start();
    let objects = Objects::folder(&task.dir)?;
    runtime()?.block_on(async {
        let mut table = LakeTable::open(&objects, Arc::new(usage()?)).await?;
        let rows = task.rows / (DAYS * TENANTS);
        for day in 0..DAYS {
            for tenant in 0..TENANTS {
                let batch = batch(&table.spec, day, tenant, rows)?;
                table.append_batch(&batch, &Positions::new()).await?;
            }
            say(format!("sql: day {} of {DAYS}", day + 1));
        }
        anyhow::Ok(())
    })?;
    Ok(meter.used())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Asks our engine. Run in a process of its own.
pub fn ask(task: AskTask) -> anyhow::Result<Answers> {
    gravity_pipelines::runtime::memory::avoid_huge_pages();
    let limits = Limits { memory_bytes: MEMORY_BYTES, time: Duration::from_secs(600), ..Limits::default() };
    let engine = SqlEngine::new(Objects::folder(&task.dir)?, Vec::new(), task.dir.join("spill"), limits)?;
    let all = Meter::start();
    let mut answers = Vec::new();
    runtime()?.block_on(async {
        for question in &task.questions {
            let mut runs = Vec::new();
            for _ in 0..=RUNS {
                let (meter, began) = (Meter::start(), Instant::now());
                let batches = engine.query(&Scope::All, question).await?.collect().await?;
                let (wall_s, cpu_s) = (began.elapsed().as_secs_f64(), meter.used().cpu_s);
                runs.push(Answer { wall_s, cpu_s, rows: shown(&batches)? });
            }
            let best = runs.into_iter().skip(1).min_by(|a, b| a.wall_s.total_cmp(&b.wall_s));
            answers.push(best.context("there are runs")?);
        }
        anyhow::Ok(())
    })?;
    Ok(Answers { answers, peak_bytes: all.used().peak_bytes, version: String::new() })
}

fn shown(batches: &[RecordBatch]) -> anyhow::Result<Vec<String>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("\t"));
        }
    }
    Ok(rows)
}

/// The questions, with their names.
fn questions() -> Vec<(String, String)> {
    let named = QUERIES.split(';').filter_map(|part| {
        let head = part.lines().rev().find(|line| line.starts_with("-- "))?;
        let name = head.trim_start_matches("-- ").split(':').next()?.to_owned();
        let text: Vec<&str> = part.lines().filter(|line| !line.starts_with("--") && !line.is_empty()).collect();
        (!text.is_empty()).then(|| (name, text.join("\n")))
    });
    named.collect()
}

fn duck(run: &Run, table: &Path, questions: &[String]) -> anyhow::Result<Answers> {
    let script = run.dir.join("duck.py");
    std::fs::write(&script, DUCK)?;
    let memory = format!("{}MiB", MEMORY_BYTES >> 20);
    let mut child = Command::new(crate::peers::python()?)
        .arg(&script)
        .arg(table)
        .args(["2", &memory, &RUNS.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("DuckDB does not start")?;
    child.stdin.take().context("it has an input")?.write_all(&serde_json::to_vec(questions)?)?;
    let out = child.wait_with_output()?;
    ensure!(out.status.success(), "DuckDB failed: {}", out.status);
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    let rows = run.records.unwrap_or(run.scaled(100_000_000)) / (DAYS * TENANTS) * (DAYS * TENANTS);
    let dir = run.dir.join("lake");
    let filled: Used = part::call("fill_lake", &FillTask { dir: dir.clone(), rows })?;
    say(format!("sql: {rows} rows written in {:.0} s", filled.wall_s));
    let (names, questions): (Vec<_>, Vec<_>) = questions().into_iter().unzip();
    let ours: Answers = part::call("ask", &AskTask { dir: dir.clone(), questions: questions.clone() })?;
    let theirs = duck(run, &dir.join("usage"), &questions)?;
    let load =
        format!("{:.1} M rows of usage, 2 threads, {} GB, best of {RUNS}", rows as f64 / 1e6, MEMORY_BYTES >> 30);
    let mut table = Vec::new();
    let (mut product, mut cpu_product) = (0.0, 0.0);
    let version = &theirs.version;
    for ((name, ours), theirs) in names.iter().zip(&ours.answers).zip(&theirs.answers) {
        ensure!(ours.rows == theirs.rows, "{name}: the answers differ: {:?} and {:?}", head(ours), head(theirs));
        let ratio = ours.wall_s / theirs.wall_s;
        product += ratio.ln();
        cpu_product += (ours.cpu_s / theirs.cpu_s.max(0.001)).ln();
        table.push(Row {
            case: "sql",
            load: format!("{load}; `{name}`, {} rows of answer", ours.rows.len()),
            figure: format!("{:.0} ms, {:.2} CPU s", ours.wall_s * 1e3, ours.cpu_s),
            peer: format!("DuckDB {version}: {:.0} ms, {:.2} CPU s", theirs.wall_s * 1e3, theirs.cpu_s),
            ratio: format!("{ratio:.2}"),
            target: "-".into(),
        });
    }
    let n = table.len() as f64;
    let mean = (product / n).exp();
    table.push(Row {
        case: "sql",
        load: format!("{load}; geometric mean of all"),
        figure: format!("peak memory {:.0} MB", ours.peak_bytes as f64 / 1e6),
        peer: format!("peak memory {:.0} MB", theirs.peak_bytes as f64 / 1e6),
        ratio: format!("{mean:.2} (CPU {:.2})", (cpu_product / n).exp()),
        target: at_most((mean * 100.0).round() / 100.0, 1.0, ""),
    });
    Ok(table)
}

fn head(answer: &Answer) -> Vec<&String> {
    answer.rows.iter().take(3).collect()
}
