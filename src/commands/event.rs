//! `gravity event`: moves an event's state.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{ServerArgs, encode};

/// Starts, freezes, thaws, extends, ends, finalizes, seals or reopens an event
#[derive(Args, Debug)]
pub struct EventArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Args, Debug)]
struct At {
    /// The event
    event: String,
    /// When (RFC 3339); now when left out
    #[arg(long)]
    at: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Contest time counts from here
    Start(At),
    /// The public board stops telling verdicts
    Freeze(At),
    /// The public board tells everything
    Thaw(At),
    /// Changes the event's whole length
    Extend {
        /// The event
        event: String,
        /// Its whole length from now on, in minutes
        #[arg(long)]
        duration_min: i64,
        /// Why, for the change log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Later submissions are refused
    End(At),
    /// The results are final
    Finalize(At),
    /// Its records are no longer needed: retention may drop them; its boards stay
    Seal(At),
    /// Its records are needed again, as far as they are there
    Reopen(At),
}

/// Runs it.
pub async fn run(args: EventArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    let event = match args.action {
        Action::Extend { event, duration_min, reason } => {
            put("action", Some("extend".into()));
            put("duration_ms", Some((duration_min * 60_000).into()));
            put("reason", reason.map(Value::from));
            event
        }
        Action::Start(a) => moment("start", a, &mut put),
        Action::Freeze(a) => moment("freeze", a, &mut put),
        Action::Thaw(a) => moment("thaw", a, &mut put),
        Action::End(a) => moment("end", a, &mut put),
        Action::Finalize(a) => moment("finalize", a, &mut put),
        Action::Seal(a) => moment("seal", a, &mut put),
        Action::Reopen(a) => moment("reopen", a, &mut put),
    };
    // In force when the command returns: the next one may build on it.
    let path = format!("api/v1/events/{}/state?wait=visible", encode(&event));
    let answer: Value = server.client()?.post_json(&path, &Value::Object(body)).await?;
    println!("{answer}");
    Ok(())
}

fn moment(action: &str, at: At, put: &mut impl FnMut(&str, Option<Value>)) -> String {
    put("action", Some(action.into()));
    put("at", at.at.map(Value::from));
    at.event
}
