//! A simulated hackathon: a pure function of (teams, seed).

use gravity_events::body::*;
use gravity_events::{Body, Id, Record};
use gravity_operators::harness::dice::Dice;

use super::names;

/// The tenant of the demo.
pub const TENANT: &str = "demo";
/// The event of the demo.
pub const EVENT: &str = "demo";
const MINUTE_MS: i64 = 60_000;
const DURATION_MS: i64 = 300 * MINUTE_MS;
const FREEZE_MS: i64 = 60 * MINUTE_MS;
/// Contest time is counted from here, so that the same seed gives the same records to the byte: 2026-01-01T09:00:00Z.
pub const START_MS: i64 = 1_767_258_000_000;
const PROBLEMS: u64 = 12;
/// Models, and what a million tokens read and written cost in micro-units.
const MODELS: [(&str, i64, i64); 2] = [("large", 3_000_000, 15_000_000), ("small", 250_000, 1_250_000)];
const VERDICTS: [&str; 4] = ["WA", "TLE", "RTE", "CE"];

/// The numbers of a simulation: the same everywhere, for ever, so that playing it again changes nothing.
#[derive(Clone)]
pub struct Random(Dice);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(Dice::new(seed))
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.any()) * u128::from(n)) >> 64) as u64
    }

    /// True in `percent` of a hundred cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Everything that happens, in the order of contest time.
pub struct Simulation {
    /// What is there before the start.
    pub before: Vec<Record>,
    /// (contest time in ms, record).
    pub timeline: Vec<(i64, Record)>,
    /// What comes when all is judged: the thaw and the end.
    pub after: Vec<Record>,
}

fn record(id: String, body: Body) -> Record {
    Record {
        id: id.into(),
        source: "demo".into(),
        tenant: TENANT.into(),
        event: Some(EVENT.into()),
        subject: None,
        time_ms: None,
        backfill: true,
        body,
    }
}

fn moment(at_ms: i64) -> Moment {
    Moment { at: Some(START_MS + at_ms), contest_time_ms: None }
}

/// Simulates a contest of so many teams.
pub fn simulate(teams: u64, seed: u64) -> Simulation {
    let mut random = Random::new(seed);
    let mut before = reference(&mut random, teams);
    before.extend(billing());
    before.push(record("started".into(), Body::EventStarted(moment(0))));
    let mut timeline =
        vec![(DURATION_MS - FREEZE_MS, record("frozen".into(), Body::EventFrozen(moment(DURATION_MS - FREEZE_MS))))];
    for team in 1..=teams {
        play(team, Random::new(seed ^ team.wrapping_mul(0xD6E8_FEB8_6659_FD93)), &mut timeline);
    }
    timeline.push((DURATION_MS, record("ended".into(), Body::EventEnded(moment(DURATION_MS)))));
    timeline.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let after = vec![
        record("thawed".into(), Body::EventThawed(moment(DURATION_MS + 30 * MINUTE_MS))),
        record("finalized".into(), Body::EventFinalized(moment(DURATION_MS + 40 * MINUTE_MS))),
    ];
    Simulation { before, timeline, after }
}

