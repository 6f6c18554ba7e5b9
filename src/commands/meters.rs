//! `gravity meters`: what a tenant measures of its usage.

use clap::Args;
use serde_json::{Value, json};

use super::table::table;
use super::{Output, ServerArgs, encode};

/// Shows the meters of a tenant, or the windows of one
#[derive(Args, Debug)]
pub struct MetersArgs {
    /// Who pays
    tenant: String,
    /// The meter; a list of all when absent
    meter: Option<String>,
    /// Windows that begin at this minute or later, RFC 3339
    #[arg(long, requires = "meter")]
    from: Option<String>,
    /// Windows that begin before this minute, RFC 3339
    #[arg(long, requires = "meter")]
    to: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: MetersArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    let path = format!("api/v1/billing/tenants/{}/meters", encode(&args.tenant));
    let Some(meter) = &args.meter else {
        let answer: Value = client.get_json(&path).await?;
        match args.format {
            Output::Json => println!("{answer}"),
            Output::Text => {
                let names = ["meter", "of", "aggregation", "value", "window", "time_zone", "grouped_by"];
                let rows = answer["meters"].as_array().into_iter().flatten().map(with_group);
                print!("{}", table(&names, &rows.collect::<Vec<_>>()));
            }
        }
        return Ok(());
    };
    let (mut windows, mut from) = (Vec::new(), args.from.clone());
    let defined = loop {
        let mut page = format!("{path}/{}?limit=10000", encode(meter));
        for (key, value) in [("from", &from), ("to", &args.to)] {
            if let Some(value) = value {
                page.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        let answer: Value = client.get_json(&page).await?;
        windows.extend(answer["windows"].as_array().into_iter().flatten().cloned());
        from = answer["next"].as_str().map(str::to_owned);
        if from.is_none() {
            break answer["meter"].clone();
        }
    };
    match args.format {
        Output::Json => println!("{}", json!({"tenant": args.tenant, "meter": defined, "windows": windows})),
        Output::Text => print!("{}", table(&["window_start", "group", "value", "records", "corrected_at"], &windows)),
    }
    Ok(())
}

/// A definition with what it is grouped by as text.
fn with_group(meter: &Value) -> Value {
    let by = meter["group_by"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut meter = meter.clone();
    meter["grouped_by"] = by.collect::<Vec<_>>().join(", ").into();
    meter
}
