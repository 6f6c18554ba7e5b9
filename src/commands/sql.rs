//! `gravity sql`: questions over the lake and the live tables, one, or one after the other at a prompt.

mod prompt;

use std::io::{IsTerminal, Read, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use arrow::ipc::reader::StreamReader;
use arrow::util::pretty::pretty_format_batches;
use clap::{Args, ValueEnum};
use gravity_ingest::client::Client;
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

/// Answers questions in SQL over the lake and the live tables
#[derive(Args, Debug)]
pub struct SqlArgs {
    /// The question, such as "select model, sum(input_tokens) from lake.usage group by model"; a prompt when absent
    query: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Ask again every so many seconds
    #[arg(long, value_name = "SECONDS", requires = "query", value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
}

/// Runs it.
pub async fn run(args: SqlArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    match (&args.query, args.watch) {
        (Some(query), None) => print(&client, query, args.format).await,
        (Some(query), Some(seconds)) => watch(&client, query, args.format, Duration::from_secs(seconds)).await,
        (None, _) if std::io::stdin().is_terminal() => prompt::run(&client, args.format).await,
        (None, _) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("the questions on standard input cannot be read")?;
            let questions = prompt::questions(&text);
            if questions.is_empty() {
                bail!("no question: give one as an argument, or on standard input, each ending with `;`");
            }
            for question in questions {
                answer(&client, &question, args.format).await?;
            }
            Ok(())
        }
    }
}

/// Asks again and again, until it is interrupted; where somebody looks, in the same place.
async fn watch(client: &Client, query: &str, format: Format, pause: Duration) -> anyhow::Result<()> {
    let looks = std::io::stdout().is_terminal();
    loop {
        if looks {
            // Home, and clear to the end: less flicker than clearing first.
            print!("\x1b[H\x1b[2J");
            println!("every {} s: {query}\n", pause.as_secs());
        }
        print(client, query, format).await?;
        tokio::time::sleep(pause).await;
    }
}

/// A question in SQL, or a command such as `\d`.
async fn answer(client: &Client, question: &str, format: Format) -> anyhow::Result<()> {
    match prompt::meaning(question) {
        Ok(sql) => print(client, &sql, format).await,
        Err(help) => {
            eprintln!("{help}");
            Ok(())
        }
    }
}

async fn print(client: &Client, query: &str, format: Format) -> anyhow::Result<()> {
    let accept = match format {
        Format::Table => "application/vnd.apache.arrow.stream",
        Format::Csv => "text/csv",
        Format::Json => "application/json",
    };
    let answer = client.post_for("api/v1/analytics/sql", &json!({ "query": query }), accept).await?;
    let mut out = std::io::stdout();
    match format {
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
