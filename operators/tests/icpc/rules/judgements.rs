//! Which judgement of a submission is current.

use super::super::random::MINUTE;
use super::contest::*;

#[test]
fn compile_errors_are_not_judged() {
    let mut c = contest();
    judged(&mut c, "a", "P", 10 * MINUTE, "CE");
    assert_eq!(Board::of(&c).row("a").cells, []);
    judged(&mut c, "a", "P", 60 * MINUTE, "AC");
    assert_eq!(Board::of(&c).cell("a", "P"), cell("P", 1, 0, Some(60)));
}

#[test]
fn a_judging_error_is_pending_also_before_a_solve() {
    let mut c = contest();
    judged(&mut c, "a", "P", 10 * MINUTE, "JE");
    judged(&mut c, "a", "P", 20 * MINUTE, "AC");
    assert_eq!(Board::of(&c).cell("a", "P"), cell("P", 1, 1, Some(20)));
}

#[test]
fn the_current_judgement_and_deletes() {
    let mut c = contest();
    judged(&mut c, "a", "P", 10 * MINUTE, "AC");
    judged(&mut c, "a", "P", 5 * MINUTE, "WA");
    let k = Judgement { end_ms: Some(310 * MINUTE + 1), ..judgement("k", "1", "WA", 310 * MINUTE) };
    c.fact(Fact::Judgement(Judgement { current: false, ..k.clone() }));
    assert_eq!(Board::of(&c).score("a"), (1, 30));
    c.fact(Fact::Judgement(k.clone()));
    assert_eq!(Board::of(&c).score("a"), (0, 0));
    c.remove(&Fact::Judgement(k).key());
    assert_eq!(Board::of(&c).score("a"), (1, 30));
    let second = Submission { event: event(), submission: "2".into(), ..Default::default() };
    c.remove(&Fact::Submission(second).key());
    let b = Board::of(&c);
    assert_eq!(b.score("a"), (1, 10));
    assert!(b.said.contains(&Said::Orphans(event(), 1)), "its judgement is left without a submission");
}

#[test]
fn current_is_the_greatest_start_then_end_then_natural_id() {
    let at = |start_ms, end_ms, id: &str, verdict| Judgement { start_ms, end_ms, ..judgement(id, "1", verdict, 0) };
    for (later, why) in [
        (at(Some(9), Some(1), "j0", "AC"), "start before end"),
        (at(Some(5), Some(7), "j0", "AC"), "then end"),
        (at(Some(5), Some(6), "j10", "AC"), "then id by value"),
        (at(None, Some(6), "j0", "AC"), "end stands in for a start that is not there"),
    ] {
        let mut c = contest();
        submit(&mut c, "a", "P", 0);
        c.fact(Fact::Judgement(at(Some(5), Some(6), "j9", "WA"))).fact(Fact::Judgement(later));
        assert_eq!(Board::of(&c).score("a").0, 1, "{why}");
    }
}

#[test]
fn an_unfinished_rejudgement_keeps_the_verdict() {
    let mut c = contest();
    judged(&mut c, "a", "P", 10 * MINUTE, "AC");
    c.fact(Fact::Judgement(Judgement {
        judgement_type: None,
        end_ms: None,
        ..judgement("k", "1", "AC", 310 * MINUTE)
    }));
    assert_eq!(Board::of(&c).score("a"), (1, 10));
}

#[test]
fn a_rejudging_takes_effect_when_applied_and_all_at_once() {
    let mut c = contest();
    judged(&mut c, "a", "P", 10 * MINUTE, "AC");
    judged(&mut c, "b", "P", 20 * MINUTE, "WA");
    for (id, submission, verdict) in [("k1", "1", "WA"), ("k2", "2", "AC"), ("k3", "unknown", "AC")] {
        let rejudging = Some("r".into());
        c.fact(Fact::Judgement(Judgement { rejudging, ..judgement(id, submission, verdict, 100 * MINUTE) }));
    }
    use RejudgingState::*;
    for (state, a, b, first) in [
        (None, (1, 10), (0, 0), "a"),
        (Some(Opened), (1, 10), (0, 0), "a"),
        (Some(Applied), (0, 0), (1, 20), "b"),
        (Some(Cancelled), (1, 10), (0, 0), "a"),
    ] {
        if let Some(state) = state {
            c.fact(Fact::Rejudging(event(), "r".into(), state));
        }
        let board = Board::of(&c);
        assert_eq!((board.score("a"), board.score("b")), (a, b), "{state:?}");
        assert_eq!(board.firsts(View::Public)["P"].team, first);
        assert!(board.said.contains(&Said::Orphans(event(), 1)), "one is an orphan in every state");
    }
}

#[test]
fn unknown_types_reject_except_the_well_known() {
    for (verdict, judged_count, pending, solved) in
        [("AC", 1, 0, Some(1)), ("CE", 0, 0, None), ("JE", 0, 1, None), ("XYZ", 1, 0, None)]
    {
        let mut c = contest();
        let t = JudgementTypePublished { judgement_type: verdict.into(), ..Default::default() };
        c.remove(&Fact::JudgementType(event(), t).key());
        judged(&mut c, "a", "P", MINUTE, verdict);
        assert_eq!(Board::of(&c).cell("a", "P"), cell("P", judged_count, pending, solved), "{verdict}");
    }
}
