//! What a submission's score is explained by, for everybody, for its team, for another team, for judges.

use std::collections::BTreeMap;

use gravity_events::Id;
use gravity_events::body::*;
use gravity_events::query::{Asker, ScoreExplained};
use gravity_operators::boards::explain::explain;
use gravity_operators::boards::facts::{EventKey, Judgement, Outcome, RubricText, Submission};
use gravity_operators::harness::boards::Fact;

const HOUR_MS: i64 = 3_600_000;

fn event() -> EventKey {
    EventKey::new("t", "e")
}

/// An event of two hours, the second of them frozen, with a submission by each team in each hour.
fn facts(config: EventConfigured, measures: &[(&str, i64)]) -> Vec<Fact> {
    let rubric = r#"{"rubric":"r","version":1,"dimensions":[{"dimension":"quality","weight_bp":10000,"operator":"measure","parameters":{"measure":"public"}}]}"#;
    let config = EventConfigured {
        start_at: Some(0),
        duration_ms: Some(2 * HOUR_MS),
        freeze_duration_ms: Some(HOUR_MS),
        ..config
    };
    let mut facts = vec![
        Fact::Config(event(), config),
        Fact::Problem(event(), ProblemPublished { problem: "p".into(), ..Default::default() }),
        Fact::Rubric(event(), "r".into(), 1, RubricText(rubric.into())),
    ];
    for (team, hidden) in [("a", false), ("b", false), ("h", true)] {
        let registered = TeamRegistered { team: team.into(), name: team.into(), hidden, ..Default::default() };
        facts.push(Fact::Team(event(), registered));
        for hour in 0..2 {
            let submission = Id::from(format!("{team}{hour}"));
            facts.push(Fact::Submission(Submission {
                event: event(),
                submission: submission.clone(),
                team: team.into(),
                problem: "p".into(),
                contest_time_ms: Some(hour * HOUR_MS + 1),
                ..Submission::default()
            }));
            facts.push(Fact::Judgement(Judgement {
                event: event(),
                judgement: submission.clone(),
                submission,
                judgement_type: Some("AC".into()),
                current: true,
                outcome: Outcome::of(
                    &[],
                    &measures.iter().map(|(name, n)| ((*name).into(), *n)).collect::<BTreeMap<_, _>>(),
                ),
                ..Judgement::default()
            }));
        }
    }
    facts
}

fn ask(facts: &[Fact], submission: &str, asker: &Asker) -> Option<ScoreExplained> {
    explain(&event(), facts, &submission.into(), asker).ok()
}

#[test]
fn a_team_sees_its_own_verdict_in_a_freeze_and_each_step() {
    let facts = facts(EventConfigured { scoring: Scoring::Rubric, ..Default::default() }, &[("public", 4_000)]);
    let (own, other) = (Asker::Team("a".into()), Asker::Team("b".into()));
    let steps = |said: &ScoreExplained| said.dimensions.iter().map(|d| d.steps.len()).sum::<usize>();
    for (asker, state, has_steps) in [
        (&Asker::Everybody, "hidden", false),
        (&other, "hidden", false),
        (&own, "does_not_count", true),
        (&Asker::Jury, "does_not_count", true),
    ] {
        // Of equal ones the earliest counts, so the one in the freeze does not.
        let frozen = ask(&facts, "a1", asker).expect("an answer");
        assert_eq!((frozen.state, steps(&frozen) > 0), (state, has_steps), "{asker:?}: {frozen:?}");
        assert_eq!(frozen.verdict.is_some(), has_steps);
        let before = ask(&facts, "a0", asker).expect("an answer");
        assert_eq!((before.state, before.score), ("counts", Some(40_000_000)), "{asker:?}");
        assert_eq!(steps(&before) > 0, has_steps, "what was measured is the team's own affair: {asker:?}");
    }
    // A hidden team exists for itself and for judges.
    let hidden = |asker: &Asker| ask(&facts, "h0", asker).is_some();
    assert!(!hidden(&Asker::Everybody) && !hidden(&own));
    assert!(hidden(&Asker::Team("h".into())) && hidden(&Asker::Jury));
}

#[test]
fn a_private_split_is_told_to_no_team() {
    let facts =
        facts(EventConfigured { scoring: Scoring::Kaggle, ..Default::default() }, &[("public", 7), ("private", 5)]);
    let why = |asker: &Asker| ask(&facts, "a0", asker).expect("an answer").why;
    assert_eq!(why(&Asker::Team("a".into())), "public split 7");
    assert_eq!(why(&Asker::Jury), "public split 7, private split 5");
}
