//! `gravity score`: what has become of a submission, and why.

use clap::Args;
use serde_json::Value;

use super::{Output, ServerArgs, encode};

/// Explains the score of a submission, step by step
#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// The event
    event: String,
    /// The submission
    submission: String,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: ScoreArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let path = format!("api/v1/events/{}/submissions/{}", encode(&args.event), encode(&args.submission));
    let answer: Value = server.client()?.get_json(&path).await?;
    match args.format {
        Output::Json => println!("{answer}"),
        Output::Text => print!("{}", text(&answer)),
    }
    Ok(())
}

fn text(answer: &Value) -> String {
    let word = |key: &str| answer[key].as_str().unwrap_or("-").to_owned();
    let mut out = format!(
        "submission {} of team {} to problem {}: {}\n  {}\n",
        word("submission"),
        word("team"),
        word("problem"),
        word("state").replace('_', " "),
        word("why")
    );
    if let Some(judgement) = answer["judgement"].as_str() {
        out.push_str(&format!("  judgement {judgement}: {}\n", word("verdict")));
    }
    if let Some(rubric) = answer["rubric"].as_array() {
        out.push_str(&format!("  rubric {} version {}\n", rubric[0].as_str().unwrap_or("-"), rubric[1]));
    }
    for d in answer["dimensions"].as_array().into_iter().flatten() {
        let share = |bp: &Value| bp.as_i64().map_or("pending".to_owned(), |bp| format!("{:.2} %", bp as f64 / 100.0));
        out.push_str(&format!(
            "  {:<16} {:>9} x weight {:>8}  ({})\n",
            d["dimension"].as_str().unwrap_or("-"),
            share(&d["score_bp"]),
            share(&d["weight_bp"]),
            d["operator"].as_str().unwrap_or("-")
        ));
        for step in d["steps"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            out.push_str(&format!("      {step}\n"));
        }
    }
    if let Some(score) = answer["score"].as_i64() {
        out.push_str(&format!("  score {score}\n"));
    }
    out
}
