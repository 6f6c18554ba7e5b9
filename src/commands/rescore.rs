//! `gravity rescore` and `gravity rehearse`: an event under other rules, previewed or put in force.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use gravity_api::services::events::file::EventFile;
use gravity_ingest::client::Client;
use serde_json::{Value, json};

use super::{Output, ServerArgs, encode};

/// Puts changed rules in force: a rubric, values, weights; previews them first
#[derive(Args, Debug)]
pub struct RescoreArgs {
    /// The event
    event: String,
    /// An event file, or a rubric (TOML or JSON)
    file: PathBuf,
    /// Only say what would move
    #[arg(long)]
    preview: bool,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Says how an event would stand under another rubric; touches nothing
#[derive(Args, Debug)]
pub struct RehearseArgs {
    /// The event
    event: String,
    /// A rubric, or an event file (TOML or JSON)
    #[arg(long)]
    rubric: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs `rescore`.
pub async fn rescore(args: RescoreArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    let records = supposed(&args.file, &args.event)?;
    if args.preview {
        print(&preview(&client, &args.event, &records).await?, args.format);
        return Ok(());
    }
    put_in_force(&client, &args.event, &records, args.format).await
}

/// Runs `rehearse`.
pub async fn rehearse(args: RehearseArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    let records = supposed(&args.rubric, &args.event)?;
    print(&preview(&client, &args.event, &records).await?, args.format);
    Ok(())
}

/// The records that a file makes: of an event file all, else the one rubric.
fn supposed(file: &Path, event: &str) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let is_json = file.extension().is_some_and(|e| e == "json");
    let parsed: Value = if is_json {
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?
    } else {
        toml::from_str(&text).with_context(|| format!("{} is not TOML", file.display()))?
    };
    if parsed.get("event").is_some() {
        let made = EventFile::from_json(&serde_json::to_vec(&parsed)?).with_context(|| file.display().to_string())?;
        anyhow::ensure!(made.event.id == event, "{} is of event `{}`, not `{event}`", file.display(), made.event.id);
        let record = |r: gravity_events::Record| {
            let data: Value = serde_json::from_str(&r.body.encode()?)?;
            Ok(json!({"type": r.body.kind(), "data": data}))
        };
        return made.to_records().into_iter().map(record).collect();
    }
    anyhow::ensure!(
        parsed.get("dimensions").is_some(),
        "{} has neither `event` nor `dimensions`: expected an event file or a rubric",
        file.display()
    );
    Ok(vec![json!({"type": "rubric.published", "data": parsed})])
}

pub(super) async fn preview(client: &Client, event: &str, records: &[Value]) -> anyhow::Result<Value> {
    Ok(client.post_json(&format!("api/v1/events/{}/preview", encode(event)), &json!({"records": records})).await?)
}

/// Appends the records, and says what they moved.
pub(super) async fn put_in_force(
    client: &Client,
    event: &str,
    records: &[Value],
    format: Output,
) -> anyhow::Result<()> {
    let path = format!("api/v1/events/{}/rescore", encode(event));
    let answer: Value = client.post_json(&path, &json!({"records": records})).await?;
    let results = answer["records"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(refused) = results.iter().find(|r| r["status"] == "refused") {
        bail!("a record was refused: {}", refused["detail"].as_str().unwrap_or("see `gravity deadletter list`"));
    }
    print(&answer["preview"], format);
    eprintln!("in force: {} records", results.len());
    Ok(())
}

pub(super) fn print(preview: &Value, format: Output) {
    match format {
        Output::Json => println!("{preview}"),
        Output::Text => print!("{}", text(preview)),
    }
}

fn text(preview: &Value) -> String {
    let n = |key: &str| preview[key].as_u64().unwrap_or(0);
    let mut out = format!(
        "{} of {} rows would change: {} scores, {} ranks, {} medals, {} first solves\n",
        n("rows_moved"),
        n("rows"),
        n("scores_moved"),
        n("ranks_moved"),
        n("medals_moved"),
        n("first_solves_moved")
    );
    let teams = preview["teams"].as_array().map(Vec::as_slice).unwrap_or_default();
    if teams.is_empty() {
        return out;
    }
    out.push_str(&format!("{:>6} {:>6}  {:>12} {:>12}  team\n", "rank", "now", "score", "now"));
    let shown = |v: &Value| if v.is_null() { "-".to_owned() } else { v.to_string() };
    for t in teams.iter().take(50) {
        out.push_str(&format!(
            "{:>6} {:>6}  {:>12} {:>12}  {}\n",
            shown(&t["rank_before"]),
            shown(&t["rank_after"]),
            shown(&t["score_before"]),
            shown(&t["score_after"]),
            t["name"].as_str().unwrap_or("-")
        ));
    }
    if teams.len() > 50 {
        out.push_str("        (50 teams shown; --format json has more)\n");
    }
    out
}
