//! The ceremony on random contests: it begins with the frozen board, reveals every hidden cell once, lets nobody fall by an
//! own reveal, and ends with the jury's board.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardRow, BoardValue, View};
use gravity_events::body::{
    BoardRules, EventConfigured, Moment, ProblemPublished, Scoring, Selection, TeamRegistered, TestGroup,
};
use gravity_events::query::{QueryError, Resolution};
use gravity_operators::boards::fact::{Fact, board_facts};
use gravity_operators::boards::facts::{Correction, EventKey, Judgement, MomentKind, Outcome, RubricText, Submission};
use gravity_operators::boards::resolver::resolve;
use gravity_operators::boards::view::boards;
use gravity_operators::harness::boards::{changes, everything};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::run::Run;

const MINUTE: i64 = 60_000;
const START: i64 = 1_767_225_600_000;
const PROBLEMS: [&str; 5] = ["A", "B", "C", "D", "E"];

fn event() -> EventKey {
    EventKey::new("t", "e")
}

fn contest(dice: &mut Dice, scoring: Scoring) -> Vec<Fact> {
    let config = EventConfigured {
        scoring,
        duration_ms: Some(300 * MINUTE),
        freeze_duration_ms: Some(60 * MINUTE),
        start_at: Some(START),
        ..EventConfigured::default()
    };
    let mut facts = vec![Fact::Config(event(), config)];
    for (ordinal, p) in (0..).zip(PROBLEMS) {
        let problem = ProblemPublished { problem: p.into(), label: p.into(), ordinal, ..Default::default() };
        facts.push(Fact::Problem(event(), problem));
    }
    let rubric = r#"{"rubric":"r","version":1,"dimensions":[{"dimension":"correctness","weight_bp":10000,"operator":"test_groups"}]}"#;
    facts.push(Fact::Rubric(event(), "r".into(), 1, RubricText(rubric.into())));
    let teams = 3 + dice.below(10);
    for t in 0..teams {
        let hidden = dice.chance(10);
        let name = format!("Team {}", dice.below(4));
        let team = TeamRegistered { team: format!("t{t}").into(), name, hidden, ..Default::default() };
        facts.push(Fact::Team(event(), team));
        if dice.chance(20) {
            let time_ms = Some(START + dice.below(300) as i64 * MINUTE);
            let (penalty_min, points) = (dice.below(60) as i64 - 30, dice.below(3) as i64 - 1);
            let team = format!("t{t}").into();
            let by =
                Correction { event: event(), team, id: "c".into(), time_ms, points, penalty_min, visible_now: false };
            facts.push(Fact::Correction(by));
        }
    }
    for n in 0..dice.below(80) {
        let at_ms = *dice.pick(&[30, 100, 200, 240, 250, 270, 299]) * MINUTE;
        let submission = Submission {
            event: event(),
            submission: format!("s{n}").into(),
            team: format!("t{}", dice.below(teams)).into(),
            problem: (*dice.pick(&PROBLEMS)).into(),
            contest_time_ms: Some(at_ms),
            ..Submission::default()
        };
        let group = |g: &str, points| TestGroup { group: g.into(), passed: points, total: 3, points: None };
        let groups = [group("1", dice.below(4) as u32), group("2", dice.below(4) as u32)];
        let judgement = Judgement {
            event: event(),
            judgement: format!("j{n}").into(),
            submission: submission.submission.clone(),
            judgement_type: Some((*dice.pick(&["AC", "WA", "WA", "CE"])).into()),
            end_ms: Some(at_ms + 1),
            current: true,
            outcome: Outcome::of(&groups, &BTreeMap::new()),
            ..Judgement::default()
        };
        facts.extend([Fact::Submission(submission), Fact::Judgement(judgement)]);
    }
    facts
}

fn name_key(name: &str) -> Arc<[u8]> {
    name.as_bytes().into()
}

/// The ranked teams of a view, as a board lists them, with their rows.
fn listed(facts: &[Fact], view: View) -> Vec<(Id, BoardRow)> {
    let script = [facts.iter().map(|f| (f.clone(), 1)).collect::<Vec<_>>()];
    let said = Run::workers(1).drive(&script, |rows| everything(boards(board_facts(rows))));
    let mut rows: Vec<(Id, BoardRow)> = changes(&said[0])
        .into_iter()
        .filter_map(|(((v, key), value), _)| match (key, value) {
            (BoardKey::Row { team, .. }, BoardValue::Row(row)) if v == view && !row.unranked() => {
                Some((team, BoardRow::clone(&row)))
            }
            _ => None,
        })
        .collect();
    rows.sort_by(|(s, a), (t, b)| {
        a.rank_cmp(b).then_with(|| a.name.cmp(&b.name)).then_with(|| gravity_events::natural_cmp(s, t))
    });
    rows
}

