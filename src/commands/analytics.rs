//! `gravity analytics`: how an event goes.

use clap::Args;
use gravity_events::analytics::{Minutes, ViewSpec};
use gravity_operators::analytics::VIEWS;
use serde_json::Value;

use super::table::table;
use super::{Output, ServerArgs, encode};

/// Shows how an event goes: who is active, how problems, languages and queues do
#[derive(Args, Debug)]
pub struct AnalyticsArgs {
    /// The event
    event: String,
    /// What to show; all of it when absent
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(VIEWS.iter().map(|view| view.spec.name)))]
    view: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: AnalyticsArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    let specs = VIEWS.iter().map(|view| &view.spec);
    for spec in specs.filter(|spec| args.view.as_deref().is_none_or(|view| view == spec.name)) {
        let path = format!("api/v1/analytics/events/{}/{}", encode(&args.event), spec.name);
        let answer: Value = client.get_json(&path).await?;
        match args.format {
            Output::Json => println!("{answer}"),
            Output::Text => {
                let rows = answer["rows"].as_array().cloned().unwrap_or_default();
                println!("{}\n{}", spec.about, table(&columns(spec), &rows));
            }
        }
    }
    Ok(())
}

fn columns(spec: &ViewSpec) -> Vec<&'static str> {
    let minutes = match spec.minutes {
        Minutes::None => None,
        Minutes::Clock => Some("window_start"),
        Minutes::Contest => Some("contest_minute_ms"),
    };
    let team = spec.team.map(|_| "team");
    minutes.into_iter().chain(spec.by).chain(team).chain(spec.numbers.iter().map(|(name, _)| *name)).collect()
}
