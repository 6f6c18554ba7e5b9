//! When verdicts are hidden, and what counts by time.

use super::super::random::{MINUTE, START};
use super::contest::*;

#[test]
fn the_freeze_begins_to_the_millisecond_and_hides_everything_after() {
    let mut c = contest();
    judged(&mut c, "a", "P", 240 * MINUTE - 1, "AC");
    judged(&mut c, "b", "P", 240 * MINUTE, "AC");
    judged(&mut c, "a", "P", 250 * MINUTE, "CE");
    judged(&mut c, "a", "Q", 260 * MINUTE, "WA");
    let b = Board::of(&c);
    assert_eq!(b.cell("a", "P"), cell("P", 1, 1, Some(239)));
    assert_eq!((b.cell("a", "Q"), b.cell("b", "P")), (cell("Q", 0, 1, None), cell("P", 0, 1, None)));
    assert_eq!(b.rows(View::Jury)["b"].solved, 1);
    assert_eq!(b.rows(View::Jury)["a"].cells, [cell("P", 1, 0, Some(239)), cell("Q", 1, 0, None)]);
    assert_eq!(b.header().freeze_ms, Some(240 * MINUTE));
}

#[test]
fn finalised_but_not_thawed_stays_frozen() {
    let mut c = contest();
    judged(&mut c, "b", "P", 240 * MINUTE, "AC");
    for (kind, minute) in [(MomentKind::Frozen, 240), (MomentKind::Ended, 300), (MomentKind::Finalized, 360)] {
        moment(&mut c, kind, minute);
    }
    assert_eq!(Board::of(&c).score("b").0, 0);
    moment(&mut c, MomentKind::Thawed, 420);
    assert_eq!(Board::of(&c).score("b").0, 1);
    c.fact(Fact::Moment(event(), MomentKind::Thawed, Moment::default()));
    assert_eq!(Board::of(&c).score("b").0, 0, "a thaw taken back");
}

#[test]
fn no_freeze() {
    for freeze_duration_ms in [None, Some(0)] {
        let mut c = contest();
        c.fact(Fact::Config(event(), EventConfigured { freeze_duration_ms, ..config() }));
        judged(&mut c, "b", "P", 270 * MINUTE, "AC");
        assert_eq!(Board::of(&c).score("b").0, 1);
    }
}

#[test]
fn a_freeze_by_hand_goes_before_the_planned_and_that_before_the_announced_one() {
    let mut c = contest();
    judged(&mut c, "a", "P", 230 * MINUTE, "AC");
    let frozen = |minute: Option<i64>, at| {
        Fact::Moment(event(), MomentKind::Frozen, Moment { at, contest_time_ms: minute.map(|m| m * MINUTE) })
    };
    let at = Some(START + 200 * MINUTE);
    for (planned, fact, freeze) in [
        (Some(60), frozen(Some(230), at), 230),
        (Some(60), frozen(None, at), 240),
        (None, frozen(None, at), 200),
        (Some(60), frozen(Some(100), None), 240),
    ] {
        let freeze_duration_ms = planned.map(|m: i64| m * MINUTE);
        c.fact(Fact::Config(event(), EventConfigured { freeze_duration_ms, ..config() })).fact(fact);
        let b = Board::of(&c);
        assert_eq!(b.header().freeze_ms, Some(freeze * MINUTE));
        assert_eq!(b.score("a").0, u32::from(freeze > 230));
    }
}

#[test]
fn an_extension_moves_end_and_freeze() {
    let mut c = contest();
    judged(&mut c, "a", "P", 250 * MINUTE, "AC");
    judged(&mut c, "b", "P", 310 * MINUTE, "AC");
    let extended = |minutes: Option<i64>| {
        Fact::Extension(event(), EventExtended { duration_ms: minutes.map(|m| m * MINUTE), reason: None })
    };
    let b = Board::of(c.fact(extended(Some(330))));
    assert_eq!((b.header().duration_ms, b.header().freeze_ms), (Some(330 * MINUTE), Some(270 * MINUTE)));
    assert_eq!((b.score("a").0, b.cell("b", "P").pending), (1, 1));
    let b = Board::of(c.fact(extended(None)));
    assert_eq!((b.score("a").0, b.cell("a", "P").pending, b.row("b").cells.len()), (0, 1, 0));
}

#[test]
fn the_clock_stands_in_for_a_contest_time() {
    let mut c = contest();
    let submission = |time_ms| Submission {
        event: event(),
        submission: "1".into(),
        team: "a".into(),
        problem: "P".into(),
        contest_time_ms: None,
        time_ms,
        ..Submission::default()
    };
    c.fact(Fact::Submission(submission(Some(START + 7 * MINUTE))));
    c.fact(Fact::Judgement(judgement("j", "1", "AC", 0)));
    assert_eq!(Board::of(&c).score("a"), (1, 7));
    c.fact(Fact::Config(event(), EventConfigured { start_at: Some(START + 2 * MINUTE), ..config() }));
    assert_eq!(Board::of(&c).score("a"), (1, 7), "the start that came, not the planned one");
    c.fact(Fact::Moment(event(), MomentKind::Started, Moment::default()));
    let b = Board::of(&c);
    assert_eq!((b.score("a"), b.row("a").last_scored_at_ms), ((1, 5), START + 7 * MINUTE), "the planned one");
    c.fact(Fact::Submission(submission(None)));
    assert_eq!(Board::of(&c).row("a").cells, []);
}

#[test]
fn a_solve_in_the_freeze_is_first_for_judges_only() {
    let mut c = contest();
    judged(&mut c, "a", "P", 245 * MINUTE, "AC");
    let b = Board::of(&c);
    assert_eq!((b.firsts(View::Public).len(), b.firsts(View::Jury)["P"].team.as_str()), (0, "a"));
}

#[test]
fn extreme_times_do_no_harm() {
    let mut c = contest();
    c.fact(Fact::Config(event(), EventConfigured { duration_ms: None, penalty_ms: Some(i64::MAX), ..config() }));
    c.fact(Fact::Moment(event(), MomentKind::Started, Moment { at: Some(i64::MIN), contest_time_ms: None }));
    c.fact(Fact::Moment(event(), MomentKind::Frozen, Moment { at: Some(i64::MAX), contest_time_ms: None }));
    judged(&mut c, "a", "P", 0, "WA");
    judged(&mut c, "a", "P", i64::MAX - 1, "AC");
    judged(&mut c, "a", "Q", i64::MIN, "AC");
    let b = Board::of(&c);
    assert_eq!(b.said.iter().filter(|s| matches!(s, Said::Error(..))).count(), 0);
    assert_eq!(b.row("a").solved, 1);
}
