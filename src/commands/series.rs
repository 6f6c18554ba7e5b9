//! `gravity series`: scores over time.

use clap::Args;
use serde_json::{Value, json};

use super::board::{View, points, unit};
use super::{Output, ServerArgs, encode};

/// Columns of a curve.
const WIDTH: usize = 48;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Shows how the scores of the first teams grew
#[derive(Args, Debug)]
pub struct SeriesArgs {
    /// The event
    event: String,
    /// Whose board
    #[arg(long, value_enum, default_value = "public")]
    view: View,
    /// Only teams of this division
    #[arg(long)]
    division: Option<String>,
    /// Teams from the top
    #[arg(long, default_value_t = 10)]
    top: u32,
    /// Teams besides, joined by commas
    #[arg(long, value_delimiter = ',')]
    teams: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Runs it.
pub async fn run(args: SeriesArgs, server: &ServerArgs) -> anyhow::Result<()> {
    let view = if args.view == View::Jury { "jury" } else { "public" };
    let mut path = format!("api/v1/events/{}/board/series?view={view}&top={}", encode(&args.event), args.top);
    if let Some(division) = &args.division {
        path.push_str(&format!("&division={}", encode(division)));
    }
    if !args.teams.is_empty() {
        path.push_str(&format!("&teams={}", encode(&args.teams.join(","))));
    }
    let answer: Value = server.client()?.get_json(&path).await?;
    match args.format {
        Output::Json => println!("{answer}"),
        Output::Text => print!("{}", text(&answer)),
    }
    Ok(())
}

/// The points of a team as (milliseconds, score).
fn points_of(team: &Value) -> Vec<(i64, i64)> {
    let pair = |p: &Value| Some((p[0].as_i64()?, p[1].as_i64()?));
    team["points"].as_array().into_iter().flatten().filter_map(pair).collect()
}

/// A step curve from `from_ms` to `to_ms`, `most` at its top.
fn curve(points: &[(i64, i64)], from_ms: i64, to_ms: i64, most: i64) -> String {
    let width = i64::try_from(WIDTH).unwrap_or(i64::MAX);
    let column = |at: i64| {
        let until_ms = from_ms + (to_ms - from_ms) * (at + 1) / width;
        let score = points.iter().take_while(|(at_ms, _)| *at_ms <= until_ms).last().map_or(0, |(_, score)| *score);
        let level = i128::from(score.max(0)) * 7 / i128::from(most.max(1));
        if score == 0 { ' ' } else { LEVELS[usize::try_from(level).unwrap_or(0).min(7)] }
    };
    (0..width).map(column).collect()
}

fn text(answer: &Value) -> String {
    let teams: Vec<(&Value, Vec<(i64, i64)>)> =
        answer["teams"].as_array().into_iter().flatten().map(|team| (team, points_of(team))).collect();
    let all = || teams.iter().flat_map(|(_, points)| points);
    let (Some(from_ms), Some(to_ms)) = (all().map(|p| p.0).min(), all().map(|p| p.0).max()) else {
        return "no team has a score yet\n".to_owned();
    };
    let most = all().map(|p| p.1).max().unwrap_or(1);
    let unit = unit(answer);
    let mut out = String::new();
    for (team, points_of_team) in &teams {
        let rank = team["rank"].as_u64().map_or("-".to_owned(), |rank| rank.to_string());
        let name: String = team["name"].as_str().unwrap_or_default().chars().take(24).collect();
        let last = points_of_team.last().map_or(json!(0), |(_, score)| json!(score));
        let curve = curve(points_of_team, from_ms, to_ms, most);
        out.push_str(&format!("{rank:>5}  {name:24} {curve} {:>9}\n", points(&last, unit)));
    }
    let at = |ms: i64| gravity_events::time::format_rfc3339_ms(ms);
    out.push_str(&format!("{:31} {} to {}\n", "", at(from_ms), at(to_ms)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_steps() {
        let answer = json!({"scoring": "points", "teams": [
            {"rank": 1, "name": "Ada", "points": [[0, 100], [48_000, 800]]},
            {"rank": null, "name": "Guest", "points": []},
        ]});
        let text = text(&answer);
        let first = text.lines().next().unwrap();
        assert!(first.contains("Ada") && first.ends_with("800"), "{text}");
        assert!(first.contains(&"▁".repeat(WIDTH - 1)) && first.contains('█'), "{text}");
        assert!(text.lines().nth(1).unwrap().contains(&" ".repeat(WIDTH)), "{text}");
        assert!(super::text(&json!({"teams": []})).starts_with("no team"));
    }
}
