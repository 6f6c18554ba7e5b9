//! The rules by hand: small contests with computed results.

use std::collections::BTreeMap;

use gravity_events::Id;
use gravity_events::board::{BoardHeader, BoardKey, BoardRow, BoardValue, Cell, FirstSolve, View};
use gravity_events::body::{
    EventConfigured, EventExtended, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered,
    ProblemPublished, TeamRegistered,
};
use gravity_operators::boards::facts::{EventKey, Judgement, MomentKind, RejudgingState, Submission};
use gravity_operators::harness::boards::{BoardScript, Fact, Said};
use gravity_operators::harness::oracle::accumulate;
use gravity_operators::harness::run::Run;

use super::random::{MINUTE, START};
use super::view;

fn event() -> EventKey {
    EventKey::new("t", "e")
}

fn config() -> EventConfigured {
    EventConfigured {
        duration_ms: Some(300 * MINUTE),
        freeze_duration_ms: Some(60 * MINUTE),
        penalty_ms: Some(20 * MINUTE),
        ..Default::default()
    }
}

fn moment(script: &mut BoardScript, kind: MomentKind, minute: i64) {
    let at = Some(START + minute * MINUTE);
    script.fact(Fact::Moment(event(), kind, Moment { at, contest_time_ms: None }));
}

/// A contest of five hours, frozen in the last, with problems P and Q and teams a and b.
fn contest() -> BoardScript {
    let mut script = BoardScript::default();
    script.fact(Fact::Config(event(), config()));
    moment(&mut script, MomentKind::Started, 0);
    for (id, penalty, solved) in [("AC", false, true), ("WA", true, false), ("CE", false, false), ("JE", false, false)]
    {
        let (penalty, solved) = (Some(penalty), Some(solved));
        let t = JudgementTypePublished { judgement_type: id.into(), penalty, solved, ..Default::default() };
        script.fact(Fact::JudgementType(event(), t));
    }
    for (ordinal, id) in [(0, "P"), (1, "Q")] {
        let (problem, label) = (id.into(), id.to_owned());
        script.fact(Fact::Problem(event(), ProblemPublished { problem, label, ordinal, ..Default::default() }));
    }
    team(&mut script, "a", &[]);
    team(&mut script, "b", &[]);
    script
}

fn team(script: &mut BoardScript, id: &str, groups: &[&str]) {
    let groups = groups.iter().map(|g| Id::from(*g)).collect();
    script.fact(Fact::Team(event(), TeamRegistered { team: id.into(), name: id.into(), groups, ..Default::default() }));
}

fn group(script: &mut BoardScript, id: &str, hidden: bool) {
    let (group, name) = (id.into(), id.to_owned());
    script.fact(Fact::Group(event(), GroupRegistered { group, name, hidden, ..Default::default() }));
}

/// Hands in; `at` is h:mm:ss.mmm in milliseconds. Ids count up from 1.
fn submit(script: &mut BoardScript, team: &str, problem: &str, at: i64) -> Id {
    let known = script.now().values().filter(|f| matches!(f, Fact::Submission(_))).count();
    let submission: Id = (known + 1).to_string().into();
    let (team, problem) = (team.into(), problem.into());
    let id = submission.clone();
    script.fact(Fact::Submission(Submission {
        event: event(),
        submission,
        team,
        problem,
        contest_time_ms: Some(at),
        time_ms: None,
    }));
    id
}

fn judgement(id: &str, submission: &str, verdict: &str, at: i64) -> Judgement {
    Judgement {
        event: event(),
        judgement: id.into(),
        submission: submission.into(),
        judgement_type: Some(verdict.into()),
        start_ms: Some(at),
        end_ms: Some(at),
        current: true,
        rejudging: None,
    }
}

/// Hands in and judges at once.
fn judged(script: &mut BoardScript, team: &str, problem: &str, at: i64, verdict: &str) {
    let submission = submit(script, team, problem, at);
    script.fact(Fact::Judgement(judgement(&format!("j{submission}"), &submission, verdict, at)));
}

/// A whole board as it is once all facts of the script are in.
struct Board {
    said: Vec<Said>,
}

impl Board {
    fn of(script: &BoardScript) -> Self {
        let script = script.clone().end_epoch().epochs().to_vec();
        Board { said: accumulate(&Run::workers(1).drive(&script, view)).pop().expect("an epoch was closed") }
    }

    fn values(&self, view: View) -> impl Iterator<Item = (&BoardKey, &BoardValue)> {
        self.said.iter().filter_map(move |said| match said {
            Said::Change(v, key, value) if *v == view => Some((key, &**value)),
            _ => None,
        })
    }

    fn rows(&self, view: View) -> BTreeMap<&str, &BoardRow> {
        let rows = self.values(view).filter_map(|(key, value)| match (key, value) {
            (BoardKey::Row { team, .. }, BoardValue::Row(row)) => Some((team.as_str(), row)),
            _ => None,
        });
        rows.collect()
    }

    fn row(&self, team: &str) -> &BoardRow {
        self.rows(View::Public)[team]
    }

    fn cell(&self, team: &str, problem: &str) -> Cell {
        let cell = self.row(team).cells.iter().find(|c| c.problem == problem);
        cell.cloned().unwrap_or_else(|| Cell { problem: problem.into(), ..Default::default() })
    }

    fn firsts(&self, view: View) -> BTreeMap<&str, &FirstSolve> {
        let firsts = self.values(view).filter_map(|(key, value)| match (key, value) {
            (BoardKey::First { problem, .. }, BoardValue::First(first)) => Some((problem.as_str(), first)),
            _ => None,
        });
        firsts.collect()
    }

