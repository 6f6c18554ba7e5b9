//! An operator that panics: the row is what the team's other submissions give, says since when it is stale, and the error is
//! kept with what the operator was given. Nobody else notices.

use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_events::board::{BoardKey, BoardRow, BoardValue, View};
use gravity_events::body::*;
use gravity_operators::boards::fact::board_facts;
use gravity_operators::boards::facts::{EventKey, Judgement, Outcome, Rows, RubricText, Submission};
use gravity_operators::boards::score::score_team;
use gravity_operators::boards::view::boards_with;
use gravity_operators::harness::boards::{BoardScript, Fact, Said, everything};
use gravity_operators::harness::oracle::accumulate;
use gravity_operators::harness::run::Run;
use gravity_operators::scoring::explain::Explain;
use gravity_operators::scoring::operator::Scorer;

/// Half of what was measured, unless that is odd.
#[derive(Debug)]
struct Fragile;

impl Scorer for Fragile {
    fn score(&self, outcome: &Outcome, _: &mut Explain) -> Option<i64> {
        let quality = *outcome.measures.get("quality")?;
        assert!(quality % 2 == 0, "{quality} is odd");
        Some(quality / 2)
    }
}

/// The board's view, with an operator that no catalogue has in the place of the rubric's first.
fn fragile(rows: Rows<'_, Fact>) -> Rows<'_, Said> {
    everything(boards_with(board_facts(rows), |rules, team, attempts| {
        let mut rules = rules.clone();
        rules.rubric = rules.rubric.map(|rubric| rubric.with_scorer("quality", Arc::new(Fragile)));
        score_team(&rules, team, attempts)
    }))
}

fn event() -> EventKey {
    EventKey::new("t", "e")
}

fn board(selection: Selection) -> BoardScript {
    let mut script = BoardScript::default();
    let rules = BoardRules { selection, ..BoardRules::default() };
    let config = EventConfigured { scoring: Scoring::Rubric, start_at: Some(0), rules, ..EventConfigured::default() };
    let rubric = r#"{"rubric":"r","version":1,"dimensions":[{"dimension":"quality","weight_bp":10000,"operator":"measure","parameters":{"measure":"quality"}}]}"#;
    script
        .fact(Fact::Config(event(), config))
        .fact(Fact::Problem(event(), ProblemPublished { problem: "p".into(), ..Default::default() }))
        .fact(Fact::Rubric(event(), "r".into(), 1, RubricText(rubric.into())));
    for team in ["a", "b"] {
        let team = TeamRegistered { team: team.into(), name: team.into(), ..Default::default() };
        script.fact(Fact::Team(event(), team));
    }
    script
}

fn submit(script: &mut BoardScript, team: &str, minute: i64, quality: i64) {
    let submission = format!("{team}{minute}");
    script.fact(Fact::Submission(Submission {
        event: event(),
        submission: submission.as_str().into(),
        team: team.into(),
        problem: "p".into(),
        contest_time_ms: Some(minute * 60_000),
        ..Submission::default()
    }));
    script.fact(Fact::Judgement(Judgement {
        event: event(),
        judgement: submission.as_str().into(),
        submission: submission.as_str().into(),
        judgement_type: Some("AC".into()),
        current: true,
        outcome: Outcome::of(&[], &BTreeMap::from([("quality".into(), quality)])),
        ..Judgement::default()
    }));
}

fn row(said: &[Said], of: &str) -> BoardRow {
    let mut rows = said.iter().filter_map(|said| match said {
        Said::Change(View::Public, BoardKey::Row { team, .. }, value) if team == of => match &**value {
            BoardValue::Row(row) => Some((**row).clone()),
            _ => None,
        },
        _ => None,
    });
    rows.next_back().unwrap_or_else(|| panic!("{of} has a row"))
}

fn errors(said: &[Said]) -> Vec<(String, String)> {
    let error = |said: &Said| match said {
        Said::Error(_, team, text) => Some((team.to_string(), text.clone())),
        _ => None,
    };
    said.iter().filter_map(error).collect()
}

#[test]
fn the_best_of_the_others_stays_and_says_since_when_it_is_stale() {
    let mut script = board(Selection::Best);
    submit(&mut script, "a", 1, 4_000);
    submit(&mut script, "b", 2, 6_000);
    script.end_epoch();
    submit(&mut script, "a", 3, 8_001);
    submit(&mut script, "b", 4, 8_000);
    script.end_epoch();
    submit(&mut script, "a", 5, 7_000);
    script.end_epoch();
    // The evaluator measures again.
    submit(&mut script, "a", 3, 8_002);
    script.end_epoch();
    for workers in 1..=3 {
        let after: Vec<Vec<Said>> = accumulate(&Run::workers(workers).drive(script.epochs(), fragile));
        let points = |epoch: usize, team: &str| row(&after[epoch], team).points.expect("points");
        let score = |epoch, team| points(epoch, team).dimensions[0].1;
        assert_eq!((score(0, "a"), score(0, "b")), (Some(2_000), Some(3_000)));
        assert_eq!((score(1, "a"), points(1, "a").stale_since_ms), (Some(2_000), Some(180_000)));
        assert_eq!((score(1, "b"), points(1, "b").stale_since_ms), (Some(4_000), None), "the others go on");
        let text = "`measure` failed at submission `a3`: 8001 is odd; it was given {\"groups\":[],\"measures\":{\"quality\":8001}}";
        assert_eq!(errors(&after[1]), [("a".to_owned(), text.to_owned())]);
        assert_eq!((score(2, "a"), points(2, "a").stale_since_ms), (Some(3_500), Some(180_000)));
        assert_eq!((score(3, "a"), points(3, "a").stale_since_ms), (Some(4_001), None));
        assert_eq!(errors(&after[3]), []);
    }
}

#[test]
fn where_the_last_one_counts_its_dimension_is_pending() {
    let mut script = board(Selection::Last);
    submit(&mut script, "a", 1, 4_000);
    submit(&mut script, "a", 2, 4_001);
    script.end_epoch();
    let after = accumulate(&Run::workers(2).drive(script.epochs(), fragile));
    let points = row(&after[0], "a").points.expect("points");
    assert_eq!((points.dimensions[0].1, points.score, points.stale_since_ms), (None, 0, Some(120_000)));
}
