//! A contest as a list of cuts, in which hidden verdicts can be other ones.

use gravity_events::Body;
use gravity_events::body::*;

use crate::support::contest::bytes_of;

pub const EVENT: &str = "veil";
pub const TEAMS: u32 = 14;
const HIDDEN_TEAMS: [u32; 2] = [4, 11];
const PROBLEMS: u32 = 5;
const ATTEMPTS: u32 = 150;
const FREEZE_MS: i64 = 14_400_000;

/// What becomes of hidden verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdicts {
    AsTheyAre,
    /// Right is wrong, and wrong is right.
    Flipped,
    /// The same, but of hidden teams only.
    FlippedOfHiddenTeams,
    /// Instead of each there is a judgement of another event.
    OfAnotherEvent,
    /// There are none.
    LeftOut,
}

/// Both events use the same ids, so each is a source of its own.
fn record(event: &str, id: String, body: Body) -> Vec<u8> {
    bytes_of(event, event, id, body)
}

/// The reference data of both events: one cut.
pub fn reference() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for event in [EVENT, "another"] {
        let configured = EventConfigured {
            name: event.into(),
            duration_ms: Some(18_000_000),
            freeze_duration_ms: Some(18_000_000 - FREEZE_MS),
            ..Default::default()
        };
        let started = Moment { at: Some(1_767_258_000_000), contest_time_ms: None };
        let even = GroupRegistered { group: "even".into(), name: "Even".into(), ..Default::default() };
        records.push(record(event, "configured".into(), Body::EventConfigured(configured)));
        records.push(record(event, "started".into(), Body::EventStarted(started)));
        records.push(record(event, "even".into(), Body::GroupRegistered(even)));
        for t in 0..TEAMS {
            let team = TeamRegistered {
                team: format!("t{t}").into(),
                name: format!("Team {t}"),
                groups: if t % 2 == 0 { vec!["even".into()] } else { vec![] },
                hidden: HIDDEN_TEAMS.contains(&t),
                ..Default::default()
            };
            records.push(record(event, format!("team{t}"), Body::TeamRegistered(team)));
        }
        for p in 0..PROBLEMS {
            let label = char::from(b'A' + p as u8).to_string();
            let problem =
                ProblemPublished { problem: format!("p{p}").into(), label, ordinal: p.into(), ..Default::default() };
            records.push(record(event, format!("problem{p}"), Body::ProblemPublished(problem)));
        }
    }
    records
}

/// The record that lifts the veil.
pub fn thawed() -> Vec<u8> {
    let at = Moment { at: Some(1_767_258_000_000 + 18_000_000), contest_time_ms: Some(18_000_000) };
    record(EVENT, "thawed".into(), Body::EventThawed(at))
}

fn team_of(n: u32) -> u32 {
    (n.wrapping_mul(2_654_435_761) >> 9) % TEAMS
}

fn contest_time_ms(n: u32) -> i64 {
    match n {
        // The last instant before the freeze, and its first.
        74 => FREEZE_MS - 1,
        75 => FREEZE_MS,
        _ if n < 75 => i64::from(n) * 190_000,
        _ => FREEZE_MS + i64::from(n - 75) * 47_000,
    }
}

fn submission(n: u32) -> Vec<u8> {
    let received = SubmissionReceived {
        submission: format!("s{n}").into(),
        team: format!("t{}", team_of(n)).into(),
        problem: format!("p{}", (n.wrapping_mul(0x9E37_79B9) >> 11) % PROBLEMS).into(),
        contest_time_ms: Some(contest_time_ms(n)),
        ..Default::default()
    };
    record(EVENT, format!("s{n}"), Body::SubmissionReceived(received))
}

/// The judgement of a submission; `None` where it is left out.
fn judgement(n: u32, revision: u64, verdicts: Verdicts) -> Option<Vec<u8>> {
    let of_hidden_team = HIDDEN_TEAMS.contains(&team_of(n));
    let is_hidden = of_hidden_team || contest_time_ms(n) >= FREEZE_MS;
    let flips = match verdicts {
        Verdicts::Flipped => is_hidden,
        Verdicts::FlippedOfHiddenTeams => of_hidden_team,
        Verdicts::LeftOut if is_hidden => return None,
        _ => false,
    };
    let other = is_hidden && verdicts == Verdicts::OfAnotherEvent;
    let mut verdict =
        ["WA", "AC", "CE", "AC", "TLE"][((n.wrapping_mul(0x85EB_CA6B) >> 13) as usize + revision as usize) % 5];
    if flips {
        verdict = if verdict == "AC" { "WA" } else { "AC" };
    }
    let judged = JudgementRecorded {
        judgement: format!("j{n}").into(),
        // In the other event nobody has handed this in, so that its board stays as it is.
        submission: format!("s{n}").into(),
        judgement_type: Some(verdict.into()),
        start_contest_time_ms: Some(contest_time_ms(n)),
        end_contest_time_ms: Some(contest_time_ms(n) + 1_000),
        revision,
        ..Default::default()
    };
    let event = if other { "another" } else { EVENT };
    Some(record(event, format!("j{n}-{revision}"), Body::JudgementRecorded(judged)))
}

/// The cuts of the contest, each of one topic: with one partition per topic, a cut is an epoch. Some may be empty.
pub fn cuts(verdicts: Verdicts) -> Vec<Vec<Vec<u8>>> {
    let mut cuts = Vec::new();
    for n in (0..ATTEMPTS).step_by(3) {
        let all = n..n + 3;
        let submissions: Vec<_> = all.clone().map(submission).collect();
        let mut judgements: Vec<_> = all.map(|n| (n, 0)).collect();
        // Some are judged again, later: before the freeze, visibly, while others are hidden; and hidden ones.
        judgements.extend(n.checked_sub(57).map(|old| (old, 1)));
        judgements.extend(n.checked_sub(20).filter(|_| n % 2 == 0).map(|old| (old, 2)));
        let judgements: Vec<_> = judgements.into_iter().filter_map(|(n, r)| judgement(n, r, verdicts)).collect();
        // Nothing says that a submission comes before its judgement.
        if n % 5 == 0 { cuts.extend([judgements, submissions]) } else { cuts.extend([submissions, judgements]) }
    }
    cuts
}