fn check(facts: &[Fact], resolution: &Resolution) -> usize {
    let (public, jury) = (listed(facts, View::Public), listed(facts, View::Jury));
    let order = |rows: &[(Id, BoardRow)]| rows.iter().map(|(team, _)| team.clone()).collect::<Vec<_>>();
    assert_eq!(resolution.start, order(&public), "it begins with the frozen board");
    assert_eq!(resolution.end, order(&jury), "it ends with the jury's board");
    let mut now = resolution.start.clone();
    let mut seen = BTreeSet::new();
    for step in &resolution.steps {
        assert!(seen.insert((step.team.clone(), step.problem.clone())), "a cell is revealed once: {step:?}");
        assert_eq!(now[step.from - 1], step.team, "{step:?}");
        assert!(step.problem.is_none() || step.to <= step.from, "nobody falls by an own reveal: {step:?}");
        let team = now.remove(step.from - 1);
        now.insert(step.to - 1, team);
    }
    assert_eq!(now, resolution.end, "the steps lead to the end");
    let hidden = |(team, row): &(Id, BoardRow)| {
        let pending: Vec<_> =
            row.cells.iter().filter(|c| c.pending > 0).map(|c| (team.clone(), c.problem.clone())).collect();
        pending
    };
    let hidden: BTreeSet<_> = public.iter().flat_map(hidden).collect();
    let revealed: BTreeSet<_> = seen.into_iter().filter_map(|(team, p)| Some((team, p?))).collect();
    assert_eq!(revealed, hidden, "every hidden cell, and no other");
    let scores: BTreeMap<_, _> = resolution.steps.iter().map(|s| (&s.team, (s.score, s.penalty))).collect();
    for (team, row) in &jury {
        assert!(scores.get(team).is_none_or(|said| *said == (row.score(), row.penalty)), "{team} ends otherwise");
    }
    resolution.steps.len()
}

#[test]
fn random_contests_are_revealed_from_the_bottom() {
    let mut steps = 0;
    for seed in 0..150 {
        for scoring in [Scoring::Icpc, Scoring::Ioi, Scoring::Rubric] {
            let facts = contest(&mut Dice::new(seed), scoring);
            let resolution = resolve(&event(), &facts, &name_key).expect("everything is judged");
            assert_eq!(resolve(&event(), &facts, &name_key).as_ref(), Ok(&resolution), "the same every time");
            steps += check(&facts, &resolution);
        }
    }
    assert!(steps > 3_000, "only {steps} steps");
}

#[test]
fn what_is_thawed_has_nothing_to_reveal() {
    let mut facts = contest(&mut Dice::new(3), Scoring::Icpc);
    facts.push(Fact::Moment(event(), MomentKind::Thawed, Moment { at: Some(START), contest_time_ms: None }));
    let resolution = resolve(&event(), &facts, &name_key).unwrap();
    assert_eq!((resolution.steps.len(), &resolution.start), (0, &resolution.end));
}

#[test]
fn it_refuses_what_is_not_judged_and_boards_that_it_cannot_reveal() {
    let why = |facts: &[Fact]| match resolve(&event(), facts, &name_key) {
        Err(QueryError::Unresolvable { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    let mut facts = contest(&mut Dice::new(5), Scoring::Icpc);
    let unjudged = Submission {
        event: event(),
        submission: "late".into(),
        team: "t0".into(),
        problem: "A".into(),
        contest_time_ms: Some(250 * MINUTE),
        ..Submission::default()
    };
    facts.push(Fact::Submission(unjudged));
    assert_eq!(why(&facts), "1 submissions are not judged, such as late");
    for scoring in [Scoring::Ctf, Scoring::Kaggle] {
        assert!(!why(&contest(&mut Dice::new(5), scoring)).is_empty());
    }
    let mut last = contest(&mut Dice::new(5), Scoring::Rubric);
    let Fact::Config(_, config) = &mut last[0] else { panic!() };
    config.rules = BoardRules { selection: Selection::Last, ..BoardRules::default() };
    assert!(why(&last).contains("fall"));
}
