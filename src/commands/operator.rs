//! `gravity operator`: the catalogue of operators for dimensions, and one of them on recorded input.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use gravity_operators::harness::dimension;
use gravity_operators::scoring::dimensions::{CATALOGUE, find};
use serde_json::{Value, json};

use super::Output;

/// Lists operators with their parameters, or runs one on recorded input
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
}

/// Runs it.
pub fn run(args: OperatorArgs) -> anyhow::Result<()> {
    match args.command {
        OperatorCommand::List { format: Output::Json } => println!("{}", list()),
        OperatorCommand::List { format: Output::Text } => {
            for entry in CATALOGUE {
                println!("{:<14} {}", entry.name, entry.summary);
            }
        }
        OperatorCommand::Run { name, input, parameters } => {
            let Some(entry) = find(&name) else {
                let known: Vec<_> = CATALOGUE.iter().map(|e| e.name).collect();
                bail!("there is no operator `{name}`; there are {}", known.join(", "));
            };
            let text = parameters.as_deref().unwrap_or(entry.example);
            let parameters: Value = serde_json::from_str(text).context("the parameters are not JSON")?;
            let recorded =
                std::fs::read_to_string(&input).with_context(|| format!("cannot read {}", input.display()))?;
            let said = dimension::run(entry, &parameters, &recorded);
            print!("{}", said.with_context(|| format!("cannot run {name} on {}", input.display()))?);
        }
    }
    Ok(())
}

fn list() -> Value {
    let entry = |e: &gravity_operators::scoring::operator::Entry| {
        let example: Value = serde_json::from_str(e.example).unwrap_or(Value::Null);
        json!({"name": e.name, "summary": e.summary, "parameters": (e.schema)(), "example": example})
    };
    json!({"operators": CATALOGUE.iter().map(entry).collect::<Vec<_>>()})
}
