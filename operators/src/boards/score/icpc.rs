//! Solved problems, then penalty (CLICS 2026-01, "Scoring Data Generation").

use std::sync::Arc;

use gravity_events::board::BoardRow;

use super::tally::Tally;
use super::{Counted, Sight, Team, ViewScore};

pub(super) fn score(sight: Sight<'_>, team: Team<'_>, mut row: BoardRow, counted: &[Counted<'_>]) -> ViewScore {
    let tally = Tally::of(sight, counted);
    tally.fill(&mut row);
    let by_judges = team.corrections.iter().filter(|c| sight.corrects(c)).map(|c| c.penalty_min);
    row.penalty = by_judges.fold(tally.penalty_min(), i64::saturating_add);
    ViewScore { row: Arc::new(row), solves: tally.solves, lacks_worth: false, faults: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use gravity_events::Id;
    use gravity_events::board::Cell;
    use gravity_events::body::{EventConfigured, GroupRegistered, Moment, ProblemPublished, TeamRegistered};

    use super::super::{TeamScore, score_team};
    use super::*;
    use crate::boards::attempts::{Attempt, When};
    use crate::boards::facts::MomentKind;
    use crate::boards::rules::Rules;
    use crate::harness::dice::Dice;
    use crate::primitives::id_hash::IdHash;

    const MINUTE: i64 = 60_000;

    /// Five hours, the last one frozen, two problems; `h` hides its teams.
    fn rules(thawed: bool) -> Rules {
        let config = EventConfigured {
            start_at: Some(1_000),
            duration_ms: Some(300 * MINUTE),
            freeze_duration_ms: Some(60 * MINUTE),
            main_group: Some("m".into()),
            ..Default::default()
        };
        let problem = |p: &str| ProblemPublished { problem: p.into(), label: p.into(), ..Default::default() };
        let group = GroupRegistered { group: "h".into(), hidden: true, ..Default::default() };
        let thaw = Moment { at: Some(0), contest_time_ms: None };
        let moment = |kind| (thawed && kind == MomentKind::Thawed).then(|| thaw.clone());
        Rules::new(&config, None, moment, vec![&problem("P"), &problem("Q")], &[], vec![&group], None)
    }

    fn team(groups: &[&str]) -> TeamRegistered {
        let groups = groups.iter().map(|g| Id::from(*g)).collect();
        TeamRegistered { team: "a".into(), name: "A".into(), groups, ..Default::default() }
    }

    fn attempt(submission: &str, problem: &str, minute: i64, verdict: &str) -> Attempt {
        let verdict = (!verdict.is_empty()).then(|| IdHash::of(verdict));
        let (when, problem) = (When::Contest(minute * MINUTE), IdHash::of(problem));
        Attempt { when, submission: submission.into(), problem, verdict, outcome: None }
    }

    fn score(thawed: bool, groups: &[&str], attempts: &[Attempt]) -> TeamScore {
        let (registered, attempts) = (&team(groups), attempts.iter().collect::<Vec<_>>());
        let team = Team { registered, organization: None, selected: &[], corrections: &[], places: &[] };
        score_team(&rules(thawed), team, &attempts)
    }

    #[test]
    fn views_share_a_score_until_something_is_hidden() {
        let mut attempts = vec![attempt("1", "P", 5, "WA"), attempt("2", "P", 9, "AC"), attempt("3", "P", 10, "")];
        let before = score(false, &["m"], &attempts);
        assert!(before.views_agree());
        let row = &before.jury.as_ref().expect("it is on the board").row;
        assert_eq!(
            (row.solved, row.penalty, row.last_solved_min, row.last_scored_at_ms),
            (1, 29, 9, 1_000 + 9 * MINUTE)
        );
        assert_eq!(row.cells, [Cell { problem: "P".into(), judged: 2, pending: 1, solved_min: Some(9), score: None }]);

        attempts.push(attempt("4", "Q", 240, "AC"));
        let frozen = score(false, &["m"], &attempts);
        let solved = |score: &Option<Rc<ViewScore>>| score.as_ref().map(|s| (s.row.solved, s.solves.len()));
        assert!(!frozen.views_agree());
        assert_eq!((solved(&frozen.public), solved(&frozen.jury)), (Some((1, 1)), Some((2, 2))));
        let thawed = score(true, &["m"], &attempts);
        assert_eq!((solved(&thawed.public), thawed.views_agree()), (Some((2, 2)), true));
    }

    #[test]
    fn hidden_teams_have_no_public_score_and_no_solves() {
        let hidden = score(false, &["m", "h"], &[attempt("1", "P", 5, "AC")]);
        let jury = hidden.jury.as_ref().expect("judges see it");
        assert_eq!((&hidden.public, jury.row.hidden, jury.row.solved, jury.solves.len()), (&None, true, 1, 0));
        assert_eq!(score(false, &["h"], &[]), TeamScore::default(), "outside the main group");
    }

    #[test]
    fn the_order_of_attempts_does_not_matter() {
        let mut dice = Dice::new(7);
        for _ in 0..50 {
            let mut attempts: Vec<Attempt> = (0..12)
                .map(|n| {
                    let (problem, verdict) = (*dice.pick(&["P", "Q", "?"]), *dice.pick(&["AC", "WA", "CE", "JE", ""]));
                    attempt(&n.to_string(), problem, dice.below(10) as i64 * 31, verdict)
                })
                .collect();
            attempts.sort();
            let sorted = score(false, &["m"], &attempts);
            for at in (1..attempts.len()).rev() {
                attempts.swap(at, dice.below(at as u64 + 1) as usize);
            }
            assert_eq!(score(false, &["m"], &attempts), sorted);
        }
    }

    #[test]
    fn a_hidden_verdict_changes_no_public_score() {
        let public = |verdict| score(false, &["m"], &[attempt("1", "P", 240, verdict)]).public;
        for verdict in ["AC", "WA", "CE", "JE"] {
            assert_eq!(public(verdict), public(""), "{verdict}");
        }
    }
}
