//! One more solve of a challenge that 5,000 of 10,000 teams have solved: every one of their scores falls, in one step.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use gravity_events::body::*;
use gravity_events::{Body, Record};

use super::rescore::{record, visible};
use crate::report::{Row, at_most};
use crate::server::{self, Server};
use crate::{Run, say};

const EVENT: &str = "ctf";
const CHALLENGES: u64 = 100;

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    let teams = run.scaled(10_000);
    let dir = run.dir.join("data");
    let records = crate::log::fill_with(&dir.join("log"), event(teams))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(run, &dir, teams, records))
}

/// Whether a team has solved a challenge: the first challenge half of them, the others a tenth.
fn solved(team: u64, challenge: u64) -> bool {
    let mix = (team * CHALLENGES + challenge).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    if challenge == 0 { team.is_multiple_of(2) } else { mix.is_multiple_of(10) }
}

fn solve(team: u64, challenge: u64) -> [Record; 2] {
    let id = format!("{team}-{challenge}");
    let at_ms = ((team * 7 + challenge * 13) % 100_000) as i64;
    let submission = SubmissionReceived {
        submission: id.as_str().into(),
        team: format!("t{team:05}").into(),
        problem: format!("c{challenge:02}").into(),
        contest_time_ms: Some(at_ms),
        ..Default::default()
    };
    let judgement = JudgementRecorded {
        judgement: id.as_str().into(),
        submission: id.as_str().into(),
        judgement_type: Some("AC".into()),
        end_contest_time_ms: Some(at_ms),
        ..Default::default()
    };
    [
        record(EVENT, format!("s{id}"), Body::SubmissionReceived(submission)),
        record(EVENT, format!("j{id}"), Body::JudgementRecorded(judgement)),
    ]
}

fn event(teams: u64) -> impl Iterator<Item = Record> {
    let value = ValueFunction::Logarithmic { initial: 1_000_000, minimum: 0, decay: 10_000 };
    let config = EventConfigured {
        name: "CTF".into(),
        scoring: Scoring::Ctf,
        start_at: Some(0),
        rules: BoardRules { value: Some(value), ..BoardRules::default() },
        ..EventConfigured::default()
    };
    let challenge = |c: u64| {
        let body = ProblemPublished {
            problem: format!("c{c:02}").into(),
            label: c.to_string(),
            ordinal: c as i64,
            ..Default::default()
        };
        record(EVENT, format!("challenge-{c}"), Body::ProblemPublished(body))
    };
    let team = |t: u64| {
        let body = TeamRegistered { team: format!("t{t:05}").into(), name: format!("Team {t}"), ..Default::default() };
        record(EVENT, format!("team-{t}"), Body::TeamRegistered(body))
    };
    let reference = [record(EVENT, "config".into(), Body::EventConfigured(config))];
    let reference = reference.into_iter().chain((0..CHALLENGES).map(challenge)).chain((0..teams).map(team));
    reference
        .chain((0..teams).flat_map(|t| (0..CHALLENGES).filter(move |c| solved(t, *c)).flat_map(move |c| solve(t, c))))
}

async fn measure(run: &Run, dir: &Path, teams: u64, records: u64) -> anyhow::Result<Vec<Row>> {
    let mut server = Server::spawn(&run.bin, dir)?;
    server.ready().await?;
    let mut client = server.client().await?;
    server::drained(&mut client, Duration::from_secs(600)).await?;
    server.idle().await?;
    say(format!("dynamic: {records} records are on the board"));
    let mut took_ms = Vec::new();
    let mut before = version(&mut client).await?;
    for team in (1..teams).step_by(2).take(20) {
        let [submission, judgement] = solve(team, 0);
        visible(&mut client, &server, &submission).await?;
        let pending = version(&mut client).await?;
        ensure!(pending <= before + 1, "a pending submission is one version");
        took_ms.push(visible(&mut client, &server, &judgement).await?.as_secs_f64() * 1e3);
        let after = version(&mut client).await?;
        ensure!(after == pending + 1, "{} versions for one solve", after - pending);
        before = after;
    }
    server.stop()?;
    took_ms.sort_by(f64::total_cmp);
    let (median, worst) = (took_ms[took_ms.len() / 2], took_ms[took_ms.len() - 1]);
    let floor_ms = plain(teams);
    Ok(vec![Row {
        case: "dynamic",
        load: format!("{teams} teams x {CHALLENGES} challenges, one solved by {} teams, {records} records", teams / 2),
        figure: format!(
            "one more solve: {} rows visible {median:.0} ms after the record is sent (worst of 20: {worst:.0}), in one version",
            teams / 2
        ),
        peer: format!("all sums once more and sorted, in memory: {floor_ms:.1} ms"),
        ratio: format!("{:.0}", median / floor_ms),
        target: at_most(median, 200.0, " ms"),
    }])
}

async fn version(client: &mut crate::http::Client) -> anyhow::Result<u64> {
    let (status, body) = client.get(&format!("/api/v1/events/{EVENT}/board?limit=1")).await?;
    ensure!(status == 200, "the board answers {status}");
    let board: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(board["version"].as_u64().unwrap_or(0))
}

/// What a loop with all solves in memory takes to sum and sort once more.
fn plain(teams: u64) -> f64 {
    let solves: Vec<Vec<usize>> =
        (0..teams).map(|t| (0..CHALLENGES).filter(|c| solved(t, *c)).map(|c| c as usize).collect()).collect();
    let worth: Vec<i64> = (0..CHALLENGES as i64).map(|c| 1_000 - c).collect();
    let began = Instant::now();
    let mut rows: Vec<(i64, usize)> =
        solves.iter().enumerate().map(|(t, of)| (-of.iter().map(|c| worth[*c]).sum::<i64>(), t)).collect();
    rows.sort_unstable();
    std::hint::black_box(&rows);
    began.elapsed().as_secs_f64() * 1e3
}
