//! Random facts of a few small events, with everything that makes boards hard: see [`edit`].

use gravity_events::Id;
use gravity_events::body::{
    EventConfigured, EventExtended, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered,
    ProblemPublished, TeamRegistered,
};
use gravity_operators::boards::facts::{EventKey, Judgement, MomentKind, RejudgingState, Submission};
use gravity_operators::harness::boards::{BoardScript, Fact};
use gravity_operators::harness::dice::Dice;

pub const MINUTE: i64 = 60_000;
pub const START: i64 = 1_767_225_600_000;

/// Three events of two tenants, two of them of the same name.
pub fn events() -> [EventKey; 3] {
    [EventKey::new("t1", "e1"), EventKey::new("t1", "e2"), EventKey::new("t2", "e1")]
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

pub fn config(dice: &mut Dice) -> EventConfigured {
    EventConfigured {
        name: (*dice.pick(&["Finals", "Semifinals"])).into(),
        start_at: maybe(dice, 70, |_| START),
        duration_ms: maybe(dice, 80, |_| 300 * MINUTE),
        freeze_duration_ms: maybe(dice, 60, |d| *d.pick(&[0, 60, 100]) * MINUTE),
        penalty_ms: maybe(dice, 30, |_| 10 * MINUTE + 30_000),
        main_group: maybe(dice, 20, |_| "g1".into()),
        ..Default::default()
    }
}

fn moment(dice: &mut Dice) -> (MomentKind, Moment) {
    use MomentKind::*;
    let kind = *dice.pick(&[Started, Started, Frozen, Frozen, Thawed, Ended, Finalized]);
    let at = START + *dice.pick(&[0, 5, 180, 240, 300]) * MINUTE;
    let contest_time_ms = if kind == Frozen { maybe(dice, 40, |_| 200 * MINUTE) } else { None };
    (kind, Moment { at: maybe(dice, 70, |_| at), contest_time_ms })
}

pub fn team(dice: &mut Dice) -> TeamRegistered {
    TeamRegistered {
        team: id(dice, "team", 5),
        name: id(dice, "Name ", 3).to_string(),
        display_name: maybe(dice, 30, |d| (*d.pick(&["", "Shown"])).to_owned()),
        organization: maybe(dice, 60, |d| id(d, "org", 2)),
        groups: (0..dice.below(4)).map(|_| id(dice, "g", 4)).collect(),
        hidden: dice.chance(15),
        ..Default::default()
    }
}

pub fn problem(dice: &mut Dice) -> ProblemPublished {
    let problem = id(dice, "p", 4);
    let label = (*dice.pick(&["A", "B"])).to_owned();
    ProblemPublished { problem, label, ordinal: dice.below(3) as i64, rgb: None, ..Default::default() }
}

pub fn judgement_type(dice: &mut Dice) -> JudgementTypePublished {
    let judgement_type = verdict(dice);
    let likely = judgement_type == "AC";
    let solved = if dice.chance(80) { Some(likely) } else { maybe(dice, 50, |_| !likely) };

    JudgementTypePublished { judgement_type, solved, penalty: maybe(dice, 50, |d| d.chance(50)), ..Default::default() }
}

fn verdict(dice: &mut Dice) -> Id {
    (*dice.pick(&["AC", "AC", "AC", "WA", "WA", "CE", "JE", "TLE"])).into()
}

pub fn submission(dice: &mut Dice, event: &EventKey) -> Submission {
    let at = contest_time(dice);
    let (contest_time_ms, time_ms) = (maybe(dice, 80, |_| at), maybe(dice, 80, |_| START + at));
    Submission {
        event: event.clone(),
        submission: id(dice, "", 30),
        team: id(dice, "team", 6),
        problem: id(dice, "p", 5),
        contest_time_ms,
        time_ms,
        ..Submission::default()
    }
}

pub fn judgement(dice: &mut Dice, event: &EventKey) -> Judgement {
    let start = dice.below(4) as i64 * 100 * MINUTE;
    let end = start + dice.below(3) as i64 * MINUTE - MINUTE;
    Judgement {
        event: event.clone(),
        judgement: id(dice, "j", 40),
        submission: id(dice, "", 33),
        judgement_type: maybe(dice, 85, verdict),
        start_ms: maybe(dice, 80, |_| start),
        end_ms: maybe(dice, 80, |_| end),
        current: dice.chance(85),
        rejudging: maybe(dice, 25, |d| id(d, "r", 3)),
        ..Judgement::default()
    }
}

/// A new state of some object: first, changed, late.
pub fn fact(dice: &mut Dice, event: &EventKey) -> Fact {
    let event = event.clone();
    match dice.below(100) {
        0..3 => Fact::Config(event, config(dice)),
        3..5 => {
            let duration_ms = maybe(dice, 70, |d| *d.pick(&[240, 330, 360]) * MINUTE);
            Fact::Extension(event, EventExtended { duration_ms, reason: None })
        }
        5..10 => {
            let (kind, moment) = moment(dice);
            Fact::Moment(event, kind, moment)
        }
        10..17 => Fact::Team(event, team(dice)),
        17..20 => {
            let (group, hidden) = (id(dice, "g", 3), dice.chance(25));
            Fact::Group(event, GroupRegistered { name: group.to_string(), group, hidden, ..Default::default() })
        }
        20..22 => {
            let (organization, name) = (id(dice, "org", 2), id(dice, "Org ", 2).to_string());
            Fact::Organization(event, OrganizationRegistered { organization, name, ..Default::default() })
        }
        22..27 => Fact::Problem(event, problem(dice)),
        27..31 => Fact::JudgementType(event, judgement_type(dice)),
        31..36 => {
            let state = *dice.pick(&[RejudgingState::Opened, RejudgingState::Applied, RejudgingState::Cancelled]);
            Fact::Rejudging(event, id(dice, "r", 3), state)
        }
        36..64 => Fact::Submission(submission(dice, &event)),
        _ => Fact::Judgement(judgement(dice, &event)),
    }
}

/// Puts a new state of an object, or takes one away.
pub fn edit(dice: &mut Dice, script: &mut BoardScript) {
    let known = script.now().len() as u64;
    if known > 0 && dice.chance(12) {
        let key = script.now().keys().nth(dice.below(known) as usize).cloned();
        if let Some(key) = key {
            script.remove(&key);
        }
    } else {
        let event = dice.pick(&events()).clone();
        script.fact(fact(dice, &event));
    }
}

/// Reference data that makes the event a running contest at once.
pub fn set_up(dice: &mut Dice, script: &mut BoardScript) {
    for event in events() {
        let (duration_ms, freeze_duration_ms) = (Some(300 * MINUTE), Some(60 * MINUTE));
        let config = EventConfigured { duration_ms, freeze_duration_ms, ..config(dice) };
        script.fact(Fact::Config(event.clone(), config));
        let at = Some(START);
        script.fact(Fact::Moment(event.clone(), MomentKind::Started, Moment { at, contest_time_ms: None }));
        for _ in 0..9 {
            script.fact(Fact::Team(event.clone(), team(dice)));
            script.fact(Fact::Problem(event.clone(), problem(dice)));
            script.fact(Fact::JudgementType(event.clone(), judgement_type(dice)));
        }
    }
    script.end_epoch();
}
