//! `gravity labs`: labs that report, and what is unusual about them.

use clap::Args;
use serde_json::Value;

use super::{Output, ServerArgs, encode};

/// Lists labs, when they were last heard of, and their alerts
#[derive(Args, Debug)]
pub struct LabsArgs {
    /// Of this tenant only
    #[arg(long)]
    tenant: Option<String>,
    /// Only those with an alert
    #[arg(long)]
    alerts: bool,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: LabsArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    let mut query = format!("limit=1000&alerts={}", args.alerts);
    if let Some(tenant) = &args.tenant {
        query.push_str(&format!("&tenant={}", encode(tenant)));
    }
    let (mut labs, mut after) = (Vec::new(), None::<String>);
    loop {
        let from = after.as_ref().map(|after| format!("&after={}", encode(after))).unwrap_or_default();
        let page: Value = client.get_json(&format!("api/v1/labs?{query}{from}")).await?;
        labs.extend(page["labs"].as_array().into_iter().flatten().cloned());
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    match args.format {
        Output::Json => println!("{}", serde_json::json!({ "labs": labs })),
        Output::Text => print!("{}", text(&labs)),
    }
    Ok(())
}

fn text(labs: &[Value]) -> String {
    let mut out = format!("{:<12} {:<20} {:<12} {:<24} {}\n", "TENANT", "LAB", "STATE", "SEEN", "ALERT");
    for lab in labs {
        let word = |key: &str| lab[key].as_str().unwrap_or("-").to_owned();
        let silent = if lab["silent"] == true { " silent" } else { "" };
        let seen = format!("{}{silent}", word("seen_at"));
        let alert = &lab["alert"];
        let mut told = String::new();
        if alert.is_object() {
            let names =
                |v: &Value| v.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            let (metric, since) = (alert["metric"].as_str().unwrap_or("-"), alert["since"].as_str().unwrap_or("-"));
            told = format!("{metric} since {since}, evidence {}", alert["evidence_nats"]);
            if alert["others"].as_array().is_some_and(|others| !others.is_empty()) {
                told.push_str(&format!("; also {}", names(&alert["others"])));
            }
        }
        let line = format!("{:<12} {:<20} {:<12} {seen:<24} {told}", word("tenant"), word("lab"), word("state"));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
