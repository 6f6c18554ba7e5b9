//! `gravity apply`: sets an event up from a file.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::ServerArgs;

/// Sets an event up from a file (TOML or JSON); applying it again changes nothing
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The file
    file: PathBuf,
}

/// Runs it.
pub async fn run(args: ApplyArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let json: serde_json::Value = if args.file.extension().is_some_and(|e| e == "json") {
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", args.file.display()))?
    } else {
        toml::from_str(&text).with_context(|| format!("{} is not TOML", args.file.display()))?
    };
    // In force when the command returns: the next one may build on it.
    let answer: serde_json::Value = server.client()?.post_json("api/v1/events?wait=visible", &json).await?;
    println!("{answer}");
    Ok(())
}
