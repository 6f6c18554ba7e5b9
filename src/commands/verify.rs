//! `gravity verify`: recomputes every board from the log by a plain second implementation, while live.

use clap::Args;
use serde_json::{Value, json};

use super::ServerArgs;

/// Recomputes boards from the log and compares them with what is shown
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Only this event
    #[arg(long)]
    event: Option<String>,
}

/// Runs it; says whether nothing differs.
pub async fn run(args: VerifyArgs, server: &ServerArgs) -> anyhow::Result<bool> {
    let body = args.event.map_or_else(|| json!({}), |event| json!({ "event": event }));
    let report: Value = server.client()?.post_json("api/v1/ops/verify", &body).await?;
    println!("{report}");
    for line in report["not_covered"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("not covered: {line}");
    }
    let differences = report["differences_total"].as_u64().unwrap_or(0);
    for line in report["differences"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("differs: {line}");
    }
    eprintln!(
        "epoch {}: {} boards, {} rows, {} cells of burn compared, {differences} differences",
        report["epoch"], report["boards"], report["rows"], report["cells"]
    );
    // What was not compared is not known to be right.
    Ok(differences == 0 && report["not_covered"].as_array().is_none_or(Vec::is_empty))
}