    fn header(&self) -> &BoardHeader {
        let mut headers = self.values(View::Public).filter_map(|(_, value)| match value {
            BoardValue::Header(header) => Some(header),
            _ => None,
        });
        headers.next().expect("a configured event has a header")
    }

    /// (solved, penalty) of a team on the public board.
    fn score(&self, team: &str) -> (u32, i64) {
        (self.row(team).solved, self.row(team).penalty)
    }
}

fn cell(problem: &str, judged: u32, pending: u32, solved_min: Option<i64>) -> Cell {
    Cell { problem: problem.into(), judged, pending, solved_min }
}

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
fn hidden_teams_and_the_main_group() {
    let mut c = contest();
    group(&mut c, "h", true);
    group(&mut c, "m", false);
    team(&mut c, "x", &["m", "h"]);
    team(&mut c, "z", &["m", "unknown"]);
    let y = TeamRegistered { team: "y".into(), hidden: true, ..Default::default() };
    c.fact(Fact::Team(event(), y));
    for (team, minute) in [("x", 1), ("y", 2), ("z", 3)] {
        judged(&mut c, team, "P", minute * MINUTE, "AC");
    }
    let b = Board::of(&c);
    assert_eq!(b.rows(View::Public).into_keys().collect::<Vec<_>>(), ["a", "b", "z"]);
    let hidden = b.rows(View::Jury).into_iter().map(|(team, row)| (team, row.hidden)).collect::<Vec<_>>();
    assert_eq!(hidden, [("a", false), ("b", false), ("x", true), ("y", true), ("z", false)]);
    assert_eq!((b.rows(View::Jury)["x"].solved, &b.rows(View::Jury)["x"].divisions[..]), (1, &["m".into()][..]));
    for view in [View::Public, View::Jury] {
        assert_eq!(b.firsts(view)["P"].team, "z");
    }
    assert_eq!(b.header().divisions.iter().map(|d| d.division.as_str()).collect::<Vec<_>>(), ["m"]);

    c.fact(Fact::Config(event(), EventConfigured { main_group: Some("m".into()), ..config() }));
    let b = Board::of(&c);
    assert_eq!(b.rows(View::Public).into_keys().collect::<Vec<_>>(), ["z"]);
    assert_eq!(b.rows(View::Jury).into_keys().collect::<Vec<_>>(), ["x", "z"]);
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
fn teams_and_problems_that_go_take_their_work_along() {
    let mut c = contest();
    judged(&mut c, "a", "P", 10 * MINUTE, "AC");
    judged(&mut c, "b", "P", 20 * MINUTE, "AC");
    let a = TeamRegistered { team: "a".into(), ..Default::default() };
    c.remove(&Fact::Team(event(), a).key());
    let b = Board::of(&c);
    assert_eq!(b.rows(View::Public).into_keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(b.firsts(View::Public)["P"].team, "b");
    let p = ProblemPublished { problem: "P".into(), ..Default::default() };
    c.remove(&Fact::Problem(event(), p).key());
    let b = Board::of(&c);
    assert_eq!((b.score("b"), b.firsts(View::Public).len()), ((0, 0), 0));
}

#[test]
fn late_reference_data() {
    let mut c = BoardScript::default();
    judged(&mut c, "a", "P", 10 * MINUTE, "AC");
    assert_eq!(Board::of(&c).said, [], "an event that is not configured has no board");
    c.fact(Fact::Config(event(), EventConfigured::default()));
    assert_eq!(Board::of(&c).rows(View::Jury).len(), 0);
    team(&mut c, "a", &[]);
    assert_eq!(Board::of(&c).row("a").cells, [], "the problem is unknown");
    c.fact(Fact::Problem(event(), ProblemPublished { problem: "P".into(), ..Default::default() }));
    assert_eq!(Board::of(&c).score("a"), (1, 10), "AC is known without having been published");
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

#[test]
fn a_solve_in_the_freeze_is_first_for_judges_only() {
    let mut c = contest();
    judged(&mut c, "a", "P", 245 * MINUTE, "AC");
    let b = Board::of(&c);
    assert_eq!((b.firsts(View::Public).len(), b.firsts(View::Jury)["P"].team.as_str()), (0, "a"));
}

#[test]
fn problems_names_and_organizations() {
    let mut c = contest();
    for (problem, label, ordinal) in [("p10", "A", 0), ("p9", "A", 0), ("z", "Z", -1)] {
        let (problem, label) = (problem.into(), label.to_owned());
        c.fact(Fact::Problem(event(), ProblemPublished { problem, label, ordinal, ..Default::default() }));
    }
    let a = TeamRegistered {
        team: "a".into(),
        name: "Name".into(),
        display_name: Some("Shown".into()),
        organization: Some("o".into()),
        ..Default::default()
    };
    c.fact(Fact::Team(event(), a.clone()));
    let b = Board::of(&c);
    assert_eq!((b.row("a").name.as_str(), &b.row("a").organization), ("Shown", &None));
    let o = OrganizationRegistered { organization: "o".into(), name: "Org".into(), ..Default::default() };
    c.fact(Fact::Organization(event(), o));
    c.fact(Fact::Team(event(), TeamRegistered { display_name: Some(String::new()), ..a }));
    let b = Board::of(&c);
    assert_eq!((b.row("a").name.as_str(), b.row("a").organization.as_deref()), ("Name", Some("Org")));
    let order: Vec<_> = b.header().problems.iter().map(|p| p.problem.as_str()).collect();
    assert_eq!(order, ["z", "p9", "p10", "P", "Q"]);
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
