//! `gravity status`: roles, pipelines, epochs, lag and time to drain.

use clap::Args;
use serde_json::Value;

use super::{Output, ServerArgs};

/// Shows roles, pipelines, epochs, lag per partition and time to drain
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: StatusArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let status: Value = server.client()?.get_json("api/v1/ops/status").await?;
    if args.format == Output::Json {
        println!("{status}");
        return Ok(());
    }
    let names = |v: &Value| v.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    println!(
        "gravity {}, up {} s, roles: {}",
        status["version"].as_str().unwrap_or("?"),
        status["uptime_s"],
        names(&status["roles"])
    );
    for p in status["pipelines"].as_array().into_iter().flatten() {
        println!(
            "pipeline {}: {}, epoch {}",
            p["name"].as_str().unwrap_or("?"),
            p["state"].as_str().unwrap_or("?"),
            p["epoch"]
        );
        if let Some(reason) = p["reason"].as_str() {
            println!("  {reason}");
        }
        for l in p["lag"].as_array().into_iter().flatten() {
            println!(
                "  {}/{}: read to {} of {}, lag {}",
                l["topic"].as_str().unwrap_or("?"),
                l["partition"],
                l["bound"],
                l["end"],
                l["lag"]
            );
        }
        match p["time_to_drain_s"].as_f64() {
            Some(s) => println!("  time to drain: {s:.1} s"),
            None => println!("  time to drain: unknown, nothing is consumed"),
        }
    }
    Ok(())
}
