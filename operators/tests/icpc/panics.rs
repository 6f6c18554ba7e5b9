//! A scoring function that panics takes away its team's rows only, and says so.

use gravity_events::body::{EventConfigured, TeamRegistered};
use gravity_operators::boards::facts::{EventKey, Rows};
use gravity_operators::boards::score::score_team;
use gravity_operators::boards::view::boards_with;
use gravity_operators::harness::boards::{BoardScript, Fact, Said, board_facts, everything};
use gravity_operators::harness::oracle::accumulate;
use gravity_operators::harness::run::Run;

fn fragile(rows: Rows<'_, Fact>) -> Rows<'_, Said> {
    everything(boards_with(board_facts(rows), |rules, team, attempts| {
        assert!(team.registered.name != "trouble", "cannot score {}", team.registered.team);
        score_team(rules, team, attempts)
    }))
}

#[test]
fn a_panic_is_an_error_row_and_goes_with_its_cause() {
    let event = EventKey::new("t", "e");
    let team = |id: &str, name: &str| {
        Fact::Team(event.clone(), TeamRegistered { team: id.into(), name: name.into(), ..Default::default() })
    };
    let mut script = BoardScript::default();
    script
        .fact(Fact::Config(event.clone(), EventConfigured::default()))
        .fact(team("a", "fine"))
        .fact(team("b", "fine"));
    script.end_epoch().fact(team("b", "trouble")).end_epoch().fact(team("b", "fine")).end_epoch();
    let after = accumulate(&Run::workers(2).drive(script.epochs(), fragile));
    assert_eq!(after[0].len(), 2 + 4, "two headers, two rows in each view");
    let errors: Vec<_> = after[1].iter().filter(|s| matches!(s, Said::Error(..))).collect();
    assert_eq!(errors, [&Said::Error(event.clone(), "b".into(), "cannot score b".into())]);
    assert_eq!(after[1].len(), 2 + 2 + 1);
    assert_eq!(after[0], after[2]);
}