fn reference(random: &mut Random, teams: u64) -> Vec<Record> {
    let mut records = vec![record(
        "configured".into(),
        Body::EventConfigured(EventConfigured {
            name: "Gravity Demo Cup".into(),
            formal_name: Some("A simulated contest".into()),
            start_at: Some(START_MS),
            duration_ms: Some(DURATION_MS),
            freeze_duration_ms: Some(FREEZE_MS),
            penalty_ms: Some(20 * MINUTE_MS),
            ..EventConfigured::default()
        }),
    )];
    for (id, name, solved, penalty) in [
        ("AC", "accepted", true, false),
        ("WA", "wrong answer", false, true),
        ("TLE", "time limit", false, true),
        ("RTE", "run error", false, true),
        ("CE", "compile error", false, false),
    ] {
        let body = JudgementTypePublished {
            judgement_type: id.into(),
            name: name.into(),
            solved: Some(solved),
            penalty: Some(penalty),
            ..JudgementTypePublished::default()
        };
        records.push(record(format!("judgement-type/{id}"), Body::JudgementTypePublished(body)));
    }
    for (id, name) in names::GROUPS {
        let body = GroupRegistered {
            group: id.into(),
            name: name.into(),
            hidden: id == "staff",
            ..GroupRegistered::default()
        };
        records.push(record(format!("group/{id}"), Body::GroupRegistered(body)));
    }
    for n in 0..PROBLEMS {
        let label = char::from(b'A' + n as u8);
        let body = ProblemPublished {
            problem: label.to_ascii_lowercase().to_string().into(),
            label: label.to_string(),
            name: names::PROBLEMS[n as usize].into(),
            ordinal: n as i64,
            rgb: Some(names::COLOURS[n as usize].into()),
            ..ProblemPublished::default()
        };
        records.push(record(format!("problem/{label}"), Body::ProblemPublished(body)));
    }
    for n in 0..names::ORGANIZATIONS.len() {
        let body = OrganizationRegistered {
            organization: format!("o{n}").into(),
            name: names::ORGANIZATIONS[n].into(),
            ..OrganizationRegistered::default()
        };
        records.push(record(format!("organization/{n}"), Body::OrganizationRegistered(body)));
    }
    for team in 1..=teams {
        // The last team is the staff's own: it is on the jury's board only.
        let group = if team == teams { "staff" } else { names::GROUPS[random.below(4) as usize].0 };
        let body = TeamRegistered {
            team: team_id(team),
            name: names::team(random, team),
            organization: Some(format!("o{}", random.below(names::ORGANIZATIONS.len() as u64)).into()),
            groups: vec![group.into()],
            ..TeamRegistered::default()
        };
        records.push(record(format!("team/{team}"), Body::TeamRegistered(body)));
    }
    records
}

fn team_id(team: u64) -> Id {
    format!("t{team}").into()
}

/// One team's contest: it takes problems roughly from easy to hard, and each costs it time and some rejected tries.
fn play(team: u64, mut random: Random, timeline: &mut Vec<(i64, Record)>) {
    let skill = 20 + random.below(81);
    let mut order: Vec<(u64, u64)> = (0..PROBLEMS).map(|p| (p * 10 + random.below(45), p)).collect();
    order.sort_unstable();
    let mut now_ms = 0;
    let mut tries = 0;
    for (_, problem) in order {
        let hard = 8 + problem * 5;
        let mean_min = hard * 55 / skill;
        now_ms += (1 + random.below(2 * mean_min + 2)) as i64 * MINUTE_MS + random.below(60_000) as i64;
        let gives_up = random.below(120) + 10 < problem * 7 + (100 - skill) / 2;
        for attempt in 0..6u64 {
            if now_ms >= DURATION_MS {
                return;
            }
            tries += 1;
            let solved = !gives_up && random.chance(35 + skill / 3 + attempt * 10);
            let verdict = if solved { "AC" } else { VERDICTS[[0, 0, 0, 1, 1, 2, 3][random.below(7) as usize]] };
            hand_in(team, tries, problem, now_ms, verdict, &mut random, timeline);
            if solved || (gives_up && attempt >= 2) {
                break;
            }
            now_ms += (2 + random.below(14)) as i64 * MINUTE_MS + random.below(60_000) as i64;
        }
    }
}

fn hand_in(
    team: u64,
    tries: u64,
    problem: u64,
    at_ms: i64,
    verdict: &str,
    random: &mut Random,
    timeline: &mut Vec<(i64, Record)>,
) {
    let submission: Id = format!("t{team}-{tries}").into();
    let body = SubmissionReceived {
        submission: submission.clone(),
        team: team_id(team),
        problem: char::from(b'a' + problem as u8).to_string().into(),
        language: Some("rust".into()),
        contest_time_ms: Some(at_ms),
        revision: 0,
    };
    timeline.push((at_ms, record(format!("submission/{submission}"), Body::SubmissionReceived(body))));
    ask_models(team, tries, at_ms, timeline);
    let judged_ms = at_ms + 2_000 + random.below(40_000) as i64;
    let body = JudgementRecorded {
        judgement: format!("j-{submission}").into(),
        submission: submission.clone(),
        judgement_type: Some(verdict.into()),
        start_contest_time_ms: Some(at_ms + 1_000),
        end_contest_time_ms: Some(judged_ms),
        ..JudgementRecorded::default()
    };
    timeline.push((judged_ms, record(format!("judgement/{submission}"), Body::JudgementRecorded(body))));
}

