//! `gravity token`: gives out a token.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::{Output, ServerArgs};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// May do everything
    Admin,
    /// Appends records
    Feed,
    /// Sees what judges see, of all events or of one, or what a tenant uses and pays; changes nothing
    Analyst,
    /// Hands in for its team, and sees why its submissions have their scores
    Team,
}

/// Gives out a token: good until it expires, it cannot be taken back
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// What its holder may do
    #[arg(value_enum)]
    role: Role,
    /// Of a team, or of an analyst of one event
    #[arg(long)]
    event: Option<String>,
    /// Of an analyst of what one tenant uses and pays
    #[arg(long, conflicts_with = "event")]
    tenant: Option<String>,
    /// Which team
    #[arg(long)]
    team: Option<String>,
    /// How many days it is good
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=400))]
    days: u64,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: TokenArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let role = match args.role {
        Role::Admin => "admin",
        Role::Feed => "feed",
        Role::Analyst => "analyst",
        Role::Team => "team",
    };
    let mut body = Map::from_iter([("role".to_owned(), role.into()), ("days".to_owned(), args.days.into())]);
    body.extend(args.event.map(|event| ("event".to_owned(), event.into())));
    body.extend(args.tenant.map(|tenant| ("tenant".to_owned(), tenant.into())));
    body.extend(args.team.map(|team| ("team".to_owned(), team.into())));
    let answer: Value = server.client()?.post_json("api/v1/auth/tokens", &Value::Object(body)).await?;
    match args.format {
        Output::Json => println!("{answer}"),
        Output::Text => println!("{}", answer["token"].as_str().unwrap_or_default()),
    }
    Ok(())
}
