//! Random facts of small events of every kind.

use std::collections::BTreeMap;

use gravity_events::Id;
use gravity_events::body::{
    BoardRules, CustomAward, EventConfigured, EventExtended, GroupRegistered, Interval, JudgementTypePublished, Moment,
    OrganizationRegistered, ProblemPublished, Scoring, Selection, Subtasks, TeamRegistered, TestGroup, ValueFunction,
};
use gravity_operators::boards::fact::Fact;
use gravity_operators::boards::facts::{
    Correction, EventKey, Judgement, MomentKind, Outcome, RejudgingState, RubricText, Submission, Vote,
};
use gravity_operators::harness::boards::BoardScript;
use gravity_operators::harness::dice::Dice;

pub const MINUTE: i64 = 60_000;
pub const START: i64 = 1_767_225_600_000;

pub fn key(event: u64) -> EventKey {
    EventKey::new("t", format!("e{event}"))
}

fn id(dice: &mut Dice, prefix: &str, n: u64) -> Id {
    format!("{prefix}{}", dice.below(n) + 1).into()
}

fn maybe<T>(dice: &mut Dice, percent: u64, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    let chosen = dice.chance(percent);
    chosen.then(|| value(dice))
}

/// Contest times with ties, on both sides of freezes and ends.
pub fn contest_time(dice: &mut Dice) -> i64 {
    let edge = *dice.pick(&[0, 60, 120, 180, 200, 240, 300, 330]) * MINUTE;
    edge + *dice.pick(&[-1, 0, 0, 1, 59_999, 10 * MINUTE, 25 * MINUTE])
}

fn value(dice: &mut Dice) -> ValueFunction {
    match dice.below(6) {
        0 => ValueFunction::Static { points: 10 },
        1 => ValueFunction::Linear { initial: 100, minimum: 40, decay: 25 },
        2 => ValueFunction::Logarithmic { initial: 500, minimum: 100, decay: 3 },
        3 => ValueFunction::Exponential { initial: 300, minimum_bp: 2_000, difficulty_milli: 1_500 },
        4 => ValueFunction::Nizkctf,
        _ => ValueFunction::Defcon,
    }
}

fn rules(dice: &mut Dice) -> BoardRules {
    let interval = |dice: &mut Dice| {
        let from_ms = contest_time(dice);
        Interval { from_ms, to_ms: from_ms + *dice.pick(&[-5, 0, 1, 30, 90]) * MINUTE }
    };
    let removed = if dice.chance(30) { dice.below(3) } else { 0 };
    BoardRules {
        rubric: maybe(dice, 20, |d| id(d, "rubric", 2)),
        selection: *dice.pick(&[Selection::Best, Selection::Best, Selection::Last, Selection::Chosen]),
        subtasks: *dice.pick(&[Subtasks::Each, Subtasks::Whole]),
        value: maybe(dice, 70, value),
        selected_max: maybe(dice, 30, |d| d.below(4) as u32),
        lower_is_better: dice.chance(30),
        strict: dice.chance(20),
        list_all: dice.chance(30),
        removed_intervals: (0..removed).map(|_| interval(dice)).collect(),
    }
}

pub fn config(dice: &mut Dice, scoring: Scoring) -> EventConfigured {
    EventConfigured {
        name: id(dice, "Event ", 2).to_string(),
        scoring,
        start_at: maybe(dice, 90, |d| START + d.below(2) as i64 * MINUTE),
        duration_ms: maybe(dice, 85, |d| *d.pick(&[240, 300]) * MINUTE),
        freeze_duration_ms: maybe(dice, 60, |_| 60 * MINUTE),
        penalty_ms: maybe(dice, 30, |d| d.below(3) as i64 * 10 * MINUTE),
        main_group: maybe(dice, 10, |d| id(d, "g", 3)),
        rules: rules(dice),
        awards: maybe(dice, 20, award).into_iter().collect(),
        ..EventConfigured::default()
    }
}

fn award(dice: &mut Dice) -> CustomAward {
    CustomAward { award: id(dice, "award", 2), citation: "For courage".into(), teams: vec![id(dice, "t", 5)] }
}

