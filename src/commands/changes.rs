//! `gravity changes`: why a board moved other than by submissions and their verdicts.

use clap::Args;
use serde_json::Value;

use super::board::View;
use super::{Output, ServerArgs, encode};

/// Says why rows of a board moved: rejudged, rescored, adjusted, thawed
#[derive(Args, Debug)]
pub struct ChangesArgs {
    /// The event
    event: String,
    /// Whose board
    #[arg(long, value_enum, default_value = "public")]
    view: View,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: ChangesArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let view = if args.view == View::Jury { "jury" } else { "public" };
    let path = format!("api/v1/events/{}/board/changes?view={view}&limit=1000", encode(&args.event));
    let answer: Value = server.client()?.get_json(&path).await?;
    match args.format {
        Output::Json => println!("{answer}"),
        Output::Text => print!("{}", text(&answer)),
    }
    Ok(())
}

fn text(answer: &Value) -> String {
    let mut out = String::new();
    for change in answer["changes"].as_array().into_iter().flatten() {
        let at = change["at"].as_str().unwrap_or("-");
        out.push_str(&format!("version {:<6} {at}  {} rows\n", change["version"], change["rows"]));
        for cause in change["causes"].as_array().into_iter().flatten() {
            let part =
                |key: &str, before: &str| cause[key].as_str().map(|text| format!("{before}{text}")).unwrap_or_default();
            out.push_str(&format!(
                "    {}{}{}{}\n",
                part("kind", ""),
                part("what", " "),
                part("why", ": "),
                part("actor", ", by ")
            ));
        }
    }
    out
}
