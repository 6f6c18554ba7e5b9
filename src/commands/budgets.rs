//! `gravity budgets`: what is left of a tenant's budgets.

use clap::Args;
use serde_json::Value;

use super::burn::money;
use super::{Output, ServerArgs, encode};

/// Shows the budgets of a tenant, its events and teams, and what is left of them
#[derive(Args, Debug)]
pub struct BudgetsArgs {
    /// Who pays
    tenant: String,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: BudgetsArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let path = format!("api/v1/billing/tenants/{}/budgets", encode(&args.tenant));
    let answer: Value = server.client()?.get_json(&path).await?;
    match args.format {
        Output::Json => println!("{answer}"),
        Output::Text => print!("{}", text(&answer)),
    }
    Ok(())
}

fn text(answer: &Value) -> String {
    let line = |cells: [&str; 8]| {
        let [budget, of, limit, settled, reserved, unreserved, left, until] = cells;
        let line = format!(
            "{budget:<16} {of:<20} {limit:>16} {settled:>16} {reserved:>16} {unreserved:>16} {left:>16}  {until}"
        );
        line.trim_end().to_owned() + "\n"
    };
    let mut out = line(["BUDGET", "OF", "LIMIT", "SETTLED", "RESERVED", "UNRESERVED", "AVAILABLE", "USED UP"]);
    for row in answer["budgets"].as_array().into_iter().flatten() {
        let name = |field: &str| row[field].as_str().unwrap_or("");
        let amount = |field: &str| money(row[field].as_i64().unwrap_or(0));
        let of = match (name("event"), name("team")) {
            ("", _) => answer["tenant"].as_str().unwrap_or("").to_owned(),
            (event, "") => event.to_owned(),
            (event, team) => format!("{event}/{team}"),
        };
        let limit = format!("{} {}", amount("limit_micro"), name("currency"));
        let budget = format!("{}{}", name("budget"), if row["soft"] == true { " (soft)" } else { "" });
        let amounts = ["settled_micro", "reserved_micro", "unreserved_micro", "available_micro"].map(amount);
        let [settled, reserved, unreserved, left] = amounts.each_ref().map(String::as_str);
        let until = name("exhausted_at").get(..16).unwrap_or("").replace('T', " ");
        out.push_str(&line([&budget, &of, &limit, settled, reserved, unreserved, left, &until]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn people_get_a_table() {
        let row = serde_json::json!({"budget": "week", "event": "cup", "team": "otters", "limit_micro": 5_000_000,
            "currency": "EUR", "soft": true, "settled_micro": 1, "reserved_micro": 2, "unreserved_micro": 3,
            "available_micro": 4_999_994, "exhausted_at": "2026-11-28T10:00:00.000Z"});
        let text = text(&serde_json::json!({"tenant": "acme", "budgets": [row]}));
        let words: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        let expected = "week (soft) cup/otters 5.000000 EUR 0.000001 0.000002 0.000003 4.999994 2026-11-28 10:00";
        assert_eq!(words.join(" "), expected);
    }
}
