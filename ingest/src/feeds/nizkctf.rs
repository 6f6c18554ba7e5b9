//! The public audit trail of a NIZKCTF contest: a folder with every solve (`log.json`) and the teams (`teams.json`).
//!
//! It tells nothing of wrong answers, of when the contest began or of how long it took: the event begins with the first
//! solve, and a challenge is known once it was solved.

use std::collections::BTreeMap;
use std::path::Path;

use gravity_events::body::{
    BoardRules, EventConfigured, JudgementRecorded, ProblemPublished, Scoring, SubmissionReceived, TeamRegistered,
    ValueFunction,
};
use gravity_events::{Body, Id, Record, codec};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::source::{Source, SourceError};
use super::source_name;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Solve {
    challenge_id: String,
    team_id: String,
    /// Milliseconds since 1970.
    moment: i64,
}

#[derive(Deserialize)]
struct Team {
    id: String,
    name: String,
}

/// Reads a folder as the records of `event`.
pub fn read(folder: &Path, tenant: &str, event: &str) -> Result<Source, SourceError> {
    let solves: Vec<Solve> = file(&folder.join("log.json"))?;
    let teams: Vec<Team> = file(&folder.join("teams.json"))?;
    let records = records(tenant, event, &solves, &teams);
    let line = |record: &Record| String::from_utf8_lossy(&codec::encode(record)).into_owned();
    Ok(Source::Lines { name: folder.display().to_string(), lines: records.iter().map(line).collect() })
}

fn file<T: DeserializeOwned>(path: &Path) -> Result<T, SourceError> {
    let what = path.display().to_string();
    let fault = |problem: String| SourceError::Trail { what: what.clone(), problem };
    let text = std::fs::read(path).map_err(|e| fault(e.to_string()))?;
    serde_json::from_slice(&text).map_err(|e| fault(e.to_string()))
}

fn records(tenant: &str, event: &str, solves: &[Solve], teams: &[Team]) -> Vec<Record> {
    let source = source_name("nizkctf", event);
    let record = |id: String, time_ms: Option<i64>, body: Body| Record {
        id: id.into(),
        source: source.clone(),
        tenant: tenant.into(),
        event: Some(event.into()),
        subject: None,
        time_ms,
        backfill: true,
        body,
    };
    let begin_ms = solves.iter().map(|s| s.moment).min();
    let config = EventConfigured {
        name: event.to_owned(),
        scoring: Scoring::Ctf,
        start_at: begin_ms,
        rules: BoardRules { value: Some(ValueFunction::Nizkctf), ..BoardRules::default() },
        ..EventConfigured::default()
    };
    let mut records = vec![record("event".into(), begin_ms, Body::EventConfigured(config))];
    let mut challenges: BTreeMap<&str, i64> = BTreeMap::new();
    for solve in solves {
        let first = challenges.entry(&solve.challenge_id).or_insert(solve.moment);
        *first = solve.moment.min(*first);
    }
    for (ordinal, challenge) in (0..).zip(challenges.keys()) {
        let name = challenge.trim_start_matches('_').replace('_', " ");
        let body = ProblemPublished {
            problem: (*challenge).into(),
            label: (*challenge).to_owned(),
            name,
            ordinal,
            ..ProblemPublished::default()
        };
        records.push(record(format!("challenge/{challenge}"), begin_ms, Body::ProblemPublished(body)));
    }
    for team in teams {
        let body =
            TeamRegistered { team: team.id.as_str().into(), name: team.name.clone(), ..TeamRegistered::default() };
        records.push(record(format!("team/{}", team.id), begin_ms, Body::TeamRegistered(body)));
    }
    let mut by_time: Vec<&Solve> = solves.iter().collect();
    by_time.sort_by(|a, b| (a.moment, &a.team_id, &a.challenge_id).cmp(&(b.moment, &b.team_id, &b.challenge_id)));
    let mut copies: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for solve in by_time {
        let copy = copies.entry((&solve.team_id, &solve.challenge_id)).or_default();
        *copy += 1;
        let contest_time_ms = begin_ms.map(|begin| solve.moment - begin);
        // Hashes of teams are long: an id that holds two of them may be, too.
        let id: Id = format!("{}/{}/{copy}", solve.challenge_id, solve.team_id).into();
        let submission = SubmissionReceived {
            submission: id.clone(),
            team: solve.team_id.as_str().into(),
            problem: solve.challenge_id.as_str().into(),
            contest_time_ms,
            ..SubmissionReceived::default()
        };
        let judgement = JudgementRecorded {
            judgement: id.clone(),
            submission: id.clone(),
            judgement_type: Some("AC".into()),
            start_contest_time_ms: contest_time_ms,
            end_contest_time_ms: contest_time_ms,
            ..JudgementRecorded::default()
        };
        let time_ms = Some(solve.moment);
        records.push(record(format!("submission/{id}"), time_ms, Body::SubmissionReceived(submission)));
        records.push(record(format!("judgement/{id}"), time_ms, Body::JudgementRecorded(judgement)));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(log: &str, teams: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log.json"), log).unwrap();
        std::fs::write(dir.path().join("teams.json"), teams).unwrap();
        dir
    }

    #[test]
    fn a_trail_becomes_an_event_with_its_solves() {
        let log = r#"[{"challengeId":"b","flag":"x","moment":2000,"teamId":"t1"},
                      {"challengeId":"a","flag":"x","moment":1000,"teamId":"t1"},
                      {"challengeId":"a","flag":"x","moment":3000,"teamId":"t1"}]"#;
        let dir = folder(log, r#"[{"id":"t1","name":"One","countries":[]}]"#);
        let Source::Lines { lines, .. } = read(dir.path(), "t", "e").unwrap() else { panic!() };
        let bodies: Vec<Body> = lines.iter().map(|l| codec::decode(l.as_bytes()).unwrap().body).collect();
        let Body::EventConfigured(config) = &bodies[0] else { panic!("{:?}", bodies[0]) };
        assert_eq!((config.scoring, config.start_at), (Scoring::Ctf, Some(1_000)));
        let kinds: Vec<&str> = bodies.iter().map(Body::kind).collect();
        let pair = ["submission.received", "judgement.recorded"];
        let expected = ["event.configured", "problem.published", "problem.published", "team.registered"];
        assert_eq!(kinds, [&expected[..], &pair, &pair, &pair].concat());
        let Body::SubmissionReceived(last) = &bodies[8] else { panic!("{:?}", bodies[8]) };
        assert_eq!((last.submission.as_str(), last.contest_time_ms), ("a/t1/2", Some(2_000)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = folder("[{}]", "[]");
        let error = read(dir.path(), "t", "e").unwrap_err().to_string();
        assert!(error.contains("log.json") && error.contains("challengeId"), "{error}");
        assert!(read(&dir.path().join("nowhere"), "t", "e").is_err());
    }
}
