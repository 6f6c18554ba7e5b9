//! Teams, groups, problems, organizations: late, hidden, gone.

use super::super::random::MINUTE;
use super::contest::*;

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
