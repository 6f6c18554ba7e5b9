//! `gravity burn`: what a tenant uses, and what it costs.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::table::table;
use super::{ServerArgs, encode};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Minute,
    Hour,
    Day,
    Month,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Group {
    Event,
    Team,
    Lab,
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// Stable JSON
    Json,
    /// For spreadsheets
    Csv,
}

/// Shows what a tenant used and what it costs
#[derive(Args, Debug)]
pub struct BurnArgs {
    /// Who pays
    tenant: String,
    /// How long windows are
    #[arg(long, value_enum, default_value = "hour")]
    by: By,
    /// Rows of their own for each of these
    #[arg(long, value_enum)]
    group: Option<Group>,
    /// Usage from this minute on, RFC 3339
    #[arg(long)]
    from: Option<String>,
    /// Usage before this minute, RFC 3339
    #[arg(long)]
    to: Option<String>,
    /// Time zone of hours, days and months
    #[arg(long, default_value = "UTC")]
    time_zone: String,
    /// Shows instead what prices that came later made of usage that had been charged
    #[arg(long, conflicts_with_all = ["by", "group", "from", "to", "time_zone"])]
    adjustments: bool,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs it.
pub async fn run(args: BurnArgs, server: &ServerArgs) -> anyhow::Result<()> {
    if args.adjustments {
        return adjustments(&args, server).await;
    }
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    };
    let by = name(&|| args.by.to_possible_value());
    let mut path = format!("api/v1/billing/tenants/{}/burn?by={by}", encode(&args.tenant));
    if let Some(group) = args.group {
        path.push_str(&format!("&group={}", name(&|| group.to_possible_value())));
    }
    for (key, value) in [("from", &args.from), ("to", &args.to), ("time_zone", &Some(args.time_zone))] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", encode(value)));
        }
    }
    let answer: Value = server.client()?.get_json(&path).await?;
    match args.format {
        Format::Json => println!("{answer}"),
        Format::Csv => print!("{}", csv(&answer)),
        Format::Text => print!("{}", text(&answer, &by)),
    }
    Ok(())
}

async fn adjustments(args: &BurnArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let path = format!("api/v1/billing/tenants/{}/adjustments?limit=1000", encode(&args.tenant));
    let answer: Value = server.client()?.get_json(&path).await?;
    let names = ["at", "month", "item", "prices", "records", "before", "after", "difference"];
    let rows = answer["adjustments"].as_array().into_iter().flatten().map(|row| {
        let of = |name: &str| money(row[name].as_i64().unwrap_or(0));
        let price = |price: &Value| format!("{}/{}", price["price_list"].as_str().unwrap_or("-"), price["version"]);
        let prices: Vec<String> = row["prices"].as_array().into_iter().flatten().map(price).collect();
        json!({"at": row["at"], "month": row["month"].as_str().and_then(|month| month.get(..7)), "item": row["item"],
            "prices": prices.join(" "), "records": row["records"], "before": of("before_micro"), "after": of("after_micro"),
            "difference": of("difference_micro")})
    });
    let rows: Vec<Value> = rows.collect();
    match args.format {
        Format::Json => println!("{answer}"),
        Format::Text => print!("{}", table(&names, &rows)),
        Format::Csv => {
            println!("{}", names.join(","));
            for row in rows {
                let cell = |name: &&str| row[*name].as_str().map_or_else(|| row[*name].to_string(), str::to_owned);
                let cells: Vec<String> = names.iter().map(cell).collect();
                println!(
                    "{}",
                    cells.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect::<Vec<_>>().join(",")
                );
            }
        }
    }
    Ok(())
}

const NUMBERS: [&str; 6] = ["records", "input_tokens", "output_tokens", "cached_tokens", "duration_ms", "cost_micro"];

fn rows(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["rows"].as_array().into_iter().flatten()
}

