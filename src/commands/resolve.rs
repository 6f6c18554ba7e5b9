//! `gravity resolve`: the ceremony that reveals a frozen board, step by step.

use clap::Args;
use serde_json::Value;

use super::{Output, ServerArgs, encode};

/// Lists the steps that reveal a frozen board from the bottom
#[derive(Args, Debug)]
pub struct ResolveArgs {
    /// The event
    event: String,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: ResolveArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let path = format!("api/v1/events/{}/board/resolver", encode(&args.event));
    let answer: Value = server.client()?.get_json(&path).await?;
    match args.format {
        Output::Json => println!("{answer}"),
        Output::Text => print!("{}", text(&answer)),
    }
    Ok(())
}

fn text(answer: &Value) -> String {
    let steps = answer["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = format!("{} steps\n", steps.len());
    for (n, s) in steps.iter().enumerate() {
        let verdict = if s["solved"] == Value::Bool(true) { "solved" } else { "not solved" };
        let what = match s["problem"].as_str() {
            Some(problem) => format!("{problem:<12} {verdict:<10}"),
            None => format!("{:<23}", "corrections by judges"),
        };
        let moved = if s["from"] == s["to"] { String::new() } else { format!("  place {} -> {}", s["from"], s["to"]) };
        out.push_str(&format!("{:>5}  {:<24} {what}{moved}\n", n + 1, s["team"].as_str().unwrap_or("-")));
    }
    out
}
