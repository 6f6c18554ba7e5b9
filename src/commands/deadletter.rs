//! `gravity deadletter`: what was refused and why.

use base64::Engine as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{ServerArgs, encode};

/// Lists, shows and retries records that were refused
#[derive(Args, Debug)]
pub struct DeadLetterArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// A line for each
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The bytes of one, as they came, on standard output
    Show {
        /// Its id: topic/partition/offset
        id: String,
    },
    /// Appends their bytes again (after the cause is mended)
    Retry {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Runs it.
pub async fn run(args: DeadLetterArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    match args.action {
        Action::List { json } => {
            let mut after: Option<String> = None;
            loop {
                let query = after.as_ref().map(|a| format!("&after={}", encode(a))).unwrap_or_default();
                let page: Value = client.get_json(&format!("api/v1/ops/deadletters?limit=500{query}")).await?;
                let letters = page["dead_letters"].as_array().cloned().unwrap_or_default();
                for l in &letters {
                    if json {
                        println!("{l}");
                    } else {
                        let text = |k: &str| l[k].as_str().unwrap_or("").to_owned();
                        println!("{}  {}  {} bytes  {}", text("id"), text("code"), l["bytes"], text("detail"));
                    }
                }
                let last = letters.last().and_then(|l| l["id"].as_str().map(str::to_owned));
                if letters.len() < 500 || last.is_none() {
                    return Ok(());
                }
                after = last;
            }
        }
        Action::Show { id } => {
            let letter: Value = client.get_json(&format!("api/v1/ops/deadletters/{}", encode(&id))).await?;
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(letter["data_base64"].as_str().unwrap_or_default())?;
            eprintln!("{} ({}): {}", letter["id"], letter["code"], letter["detail"]);
            std::io::Write::write_all(&mut std::io::stdout(), &bytes)?;
            Ok(())
        }
        Action::Retry { ids } => {
            let answer: Value = client.post_json("api/v1/ops/deadletters/retry", &json!({ "ids": ids })).await?;
            println!("{answer}");
            Ok(())
        }
    }
}
