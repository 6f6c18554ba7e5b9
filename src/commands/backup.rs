//! `gravity backup` and `gravity restore`: a data folder into object storage, and back.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;
use gravity_events::time::format_rfc3339_ms;
use gravity_storage::backup::{Backup, Backups};
use gravity_storage::objects::Objects;
use serde_json::json;

use super::{Output, now_ms};
use crate::config::Config;
use crate::node::lock;

/// Backs the data folder of a stopped server up: log, journals, lake, databases and keys
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// Where to: a folder, file:///folder or s3://bucket/prefix
    url: String,
    /// Lists the backups that are there, and makes none
    #[arg(long)]
    list: bool,
    /// Configuration file, for how a bucket is reached (`objects.*`)
    #[arg(long, env = "GRAVITY_CONFIG")]
    config: Option<std::path::PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Brings a backup back into a data folder that is not there
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// Where the backups are
    url: String,
    /// The backup; the newest one when absent
    #[arg(long)]
    backup: Option<String>,
    /// Configuration file, for how a bucket is reached (`objects.*`)
    #[arg(long, env = "GRAVITY_CONFIG")]
    config: Option<std::path::PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

fn backups(url: &str, config: Option<&Path>) -> anyhow::Result<(Backups, Config)> {
    let config = Config::load(config, std::env::vars())?;
    let objects = Objects::open(url, &config.objects).context("the place for backups cannot be used")?;
    Ok((Backups::new(objects), config))
}

/// Runs it.
pub async fn backup(args: BackupArgs, data_dir: &Path) -> anyhow::Result<()> {
    let (backups, config) = backups(&args.url, args.config.as_deref())?;
    if args.list {
        let names = backups.names().await?;
        match args.format {
            Output::Json => println!("{}", json!({ "backups": names })),
            Output::Text => names.iter().for_each(|name| println!("{name}")),
        }
        return Ok(());
    }
    if !data_dir.join(super::up::TOKEN_FILE).exists() {
        bail!("{} is no data folder: say which with --data-dir", data_dir.display());
    }
    let _lock = lock(data_dir).context("a server has to be stopped for a backup")?;
    for (what, elsewhere) in [
        ("topics", matches!(config.log, crate::config::LogKind::Kafka { .. })),
        ("the lake", config.objects_url.is_some()),
        ("databases", config.billing_database_url.is_some()),
    ] {
        if elsewhere {
            eprintln!("{what}: not in the data folder, so not in this backup; back them up where they are");
        }
    }
    // Colons are no part of names everywhere.
    let name = format_rfc3339_ms(now_ms()).replace(':', "-");
    let version = env!("CARGO_PKG_VERSION");
    let (made, sent) = backups.make(data_dir, &name, version, progress("backed up")).await?;
    match args.format {
        Output::Json => println!(
            "{}",
            json!({"backup": name, "files": made.files.len(), "bytes": bytes(&made),
            "sent_files": sent.files, "sent_bytes": sent.bytes})
        ),
        Output::Text => println!(
            "{name}: {} files, {:.1} MB; sent {} files, {:.1} MB that were not there yet",
            made.files.len(),
            megabytes(bytes(&made)),
            sent.files,
            megabytes(sent.bytes)
        ),
    }
    Ok(())
}

/// Runs it.
pub async fn restore(args: RestoreArgs, data_dir: &Path) -> anyhow::Result<()> {
    let (backups, _) = backups(&args.url, args.config.as_deref())?;
    let found = backups.find(args.backup.as_deref()).await?;
    backups.restore(&found, data_dir, progress("restored")).await?;
    let into = data_dir.display();
    match args.format {
        Output::Json => println!(
            "{}",
            json!({"backup": found.name, "files": found.files.len(), "bytes": bytes(&found),
            "data_dir": data_dir})
        ),
        Output::Text => {
            let size = megabytes(bytes(&found));
            println!("{}: {} files, {size:.1} MB are in {into}", found.name, found.files.len());
        }
    }
    Ok(())
}

fn bytes(backup: &Backup) -> u64 {
    backup.files.iter().map(|file| file.bytes).sum()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A line that goes on, where somebody looks.
fn progress(done: &'static str) -> impl Fn(usize, usize) {
    let looks = std::io::stderr().is_terminal();
    move |n, of| {
        if looks {
            eprint!("\r{done} {n} of {of} files");
            if n == of {
                eprintln!();
            }
        }
    }
}