fn csv(answer: &Value) -> String {
    let mut out = format!("window_start,group,{}\n", NUMBERS.join(","));
    for row in rows(answer) {
        let group = row["group"].as_str().unwrap_or_default().replace('"', "\"\"");
        let numbers: Vec<String> = NUMBERS.iter().map(|name| row[*name].to_string()).collect();
        out.push_str(&format!("{},\"{group}\",{}\n", row["window_start"].as_str().unwrap_or("-"), numbers.join(",")));
    }
    out
}

fn text(answer: &Value, by: &str) -> String {
    let currency = answer["currency"].as_str().unwrap_or("");
    let digits = match by {
        "month" => 7,
        "day" => 10,
        _ => 16,
    };
    let grouped = rows(answer).any(|row| !row["group"].is_null());
    let line = |window: &str, group: &str, cells: [String; 5]| {
        let group = if grouped { format!("{group:<24} ") } else { String::new() };
        let [records, input, output, cached, cost] = cells;
        format!("{window:<16} {group}{records:>10} {input:>14} {output:>14} {cached:>14} {cost:>18}\n")
    };
    let head = ["RECORDS", "INPUT", "OUTPUT", "CACHED", "COST"].map(str::to_owned);
    let mut out = line("WINDOW", "GROUP", head);
    let cells = |row: &Value| {
        let number = |name: &str| grouped_digits(row[name].as_i64().unwrap_or(0));
        let unpriced = row["unpriced_records"].as_i64().unwrap_or(0) > 0;
        let cost =
            format!("{} {currency}{}", money(row["cost_micro"].as_i64().unwrap_or(0)), if unpriced { "*" } else { "" });
        [
            number("records"),
            number("input_tokens"),
            number("output_tokens"),
            number("cached_tokens"),
            cost.trim_end().to_owned(),
        ]
    };
    for row in rows(answer) {
        let start = row["window_start"].as_str().unwrap_or("-").replace('T', " ");
        let start: String = start.chars().take(digits).collect();
        out.push_str(&line(&start, row["group"].as_str().unwrap_or("-"), cells(row)));
    }
    let totals = answer.get("totals").cloned().unwrap_or_else(|| json!({}));
    out.push_str(&line("total", "", cells(&totals)));
    let unpriced = totals["unpriced_records"].as_i64().unwrap_or(0);
    if unpriced > 0 {
        out.push_str(&format!("* {} records have no price\n", grouped_digits(unpriced)));
    }
    out
}

/// Micro-units as units, without a cent lost.
pub(super) fn money(micro: i64) -> String {
    let sign = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    format!("{sign}{}.{:06}", grouped_digits(i64::try_from(micro / 1_000_000).unwrap_or(i64::MAX)), micro % 1_000_000)
}

fn grouped_digits(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_numbers_are_whole() {
        assert_eq!([money(0), money(1), money(-1_234_567_890_123)], ["0.000000", "0.000001", "-1,234,567.890123"]);
        assert_eq!(
            [grouped_digits(999), grouped_digits(1_000), grouped_digits(18_059_974)],
            ["999", "1,000", "18,059,974"]
        );
    }

    #[test]
    fn people_get_a_table() {
        let row = json!({"window_start": "2026-11-28T10:00:00.000Z", "records": 2, "input_tokens": 1_000, "output_tokens": 5,
            "cached_tokens": 0, "cost_micro": 12_500_000, "unpriced_records": 1});
        let answer = json!({"tenant": "t", "currency": "EUR", "totals": row, "rows": [row]});
        let text = text(&answer, "hour");
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["2026-11-28", "10:00", "2", "1,000", "5", "0", "12.500000", "EUR*"]);
        assert_eq!(lines[2], ["total", "2", "1,000", "5", "0", "12.500000", "EUR*"]);
        assert_eq!(lines[3].join(" "), "* 1 records have no price");
        assert_eq!(csv(&answer).lines().nth(1), Some("2026-11-28T10:00:00.000Z,\"\",2,1000,5,0,null,12500000"));
    }
}
