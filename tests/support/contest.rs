//! A contest made of numbers: any part of it can be made again.

use gravity_events::body::*;
use gravity_events::{Body, Record};

/// The bytes of a record.
pub fn bytes(event: &str, id: String, body: Body) -> Vec<u8> {
    bytes_of("test", event, id, body)
}

/// The bytes of a record of some source.
pub fn bytes_of(source: &str, event: &str, id: String, body: Body) -> Vec<u8> {
    let record = Record {
        id: id.into(),
        source: source.into(),
        tenant: "t".into(),
        event: Some(event.into()),
        subject: None,
        time_ms: None,
        backfill: true,
        body,
    };
    gravity_events::codec::encode(&record)
}

/// An event of five hours with a freeze of one, with teams and problems. Even teams are in division `even`.
pub fn reference(event: &str, teams: u32, problems: u32) -> Vec<Vec<u8>> {
    reference_of(Scoring::Icpc, event, teams, problems)
}

/// Boards of other kinds stand beside one of this, in the same tenant: their records have a source of their own.
fn source(scoring: Scoring, event: &str) -> &str {
    if scoring == Scoring::Icpc { "test" } else { event }
}

/// The same for a board of another kind.
pub fn reference_of(scoring: Scoring, event: &str, teams: u32, problems: u32) -> Vec<Vec<u8>> {
    let bytes = |event, id, body| bytes_of(source(scoring, event), event, id, body);
    let dimension = |name: &str, operator: &str, parameters: serde_json::Value| RubricDimension {
        dimension: name.into(),
        weight_bp: 5_000,
        operator: operator.into(),
        parameters,
    };
    let rubric = RubricPublished {
        rubric: "main".into(),
        version: 1,
        dimensions: vec![
            dimension("correctness", "test_groups", serde_json::json!({})),
            dimension("quality", "measure", serde_json::json!({"measure": "quality"})),
        ],
    };
    let mut records = vec![
        bytes(event, "configured".into(), Body::EventConfigured(configured(scoring, event))),
        bytes(event, "rubric".into(), Body::RubricPublished(rubric)),
        bytes(
            event,
            "started".into(),
            Body::EventStarted(Moment { at: Some(1_767_258_000_000), contest_time_ms: None }),
        ),
        bytes(
            event,
            "even".into(),
            Body::GroupRegistered(GroupRegistered { group: "even".into(), name: "Even".into(), ..Default::default() }),
        ),
    ];
    for t in 0..teams {
        let groups = if t % 2 == 0 { vec!["even".into()] } else { vec![] };
        let body =
            TeamRegistered { team: format!("t{t}").into(), name: format!("Team {t}"), groups, ..Default::default() };
        records.push(bytes(event, format!("team{t}"), Body::TeamRegistered(body)));
    }
    for p in 0..problems {
        let label = char::from(b'A' + (p % 26) as u8).to_string();
        let body = ProblemPublished { problem: format!("p{p}").into(), label, ordinal: p.into(), ..Default::default() };
        records.push(bytes(event, format!("problem{p}"), Body::ProblemPublished(body)));
    }
    records
}

fn configured(scoring: Scoring, event: &str) -> EventConfigured {
    EventConfigured {
        name: event.into(),
        scoring,
        duration_ms: Some(18_000_000),
        freeze_duration_ms: Some(3_600_000),
        ..Default::default()
    }
}

/// Other rules for the event: the penalty is `n` minutes, what a challenge is worth begins at 1,000 and `n`, and so on: they
/// move every row that has anything.
pub fn rules(scoring: Scoring, event: &str, n: u32) -> Vec<u8> {
    let board = BoardRules {
        selection: [Selection::Best, Selection::Last][(n % 2) as usize],
        subtasks: [Subtasks::Each, Subtasks::Whole][(n % 2) as usize],
        value: Some(ValueFunction::Linear { initial: 1_000 + i64::from(n), minimum: 100, decay: 10 }),
        lower_is_better: n.is_multiple_of(2),
        ..BoardRules::default()
    };
    let penalty_ms = Some(i64::from(n) * 60_000);
    let config = EventConfigured { penalty_ms, rules: board, ..configured(scoring, event) };
    bytes_of(source(scoring, event), event, format!("rules{n}"), Body::EventConfigured(config))
}

/// Submission `n` and its judgement, for `teams` teams and `problems` problems. Some verdicts are revised later.
pub fn attempt(event: &str, n: u32, teams: u32, problems: u32) -> Vec<Vec<u8>> {
    attempt_of(Scoring::Icpc, event, n, teams, problems)
}

/// The same for a board of another kind, which goes by what was measured.
pub fn attempt_of(scoring: Scoring, event: &str, n: u32, teams: u32, problems: u32) -> Vec<Vec<u8>> {
    let bytes = |event, id, body| bytes_of(source(scoring, event), event, id, body);
    let mix = n.wrapping_mul(2_654_435_761) >> 7;
    let (team, problem, verdict) =
        (mix % teams, (mix / teams) % problems, ["WA", "AC", "CE", "WA", "TLE"][(mix % 5) as usize]);
    let at_ms = i64::from(n % 17_900) * 1_000;
    let submission = format!("s{n}");
    let received = SubmissionReceived {
        submission: submission.as_str().into(),
        team: format!("t{team}").into(),
        problem: format!("p{problem}").into(),
        contest_time_ms: Some(at_ms),
        ..Default::default()
    };
    let judged = |revision: u64, verdict: &str| JudgementRecorded {
        judgement: format!("j{n}").into(),
        submission: submission.as_str().into(),
        judgement_type: Some(verdict.into()),
        start_contest_time_ms: Some(at_ms),
        end_contest_time_ms: Some(at_ms),
        revision,
        ..Default::default()
    };
    let measured = |judgement: JudgementRecorded| {
        if scoring == Scoring::Icpc {
            return judgement;
        }
        let (points, turned) = (Some(i64::from(mix % 100)), i64::from(mix.rotate_left(judgement.revision as u32)));
        let measures = [("quality", 10_000), ("public", 1_000), ("private", 900)];
        JudgementRecorded {
            groups: vec![TestGroup { group: "all".into(), passed: mix % 21, total: 20, points }],
            measures: measures.map(|(name, most)| (name.into(), turned % most)).into(),
            ..judgement
        }
    };
    let mut records = vec![
        bytes(event, submission.clone(), Body::SubmissionReceived(received)),
        bytes(event, format!("j{n}"), Body::JudgementRecorded(measured(judged(0, verdict)))),
    ];
    if n.is_multiple_of(20) {
        records.push(bytes(
            event,
            format!("j{n}-1"),
            Body::JudgementRecorded(measured(judged(1, if verdict == "AC" { "WA" } else { "AC" }))),
        ));
    }
    records
}

/// A rejected attempt by one team on one problem in the last minute before the freeze, whatever came before.
pub fn more(event: &str, n: u32, team: &str, problem: u32) -> Vec<Vec<u8>> {
    let submission = format!("more{n}");
    let at_ms = 14_399_000;
    let received = SubmissionReceived {
        submission: submission.as_str().into(),
        team: team.into(),
        problem: format!("p{problem}").into(),
        contest_time_ms: Some(at_ms),
        ..Default::default()
    };
    let judged = JudgementRecorded {
        judgement: format!("more-j{n}").into(),
        submission: submission.as_str().into(),
        judgement_type: None,
        start_contest_time_ms: Some(at_ms),
        ..Default::default()
    };
    vec![
        bytes(event, submission.clone(), Body::SubmissionReceived(received)),
        bytes(event, format!("more-j{n}"), Body::JudgementRecorded(judged)),
    ]
}
