//! `gravity sql`: a question over the lake and the live tables.

use std::io::Write;

use anyhow::Context;
use arrow::ipc::reader::StreamReader;
use arrow::util::pretty::pretty_format_batches;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::ServerArgs;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// An array of row objects
    Json,
}

/// Answers a question in SQL over the lake and the live tables
#[derive(Args, Debug)]
pub struct SqlArgs {
    /// The question, such as "select model, sum(input_tokens) from lake.usage group by model"
    query: String,
    /// How to print it
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Runs it.
pub async fn run(args: SqlArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let accept = match args.format {
        Format::Table => "application/vnd.apache.arrow.stream",
        Format::Csv => "text/csv",
        Format::Json => "application/json",
    };
    let body = json!({ "query": args.query });
    let answer = server.client()?.post_for("api/v1/analytics/sql", &body, accept).await?;
    let mut out = std::io::stdout();
    match args.format {
        Format::Csv => out.write_all(&answer)?,
        Format::Json => {
            out.write_all(&answer)?;
            out.write_all(b"\n")?;
        }
        Format::Table => {
            let reader = StreamReader::try_new(&answer[..], None).context("the server's answer is no Arrow stream")?;
            let batches = reader.collect::<Result<Vec<_>, _>>()?;
            let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
            writeln!(out, "{}", pretty_format_batches(&batches)?)?;
            eprintln!("{rows} row{}", if rows == 1 { "" } else { "s" });
        }
    }
    Ok(())
}
