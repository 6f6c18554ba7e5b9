//! `gravity similarity`: teams whose sources are alike.

use clap::Args;
use serde_json::Value;

use super::{Output, ServerArgs, encode};

/// Lists pairs of teams whose newest sources are alike: for a person to look at, never a verdict
#[derive(Args, Debug)]
pub struct SimilarityArgs {
    /// The event
    event: String,
    /// Of this problem only
    #[arg(long)]
    problem: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: SimilarityArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let problem = args.problem.as_ref().map(|p| format!("&problem={}", encode(p))).unwrap_or_default();
    let path = format!("api/v1/events/{}/similarity?limit={}{problem}", encode(&args.event), args.limit);
    let answer: Value = server.client()?.get_json(&path).await?;
    match args.format {
        Output::Json => println!("{answer}"),
        Output::Text => print!("{}", text(&answer)),
    }
    Ok(())
}

fn text(answer: &Value) -> String {
    let mut out = format!("{:>7} {:>7} {:<10} {:<30} {}\n", "SHARE", "SHARED", "PROBLEM", "TEAM", "TEAM");
    for pair in answer["pairs"].as_array().into_iter().flatten() {
        let side = |side: &Value| {
            format!("{} ({})", side["team"].as_str().unwrap_or("-"), side["submission"].as_str().unwrap_or("-"))
        };
        let share_bp = pair["share_bp"].as_u64().unwrap_or(0);
        out.push_str(&format!(
            "{:>5}.{} {:>8} {:<10} {:<30} {}\n",
            share_bp / 100,
            share_bp / 10 % 10,
            pair["shared"],
            pair["problem"].as_str().unwrap_or("-"),
            side(&pair["left"]),
            side(&pair["right"])
        ));
    }
    out
}
