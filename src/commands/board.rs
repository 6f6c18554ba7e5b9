//! `gravity board`: prints a board.

use clap::{Args, ValueEnum};
use gravity_ingest::client::Client;
use serde_json::{Map, Value, json};

use super::{ServerArgs, encode};

/// Who may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// Everybody
    Public,
    /// Judges
    Jury,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// Stable JSON
    Json,
    /// A row per team
    Csv,
    /// A Scoreboard of the CLICS Contest API
    Clics,
    /// Standings for ctftime.org
    Ctftime,
}

/// Prints a board
#[derive(Args, Debug)]
pub struct BoardArgs {
    /// The event
    event: String,
    /// Whose board
    #[arg(long, value_enum, default_value = "public")]
    view: View,
    /// Only teams of this division
    #[arg(long)]
    division: Option<String>,
    /// As it was: a version that was shown, however old, or an instant (RFC 3339, or H:MM:SS of the event's own time), recomputed
    #[arg(long, value_parser = At::parse, allow_hyphen_values = true)]
    at: Option<At>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What `--at` says.
#[derive(Clone, Debug)]
enum At {
    Version(u64),
    Instant(String),
}

impl At {
    fn parse(text: &str) -> Result<At, String> {
        Ok(match gravity_api::serving::computed::At::parse(text)? {
            gravity_api::serving::computed::At::Version(version) => At::Version(version),
            gravity_api::serving::computed::At::Instant(_) => At::Instant(text.to_owned()),
        })
    }
}

const PAGE: usize = 1_000;

/// Runs it.
pub async fn run(args: BoardArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let client = server.client()?;
    let mut query = format!("view={}", if args.view == View::Jury { "jury" } else { "public" });
    if let Some(d) = &args.division {
        query.push_str(&format!("&division={}", encode(d)));
    }
    if args.format == Format::Clics {
        anyhow::ensure!(args.at.is_none(), "the CLICS format is of the newest version only: leave out --at");
        let path = format!("api/contests/{}/scoreboard?{query}", encode(&args.event));
        println!("{}", client.get_text(&path, "application/json").await?);
        return Ok(());
    }
    // The pages after the first are of the same version by their cursor, and of the same instant by this.
    let instant = match &args.at {
        Some(At::Version(version)) => {
            query.push_str(&format!("&at={version}"));
            "&old=true".to_owned()
        }
        Some(At::Instant(instant)) => format!("&at={}", encode(instant)),
        None => String::new(),
    };
    let board = whole(&client, &args.event, &query, &instant).await?;
    match args.format {
        Format::Json => println!("{board}"),
        Format::Csv => print!("{}", csv(&board)),
        Format::Ctftime => println!("{}", ctftime(&board)),
        _ => print!("{}", text(&board)),
    }
    Ok(())
}

/// All pages of one version as one object.
async fn whole(client: &Client, event: &str, query: &str, instant: &str) -> anyhow::Result<Value> {
    let base = format!("api/v1/events/{}/board", encode(event));
    let mut board: Map<String, Value> = client.get_json(&format!("{base}?{query}{instant}&limit={PAGE}")).await?;
    while let Some(cursor) = board.get("next_cursor").and_then(Value::as_str) {
        let view = query.split('&').next().unwrap_or_default();
        let next: Map<String, Value> =
            client.get_json(&format!("{base}?{view}{instant}&limit={PAGE}&cursor={}", encode(cursor))).await?;
        let rows = next.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
        board.insert("next_cursor".into(), next.get("next_cursor").cloned().unwrap_or(Value::Null));
        if let Some(Value::Array(all)) = board.get_mut("rows") {
            all.extend(rows);
        }
    }
    board.remove("next_cursor");
    board.remove("from");
    Ok(Value::Object(board))
}

fn list<'a>(v: &'a Value, key: &str) -> &'a [Value] {
    v[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn shown(v: &Value) -> String {
    match v {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn cell<'a>(row: &'a Value, problem: &Value) -> Option<&'a Value> {
    list(row, "problems").iter().find(|c| c["problem"] == problem["problem"])
}

/// Units of a score in one point that people read: rubric boards count basis points times weights in basis points.
pub(super) fn unit(board: &Value) -> i64 {
    if board["scoring"] == json!("rubric") { 1_000_000 } else { 1 }
}

pub(super) fn points(score: &Value, unit: i64) -> String {
    match score.as_i64() {
        Some(score) if unit > 1 => format!("{:.2}", score as f64 / unit as f64),
        _ => shown(score),
    }
}

fn text(board: &Value) -> String {
    let problems = list(board, "problems");
    let frozen = if board["frozen"] == json!(true) { ", frozen" } else { "" };
    let mut out =
        format!("{} ({}{frozen}), version {}\n", shown(&board["name"]), shown(&board["view"]), board["version"]);
    let width = list(board, "rows").iter().map(|r| shown(&r["name"]).chars().count()).max().unwrap_or(4).clamp(4, 40);
    let by_solves = board["scoring"].as_str().unwrap_or("icpc") == "icpc";
    let unit = unit(board);
    let dimensions = list(&board["rubric"], "dimensions");
    out.push_str(&format!("{:>5}  {:width$} ", "rank", "team"));
    out.push_str(&if by_solves { format!("{:>3} {:>6} ", "=", "time") } else { format!("{:>9} ", "score") });
    for d in dimensions {
        out.push_str(&format!(" {:>12.12}", shown(&d["dimension"])));
    }
    for p in problems {
        out.push_str(&format!(" {:^7}", shown(&p["label"])));
    }
    out.push('\n');
    for row in list(board, "rows") {
        let name: String = shown(&row["name"]).chars().take(width).collect();
        out.push_str(&format!("{:>5}  {name:width$} ", shown(&row["rank"])));
        out.push_str(&match by_solves {
            true => format!("{:>3} {:>6} ", shown(&row["score"]), shown(&row["penalty"])),
            false => format!("{:>9} ", points(&row["score"], unit)),
        });
        for d in dimensions {
            let score = &row["dimensions"][d["dimension"].as_str().unwrap_or_default()];
            let text = if score.is_null() { "pending".to_owned() } else { points(score, 100) };
            out.push_str(&format!(" {text:>12}"));
        }
        for p in problems {
            let text = match cell(row, p) {
                None => ".".to_owned(),
                Some(c) if by_solves => solve_cell(c),
                Some(c) => points_cell(c, unit),
            };
            out.push_str(&format!(" {text:^7}"));
        }
        if let Some(since_ms) = row["stale_since_ms"].as_i64() {
            out.push_str(&format!("  stale since {}", contest_time(since_ms)));
        }
        out.push('\n');
    }
    out
}

/// `H:MM:SS` of the event's own time.
fn contest_time(ms: i64) -> String {
    let s = ms.div_euclid(1_000);
    format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

fn pending(c: &Value) -> String {
    c["pending"].as_u64().filter(|n| *n > 0).map(|n| format!("?{n}")).unwrap_or_default()
}

fn star(c: &Value) -> &'static str {
    if c["first"] == json!(true) { "*" } else { "" }
}

fn solve_cell(c: &Value) -> String {
    let attempts = c["attempts"].as_u64().unwrap_or(0);
    match c["solved"] == json!(true) {
        true => format!("+{attempts}/{}{}{}", c["time"], star(c), pending(c)),
        false if attempts > 0 => format!("-{attempts}{}", pending(c)),
        false => pending(c),
    }
}

fn points_cell(c: &Value, unit: i64) -> String {
    let score = if c["score"].is_null() { String::new() } else { points(&c["score"], unit) };
    format!("{score}{}{}", star(c), pending(c))
}

fn csv(board: &Value) -> String {
    let quote =
        |s: String| if s.contains([',', '"', '\n', '\r']) { format!("\"{}\"", s.replace('"', "\"\"")) } else { s };
    let problems = list(board, "problems");
    let mut out = String::from("rank,team,name,score,penalty");
    for p in problems {
        out.push_str(&format!(",{}", quote(shown(&p["label"]))));
    }
    out.push('\n');
    for row in list(board, "rows") {
        let fields = ["rank", "team", "name", "score", "penalty"].map(|k| quote(shown(&row[k])));
        out.push_str(&fields.join(","));
        for p in problems {
            let minutes = cell(row, p).filter(|c| c["solved"] == json!(true)).map(|c| shown(&c["time"]));
            out.push_str(&format!(",{}", minutes.unwrap_or_default()));
        }
        out.push('\n');
    }
    out
}

fn ctftime(board: &Value) -> Value {
    let standing = |r: &Value| json!({"pos": r["rank"], "team": r["name"], "score": r["score"]});
    json!({"standings": list(board, "rows").iter().filter(|r| !r["rank"].is_null()).map(standing).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Value {
        json!({"name": "Cup", "view": "public", "frozen": true, "version": 3,
            "problems": [{"problem": "a", "label": "A"}, {"problem": "b", "label": "B"}],
            "rows": [{"rank": 1, "team": "t", "name": "Say \"hi\", all", "score": 1, "penalty": 30,
                "problems": [{"problem": "a", "solved": true, "time": 10, "attempts": 2, "pending": 0, "first": true},
                             {"problem": "b", "solved": false, "attempts": 1, "pending": 2}]}]})
    }

    #[test]
    fn people_and_spreadsheets_can_read_it() {
        assert!(text(&board()).contains("+2/10*"));
        assert!(text(&board()).contains("-1?2"));
        let mut of_points = board();
        of_points["scoring"] = json!("rubric");
        of_points["rubric"] = json!({"dimensions": [{"dimension": "correctness"}, {"dimension": "security"}]});
        of_points["rows"][0]["score"] = json!(87_650_000);
        of_points["rows"][0]["dimensions"] = json!({"correctness": 9_000, "security": null});
        of_points["rows"][0]["stale_since_ms"] = json!(4_983_000);
        assert!(text(&of_points).contains("stale since 1:23:03"), "{}", text(&of_points));
        of_points["rows"][0]["problems"][0]["score"] = json!(87_650_000);
        let shown = text(&of_points);
        for part in ["87.65 ", "90.00", "pending", "87.65*", "?2"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
        assert_eq!(csv(&board()), "rank,team,name,score,penalty,A,B\n1,t,\"Say \"\"hi\"\", all\",1,30,10,\n");
        assert_eq!(ctftime(&board()), json!({"standings": [{"pos": 1, "team": "Say \"hi\", all", "score": 1}]}));
    }
}