/// Sound ones and, now and then, one that is not.
fn rubric(dice: &mut Dice, name: &str, version: u64) -> RubricText {
    let weight = *dice.pick(&[2_000, 5_000, 7_000]);
    let operator = if dice.chance(15) { "no_such_operator" } else { "test_groups" };
    let (other, parameters) = *dice.pick(&[
        ("log_ratio", r#"{"measure":"latency_us","bad":1000,"reference":10}"#),
        ("panel", r#"{"dimension":"innovation"}"#),
        ("panel", r#"{"dimension":"design"}"#),
    ]);
    let rule = *dice.pick(&["sum", "min", "max"]);
    let text = format!(
        r#"{{"dimensions":[{{"dimension":"correctness","operator":"{operator}","parameters":{{"rule":"{rule}"}},"weight_bp":{weight}}},{{"dimension":"performance","operator":"{other}","parameters":{parameters},"weight_bp":{}}}],"rubric":"{name}","version":{version}}}"#,
        10_000 - weight
    );
    RubricText(text.into())
}

fn team(dice: &mut Dice) -> TeamRegistered {
    let groups = (0..dice.below(3)).map(|_| id(dice, "g", 3)).collect();
    TeamRegistered {
        team: id(dice, "t", 5),
        name: id(dice, "Team ", 3).to_string(),
        organization: maybe(dice, 30, |d| id(d, "org", 2)),
        groups,
        hidden: dice.chance(12),
        out_of_competition: dice.chance(15),
        ..TeamRegistered::default()
    }
}

fn problem(dice: &mut Dice) -> ProblemPublished {
    ProblemPublished {
        problem: id(dice, "p", 3),
        label: id(dice, "", 3).to_string(),
        ordinal: dice.below(3) as i64,
        value: maybe(dice, 30, value),
        weight: maybe(dice, 30, |d| d.below(4) as u32 + 1),
        ..ProblemPublished::default()
    }
}

pub fn outcome(dice: &mut Dice) -> Option<std::sync::Arc<Outcome>> {
    let group = |dice: &mut Dice, n: u64| TestGroup {
        group: format!("g{n}").into(),
        passed: dice.below(4) as u32,
        total: 3,
        points: maybe(dice, 30, |d| d.below(5) as i64 * 10),
    };
    let groups: Vec<TestGroup> = (0..dice.below(3)).map(|n| group(dice, n)).collect();
    let mut measures = BTreeMap::new();
    for name in ["public", "private", "latency_us"] {
        if dice.chance(75) {
            measures.insert(name.into(), dice.below(6) as i64 * 100);
        }
    }
    Outcome::of(&groups, &measures)
}

fn submission(dice: &mut Dice, event: &EventKey) -> Submission {
    let at = contest_time(dice);
    Submission {
        event: event.clone(),
        submission: id(dice, "s", 14),
        team: id(dice, "t", 5),
        problem: id(dice, "p", 3),
        contest_time_ms: maybe(dice, 85, |_| at),
        time_ms: maybe(dice, 85, |_| START + at),
        language: None,
    }
}

fn judgement(dice: &mut Dice, event: &EventKey) -> Judgement {
    let start = dice.below(3) as i64 * 100 * MINUTE;
    Judgement {
        event: event.clone(),
        judgement: id(dice, "j", 18),
        submission: id(dice, "s", 15),
        judgement_type: maybe(dice, 88, |d| (*d.pick(&["AC", "AC", "AC", "WA", "WA", "CE", "JE", "X"])).into()),
        start_ms: maybe(dice, 80, |_| start),
        end_ms: maybe(dice, 80, |d| start + d.below(2) as i64),
        current: dice.chance(90),
        rejudging: maybe(dice, 15, |d| id(d, "r", 2)),
        outcome: outcome(dice),
    }
}

fn moment(dice: &mut Dice) -> (MomentKind, Moment) {
    let kind = *dice.pick(&[
        MomentKind::Started,
        MomentKind::Frozen,
        MomentKind::Thawed,
        MomentKind::Ended,
        MomentKind::Finalized,
    ]);
    let at = maybe(dice, 60, |d| START + *d.pick(&[0, 180, 250, 300]) * MINUTE);
    (kind, Moment { at, contest_time_ms: maybe(dice, 15, |d| *d.pick(&[120, 200]) * MINUTE) })
}

fn correction(dice: &mut Dice, event: &EventKey) -> Correction {
    Correction {
        event: event.clone(),
        team: id(dice, "t", 5),
        id: id(dice, "c", 3),
        time_ms: maybe(dice, 85, |d| START + contest_time(d)),
        points: dice.below(7) as i64 * 10 - 30,
        penalty_min: dice.below(5) as i64 * 10 - 20,
        visible_now: dice.chance(25),
    }
}

fn vote(dice: &mut Dice, event: &EventKey) -> Vote {
    Vote {
        event: event.clone(),
        vote: id(dice, "v", 12),
        // One more than there are: votes may name nobody.
        team: id(dice, "t", 6),
        over: id(dice, "t", 6),
        dimension: maybe(dice, 40, |d| (*d.pick(&["innovation", "design"])).into()),
        time_ms: maybe(dice, 85, |d| START + contest_time(d)),
    }
}

/// A new state of some object: first, changed, late.
fn fact(dice: &mut Dice, event: &EventKey, scoring: Scoring) -> Fact {
    let event = event.clone();
    match dice.below(100) {
        0..4 => {
            // Now and then the kind of the board itself changes.
            let other = *dice.pick(&[Scoring::Icpc, Scoring::Ctf, Scoring::Ioi, Scoring::Kaggle, Scoring::Rubric]);
            let scoring = if dice.chance(25) { other } else { scoring };
            Fact::Config(event, config(dice, scoring))
        }
        4..6 => {
            let duration_ms = maybe(dice, 70, |d| *d.pick(&[240, 330]) * MINUTE);
            Fact::Extension(event, EventExtended { duration_ms, reason: None })
        }
        6..10 => {
            let (kind, moment) = moment(dice);
            Fact::Moment(event, kind, moment)
        }
        10..18 => Fact::Team(event, team(dice)),
        18..21 => {
            let (group, hidden) = (id(dice, "g", 3), dice.chance(25));
            Fact::Group(event, GroupRegistered { name: group.to_string(), group, hidden, ..Default::default() })
        }
        21..22 => {
            let organization = id(dice, "org", 2);
            Fact::Organization(event, OrganizationRegistered { name: "O".into(), organization, ..Default::default() })
        }
        22..27 => Fact::Problem(event, problem(dice)),
        27..29 => {
            let (solved, penalty) = (maybe(dice, 70, |d| d.chance(50)), maybe(dice, 70, |d| d.chance(50)));
            let judgement_type = id(dice, "X", 1);
            let t = JudgementTypePublished { judgement_type, solved, penalty, ..Default::default() };
            Fact::JudgementType(event, t)
        }
        29..32 => {
            let state = *dice.pick(&[RejudgingState::Opened, RejudgingState::Applied, RejudgingState::Cancelled]);
            Fact::Rejudging(event, id(dice, "r", 2), state)
        }
        32..37 => {
            let (name, version) = (id(dice, "rubric", 2), dice.below(3) + 1);
            let text = rubric(dice, &name, version);
            Fact::Rubric(event, name, version, text)
        }
        37..42 => {
            let (submission, team) = (id(dice, "s", 14), id(dice, "t", 5));
            Fact::Selection(event, submission, team)
        }
        42..48 => Fact::Correction(correction(dice, &event)),
        48..55 => Fact::Vote(vote(dice, &event)),
        55..56 => {
            let operator = *dice.pick(&["test_groups", "log_ratio", "panel"]);
            Fact::Quarantine(event, operator.into(), format!("slow {}", dice.below(2)))
        }
        56..74 => Fact::Submission(submission(dice, &event)),
        _ => Fact::Judgement(judgement(dice, &event)),
    }
}

/// Puts a new state of an object, or takes one away.
pub fn edit(dice: &mut Dice, script: &mut BoardScript, event: u64, scoring: Scoring) {
    let key = key(event);
    let fact = fact(dice, &key, scoring);
    if dice.chance(15) {
        script.remove(&fact.key());
    } else {
        script.fact(fact);
    }
}

/// Reference data and work that make the event a running contest.
pub fn set_up(dice: &mut Dice, script: &mut BoardScript, event: u64, scoring: Scoring) {
    let key = key(event);
    if dice.chance(90) {
        script.fact(Fact::Config(key.clone(), config(dice, scoring)));
    }
    for _ in 0..5 {
        script.fact(Fact::Team(key.clone(), team(dice)));
        script.fact(Fact::Problem(key.clone(), problem(dice)));
    }
    for _ in 0..12 {
        script.fact(Fact::Submission(submission(dice, &key)));
        script.fact(Fact::Judgement(judgement(dice, &key)));
    }
    let text = rubric(dice, "rubric1", 1);
    script.fact(Fact::Rubric(key, "rubric1".into(), 1, text));
}
