//! Penalty, sort keys, first solves.

use super::super::random::{MINUTE, START};
use super::contest::*;

#[test]
fn penalty_and_whole_minutes() {
    let mut c = contest();
    judged(&mut c, "a", "P", 59_999, "WA");
    judged(&mut c, "a", "P", 10 * MINUTE + 59_999, "CE");
    judged(&mut c, "a", "P", 60 * MINUTE, "AC");
    judged(&mut c, "a", "P", 61 * MINUTE, "WA");
    let b = Board::of(&c);
    assert_eq!(b.score("a"), (1, 80));
    assert_eq!(b.row("a").cells, [cell("P", 2, 0, Some(60))]);
    assert_eq!((b.row("a").last_solved_min, b.row("a").last_scored_at_ms), (60, START + 60 * MINUTE));
    assert_eq!((b.row("b").last_solved_min, b.row("b").last_scored_at_ms), (0, 0));
}

#[test]
fn unsolved_costs_nothing_and_outside_the_contest_does_not_count() {
    let mut c = contest();
    judged(&mut c, "a", "P", 10 * MINUTE, "WA");
    judged(&mut c, "a", "Q", 300 * MINUTE, "AC");
    judged(&mut c, "b", "Q", -1_000, "AC");
    let b = Board::of(&c);
    assert_eq!((b.score("a"), b.score("b")), ((0, 0), (0, 0)));
    assert_eq!((b.cell("a", "Q"), b.row("b").cells.len()), (cell("Q", 0, 0, None), 0));
}

#[test]
fn sort_keys_of_teams_that_share_a_rank() {
    let mut c = contest();
    team(&mut c, "c", &[]);
    for (team, problem, at, _) in [
        ("a", "P", 10 * MINUTE, ()),
        ("a", "Q", 30 * MINUTE, ()),
        ("b", "P", 20 * MINUTE, ()),
        ("b", "Q", 20 * MINUTE + 59_000, ()),
        ("c", "P", 20 * MINUTE + 30_000, ()),
        ("c", "Q", 20 * MINUTE, ()),
    ] {
        judged(&mut c, team, problem, at, "AC");
    }
    let b = Board::of(&c);
    let key = |team| (b.row(team).solved, b.row(team).penalty, b.row(team).last_solved_min);
    assert_eq!((key("a"), key("b"), key("c")), ((2, 40, 30), (2, 40, 20), (2, 40, 20)));
    let first = |submission: &str, team: &str, contest_time_ms| FirstSolve {
        team: team.into(),
        submission: submission.into(),
        contest_time_ms,
    };
    let firsts = b.firsts(View::Public);
    assert_eq!((firsts["P"], firsts["Q"]), (&first("1", "a", 10 * MINUTE), &first("6", "c", 20 * MINUTE)));
}

#[test]
fn penalty_in_whole_minutes() {
    for (penalty_ms, penalty) in [(Some(10 * MINUTE + 59_999), 10), (Some(0), 0), (None, 20)] {
        let mut c = contest();
        c.fact(Fact::Config(event(), EventConfigured { penalty_ms, ..config() }));
        judged(&mut c, "a", "P", MINUTE, "WA");
        judged(&mut c, "a", "P", 2 * MINUTE, "AC");
        let b = Board::of(&c);
        assert_eq!((b.score("a"), b.header().penalty_min), ((1, 2 + penalty), penalty));
    }
}

#[test]
fn first_to_solve_is_by_contest_time_then_natural_id() {
    let mut c = contest();
    submit(&mut c, "a", "P", MINUTE);
    for _ in 2..9 {
        judged(&mut c, "b", "Q", 0, "WA");
    }
    judged(&mut c, "a", "P", 2 * MINUTE, "AC");
    judged(&mut c, "b", "P", 2 * MINUTE, "AC");
    let b = Board::of(&c);
    assert_eq!(b.firsts(View::Public)["P"].submission, "9", "9 is less than 10, and a pending one does not count");
    c.fact(Fact::Judgement(judgement("late", "1", "AC", 200 * MINUTE)));
    assert_eq!(Board::of(&c).firsts(View::Public)["P"].submission, "1", "the earlier one, now that it is accepted");
}
