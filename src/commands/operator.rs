//! `gravity operator`: the catalogue of operators for dimensions, and one of them on recorded input.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use gravity_events::body::OperatorQuarantined;
use gravity_events::{Body, Record, codec};
use gravity_ingest::client::{Outcome, Status};
use gravity_operators::harness::bench::bench;
use gravity_operators::harness::dimension;
use gravity_operators::scoring::dimensions::{CATALOGUE, find};
use gravity_operators::scoring::operator::Entry;
use serde_json::{Value, json};

use super::{Output, ServerArgs, now_ms};

/// Lists operators with their parameters, runs one on recorded input, times it, or takes it out of an event
#[derive(Args, Debug)]
pub struct OperatorArgs {
    #[command(subcommand)]
    command: OperatorCommand,
}

#[derive(Subcommand, Debug)]
enum OperatorCommand {
    /// Lists the catalogue
    List {
        /// How to print it
        #[arg(long, value_enum, default_value = "text")]
        format: Output,
    },
    /// Runs an operator and prints, epoch by epoch, which scores went and came
    Run {
        /// The operator
        name: String,
        /// Recorded input: a line of JSON for each submission (team, submission, groups, measures), an empty line ends an
        /// epoch
        #[arg(long)]
        input: PathBuf,
        /// Its parameters as JSON; those of its example when absent
        #[arg(long)]
        parameters: Option<String>,
    },
    /// Is not called in an event any more: what it would score is pending
    Quarantine(Where),
    /// Is called again, once it is mended
    Release(Where),
    /// Times an operator on recorded input
    Bench {
        /// The operator
        name: String,
        /// Recorded input, as for `run`
        #[arg(long)]
        input: PathBuf,
        /// Its parameters as JSON; those of its example when absent
        #[arg(long)]
        parameters: Option<String>,
        /// How to print it
        #[arg(long, value_enum, default_value = "text")]
        format: Output,
    },
}

#[derive(Args, Debug)]
struct Where {
    /// The operator
    name: String,
    /// The event
    #[arg(long)]
    event: String,
    /// The event's tenant
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Why, for the change log
    #[arg(long, default_value = "by hand")]
    reason: String,
}

/// Runs it.
pub async fn run(args: OperatorArgs, server: &ServerArgs) -> anyhow::Result<()> {
    match args.command {
        OperatorCommand::List { format: Output::Json } => println!("{}", list()),
        OperatorCommand::List { format: Output::Text } => {
            for entry in CATALOGUE {
                println!("{:<14} {}", entry.name, entry.summary);
            }
        }
        OperatorCommand::Run { name, input, parameters } => {
            let (entry, parameters, recorded) = read(&name, &input, parameters.as_deref())?;
            let said = dimension::run(entry, &parameters, &recorded);
            print!("{}", said.with_context(|| format!("cannot run {name} on {}", input.display()))?);
        }
        OperatorCommand::Quarantine(at) => say(at, false, server).await?,
        OperatorCommand::Release(at) => say(at, true, server).await?,
        OperatorCommand::Bench { name, input, parameters, format } => {
            let (entry, parameters, recorded) = read(&name, &input, parameters.as_deref())?;
            let measured = bench(entry, &parameters, &recorded);
            let m = measured.with_context(|| format!("cannot run {name} on {}", input.display()))?;
            let round = |ns: f64| (ns * 10.0).round() / 10.0;
            let (score, explained, floor) = (round(m.score_ns), round(m.explained_ns), round(m.floor_ns));
            match format {
                Output::Json => println!(
                    "{}",
                    json!({"operator": name, "outcomes": m.outcomes, "score_ns": score, "explained_ns": explained, "floor_ns": floor})
                ),
                Output::Text => println!(
                    "{name}: {score} ns a score, {explained} ns with its steps told, on {} recorded outcomes\n\
                     an operator that does nothing: {floor} ns; a rubric's change over 500,000 submissions: {:.0} ms of a core",
                    m.outcomes,
                    m.score_ns * 0.5
                ),
            }
        }
    }
    Ok(())
}

/// Appends the record that says so, and waits until it counts.
async fn say(at: Where, released: bool, server: &ServerArgs) -> anyhow::Result<()> {
    let now_ms = now_ms();
    let record = Record {
        id: format!("{}/{now_ms}", at.name).into(),
        source: "urn:gravity:operator".into(),
        tenant: at.tenant.as_str().into(),
        event: Some(at.event.as_str().into()),
        subject: None,
        time_ms: None,
        backfill: true,
        body: Body::OperatorQuarantined(OperatorQuarantined {
            operator: at.name.as_str().into(),
            reason: at.reason,
            released,
            ..OperatorQuarantined::default()
        }),
    };
    let outcomes = server.client()?.send_records(&[codec::encode(&record)], true).await?;
    match outcomes.as_slice() {
        [Outcome { status: Status::Counted, .. }] => Ok(()),
        [Outcome { problem: Some(problem), .. }] => {
            bail!("the record does not count: {}", problem.detail.as_deref().unwrap_or("see `gravity deadletter list`"))
        }
        other => bail!("the record does not count: {other:?}"),
    }
}

fn read(name: &str, input: &Path, parameters: Option<&str>) -> anyhow::Result<(&'static Entry, Value, String)> {
    let Some(entry) = find(name) else {
        let known: Vec<_> = CATALOGUE.iter().map(|e| e.name).collect();
        bail!("there is no operator `{name}`; there are {}", known.join(", "));
    };
    let text = parameters.unwrap_or(entry.example);
    let parameters: Value = serde_json::from_str(text).context("the parameters are not JSON")?;
    let recorded = std::fs::read_to_string(input).with_context(|| format!("cannot read {}", input.display()))?;
    Ok((entry, parameters, recorded))
}

fn list() -> Value {
    let entry = |e: &Entry| {
        let example: Value = serde_json::from_str(e.example).unwrap_or(Value::Null);
        json!({"name": e.name, "summary": e.summary, "parameters": (e.schema)(), "example": example})
    };
    json!({"operators": CATALOGUE.iter().map(entry).collect::<Vec<_>>()})
}
