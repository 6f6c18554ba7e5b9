//! `gravity rejudge`: opens a rejudging, previews it, and applies or cancels it.
//!
//! Evaluators hear of the opening and write judgements that carry the rejudging's id. None has an effect until it is
//! applied; then all have, in one epoch.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::rescore::{preview, print, put_in_force};
use super::{Output, ServerArgs};

/// Opens, previews, applies or cancels a rejudging
#[derive(Args, Debug)]
pub struct RejudgeArgs {
    #[command(subcommand)]
    step: Step,
    /// How to print it
    #[arg(long, value_enum, default_value = "text", global = true)]
    format: Output,
}

#[derive(Args, Debug)]
struct Which {
    /// The event
    event: String,
    /// Id of the rejudging
    rejudging: String,
}

#[derive(Subcommand, Debug)]
enum Step {
    /// Asks evaluators to judge again: all submissions, those to a problem, or some
    Open {
        #[command(flatten)]
        which: Which,
        /// Why, for the change log
        #[arg(long, default_value = "")]
        reason: String,
        /// Only submissions to this problem
        #[arg(long)]
        problem: Option<String>,
        /// Only this submission; may be given several times
        #[arg(long)]
        submission: Vec<String>,
    },
    /// Says what would move if it were applied now
    Preview(Which),
    /// Lets its judgements count, all at once
    Apply {
        #[command(flatten)]
        which: Which,
        /// Why, for the change log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Its judgements never count
    Cancel(Which),
}

/// Runs it.
pub async fn run(args: RejudgeArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    let record = |kind: &str, which: &Which| -> Vec<Value> {
        vec![json!({"type": format!("rejudging.{kind}"), "data": {"rejudging": which.rejudging}})]
    };
    match args.step {
        Step::Open { which, reason, problem, submission } => {
            let data = json!({
                "rejudging": which.rejudging,
                "reason": reason,
                "problem": problem,
                "submissions": submission,
            });
            let records = [json!({"type": "rejudging.opened", "data": data})];
            put_in_force(&client, &which.event, &records, args.format).await
        }
        Step::Preview(which) => {
            print(&preview(&client, &which.event, &record("applied", &which)).await?, args.format);
            Ok(())
        }
        Step::Apply { which, reason } => {
            let data = json!({"rejudging": which.rejudging, "reason": reason});
            let records = [json!({"type": "rejudging.applied", "data": data})];
            put_in_force(&client, &which.event, &records, args.format).await
        }
        Step::Cancel(which) => put_in_force(&client, &which.event, &record("cancelled", &which), args.format).await,
    }
}
