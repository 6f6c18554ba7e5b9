//! `gravity erase`: takes a person out of everything that a stopped server keeps.
//!
//! What is to be done is written down first (`erasure.json`), so that it can be finished after a crash with the same substitutes;
//! until then nothing else uses the data folder. Every step may be done again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use gravity_events::Id;
use gravity_events::erasure::{Erasure, Kind, Word};
use gravity_events::time::format_rfc3339_ms;
use gravity_ingest::failpoint::{ERASE, Failpoints};
use gravity_ingest::log::embedded;
use gravity_pipelines::runtime::journal;
use gravity_storage::lake::schema::tables;
use gravity_storage::lake::table::LakeTable;
use serde_json::json;

use super::{Output, now_ms};
use crate::config::{Config, LogKind};
use crate::node::{lock_even_unfinished, open_billing, open_objects};

/// What is being erased. It is there until all of it is done.
pub const PLAN_FILE: &str = "erasure.json";
/// What was erased when, in numbers.
const DONE_FILE: &str = "erasures.jsonl";

/// Erases a person from everything that a stopped server keeps: log, journals, dead letters, lake and databases
#[derive(Args, Debug)]
pub struct EraseArgs {
    /// Their identifiers (pseudonym, subject): erased where they are whole values
    #[arg(required_unless_present_any = ["text", "resume"])]
    ids: Vec<String>,
    /// The tenant whose participant it is
    #[arg(long, required_unless_present = "resume")]
    tenant: Option<String>,
    /// A name, an address: erased wherever it stands
    #[arg(long)]
    text: Vec<String>,
    /// Finishes an erasure that was interrupted
    #[arg(long, conflicts_with_all = ["tenant", "text", "ids"])]
    resume: bool,
    /// Configuration file, for where lake and databases are
    #[arg(long, env = "GRAVITY_CONFIG")]
    config: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// What changed, by where it was.
#[derive(Default)]
struct Changed {
    database_values: u64,
    log_records: u64,
    journal_rows: u64,
    lake_rows: u64,
}

/// Runs it.
pub async fn run(args: EraseArgs, data_dir: &Path) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref(), std::env::vars())?;
    if !data_dir.join(super::up::TOKEN_FILE).exists() {
        bail!("{} is no data folder: say which with --data-dir", data_dir.display());
    }
    let _lock = lock_even_unfinished(data_dir).context("a server has to be stopped to erase from what it keeps")?;
    let plan = data_dir.join(PLAN_FILE);
    let erasure = match (args.resume, plan.exists()) {
        (true, true) => serde_json::from_slice(&fs::read(&plan)?)
            .with_context(|| format!("{} cannot be read: say again what is to be erased", plan.display()))?,
        (true, false) => bail!("there is no erasure to finish"),
        (false, true) => bail!("another erasure was interrupted: finish it with `gravity erase --resume`"),
        (false, false) => {
            let erasure = planned(&args)?;
            write_plan(&plan, &erasure)?;
            erasure
        }
    };
    let failpoints = Failpoints::of_process();
    failpoints.pass(ERASE[0])?;
    let changed = erase(&config, data_dir, &erasure, &failpoints).await?;
    write_done(&data_dir.join(DONE_FILE), &erasure, &changed)?;
    fs::remove_file(&plan).and_then(|()| fs::File::open(data_dir)?.sync_all())?;
    let Changed { database_values, log_records, journal_rows, lake_rows } = changed;
    match args.format {
        Output::Json => println!(
            "{}",
            json!({"tenant": erasure.tenant, "log_records": log_records, "journal_rows": journal_rows,
                "lake_rows": lake_rows, "database_values": database_values})
        ),
        Output::Text => println!(
            "erased from {log_records} records of the log, {journal_rows} rows of journals, {lake_rows} rows of the lake, \
             {database_values} values of databases"
        ),
    }
    eprintln!("older backups still hold what was erased: make a new one and delete them");
    Ok(())
}

fn planned(args: &EraseArgs) -> anyhow::Result<Erasure> {
    let mut seed = [0u8; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).context("no random numbers")?;
    let ids = args.ids.iter().map(|word| (Kind::Id, word));
    let texts = args.text.iter().map(|word| (Kind::Text, word));
    let words = ids.chain(texts).map(|(kind, word)| Word::new(kind, word, &seed)).collect::<Result<_, _>>()?;
    Ok(Erasure::new(Id::from(args.tenant.as_deref().unwrap_or_default()), words)?)
}

async fn erase(config: &Config, dir: &Path, erasure: &Erasure, failpoints: &Failpoints) -> anyhow::Result<Changed> {
    let mut changed = Changed::default();
    // What queries left behind.
    let _ = fs::remove_dir_all(dir.join("spill"));
    eprintln!("databases ...");
    let database = open_billing(config, dir).await?;
    changed.database_values = database.erase(erasure).await.context("the database of budgets")?;
    database.close().await;
    failpoints.pass(ERASE[0])?;
    match config.log {
        LogKind::Embedded => {
            eprintln!("log ...");
            let (at, erasure) = (dir.join("log"), erasure.clone());
            let work = tokio::task::spawn_blocking(move || embedded::erase(&at, &erasure));
            changed.log_records = work.await?.context("the log")?;
        }
        LogKind::Kafka { .. } => eprintln!(
            "log: records on Kafka cannot be changed; they stay there until the retention of their topics ends, and what \
             is read from there again is not erased"
        ),
    }
    failpoints.pass(ERASE[0])?;
    for pipeline in gravity_pipelines::NAMES {
        eprintln!("journal of {pipeline} ...");
        let (at, erasure) = (dir.join("pipelines").join(pipeline), erasure.clone());
        let work = tokio::task::spawn_blocking(move || journal::erase::erase(&at, pipeline, &erasure));
        changed.journal_rows += work.await?.with_context(|| format!("the journal of {pipeline}"))?;
        failpoints.pass(ERASE[0])?;
    }
    let objects = open_objects(config, dir)?;
    for table in tables() {
        eprintln!("lake.{} ...", table.name);
        let mut table = LakeTable::open(&objects, Arc::new(table)).await?;
        changed.lake_rows += table.erase(erasure).await?;
        failpoints.pass(ERASE[0])?;
    }
    Ok(changed)
}

/// It names whom it is about: only its owner may read it, and it goes when all is done.
fn write_plan(path: &Path, erasure: &Erasure) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let _ = fs::remove_file(&unfinished);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(erasure)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn write_done(path: &Path, erasure: &Erasure, changed: &Changed) -> anyhow::Result<()> {
    let line = json!({
        "at": format_rfc3339_ms(now_ms()), "tenant": erasure.tenant, "words": erasure.words.len(),
        "log_records": changed.log_records, "journal_rows": changed.journal_rows, "lake_rows": changed.lake_rows,
        "database_values": changed.database_values,
    });
    let append = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        writeln!(file, "{line}")?;
        file.sync_all()
    };
    append().with_context(|| format!("cannot write {}", path.display()))
}