/// A team asks a model or two before it hands something in. By dice of its own, so that boards are what they were without it.
fn ask_models(team: u64, tries: u64, at_ms: i64, timeline: &mut Vec<(i64, Record)>) {
    let mut random = Random::new(team.wrapping_mul(1_000_003) ^ tries);
    for call in 0..1 + random.below(2) {
        let input_tokens = 300 + random.below(6_000);
        let body = UsageTokens {
            model: MODELS[random.below(2) as usize].0.into(),
            input_tokens,
            output_tokens: 50 + random.below(1_200),
            cached_tokens: random.below(input_tokens / 2),
            team: Some(team_id(team)),
            lab: None,
        };
        let asked_ms = (at_ms - 5_000 - random.below(60_000) as i64).max(0);
        let mut record = record(format!("usage/t{team}-{tries}-{call}"), Body::UsageTokens(body));
        record.time_ms = Some(START_MS + asked_ms);
        record.subject = Some(format!("t{team}/member-{}", random.below(3)).into());
        timeline.push((asked_ms, record));
    }
}

/// What models cost, and what is measured of them.
fn billing() -> Vec<Record> {
    let price = |model: &str, kind: &str, micro_per_million| Price {
        model: model.into(),
        kind: kind.into(),
        micro_per_million,
        tiers: Vec::new(),
    };
    let prices = MODELS.into_iter().flat_map(|(model, input, output)| {
        [price(model, "input", input), price(model, "output", output), price(model, "cached", input / 10)]
    });
    let prices = PricePublished {
        price_list: "demo".into(),
        version: 1,
        currency: "EUR".into(),
        effective_at: None,
        prices: prices.collect(),
    };
    let budget = BudgetSet {
        budget: "demo".into(),
        team: None,
        limit_micro: 50_000_000,
        currency: "EUR".into(),
        alerts_bp: vec![5_000, 8_000, 10_000],
        soft: true,
    };
    let meter = MeterDefined {
        meter: "tokens_per_model".into(),
        of: "usage.tokens".into(),
        aggregation: Aggregation::Sum,
        value: Some("total_tokens".into()),
        window: Span::Hour,
        time_zone: None,
        group_by: vec!["model".into()],
        deleted: false,
        revision: 0,
    };
    // They are the tenant's, and not the event's.
    let of_tenant = |id: &str, body| Record { event: None, ..record(id.into(), body) };
    vec![
        of_tenant("prices", Body::PricePublished(prices)),
        of_tenant("budget", Body::BudgetSet(budget)),
        of_tenant("meter", Body::MeterDefined(meter)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_records_to_the_byte() {
        let bytes = |teams, seed| -> Vec<Vec<u8>> {
            let s = simulate(teams, seed);
            s.before
                .iter()
                .chain(s.timeline.iter().map(|t| &t.1))
                .chain(&s.after)
                .map(gravity_events::codec::encode)
                .collect()
        };
        assert_eq!(bytes(50, 7), bytes(50, 7));
        assert_ne!(bytes(50, 7), bytes(50, 8));
        for b in bytes(3, 1) {
            gravity_events::codec::decode(&b).unwrap();
        }
    }

    #[test]
    fn ids_are_unique_and_times_in_order() {
        let s = simulate(100, 1);
        let mut ids: Vec<_> =
            s.before.iter().chain(s.timeline.iter().map(|t| &t.1)).chain(&s.after).map(|r| r.id.clone()).collect();
        let n = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), n);
        assert!(s.timeline.is_sorted_by_key(|t| t.0));
        let solved = s
            .timeline
            .iter()
            .filter(|t| matches!(&t.1.body, Body::JudgementRecorded(j) if j.judgement_type.as_deref() == Some("AC")))
            .count();
        assert!((200..1_000).contains(&solved), "{solved}: a contest worth watching");
    }
}
