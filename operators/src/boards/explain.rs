//! Why a submission has the score that it has, in words, for whoever asks about it. Goes by the same functions as the
//! boards, over the facts of one event.

use gravity_events::Id;
use gravity_events::body::{Scoring, Selection};
use gravity_events::query::{Asker, DimensionExplained, QueryError, ScoreExplained};

use super::attempts::{Attempt, attempt};
use super::fact::Fact;
use super::facts::{EventKey, GroupResult, Judgement, RejudgingState, Submission};
use super::panel::{Place, places_of};
use super::rules::{Effect, Rules};
use super::score::{Counted, chosen, counted, explain as explain_dimensions, is_hidden, with_places};
use super::visible::{PRIVATE_SPLIT, Sight};
use crate::primitives::id_hash::IdHash;
use crate::primitives::natural::NaturalId;

/// Explains a submission of an event from its facts, as far as the asker may know them.
pub fn explain(event: &EventKey, facts: &[Fact], id: &Id, asker: &Asker) -> Result<ScoreExplained, QueryError> {
    let unknown = || QueryError::UnknownSubmission { event: event.event.clone(), submission: id.clone() };
    let rules = Rules::of(facts).ok_or_else(|| QueryError::UnknownEvent(event.event.clone()))?;
    let submissions = facts.iter().filter_map(|f| if let Fact::Submission(s) = f { Some(s) } else { None });
    let asked = submissions.clone().find(|s| s.submission == *id).ok_or_else(unknown)?;
    let is_own = matches!(asker, Asker::Team(team) if *team == asked.team);
    if *asker != Asker::Jury && !is_own && !is_shown(&rules, facts, &asked.team) {
        return Err(unknown());
    }
    let of_team = submissions.filter(|s| (&s.team, &s.problem) == (&asked.team, &asked.problem));
    let attempts: Vec<(Attempt, Option<Id>)> = of_team.map(|s| current(facts, s)).collect();
    let selected: Vec<NaturalId> = facts
        .iter()
        .filter_map(|f| match f {
            Fact::Selection(_, submission, team) if *team == asked.team => Some(NaturalId(submission.clone())),
            _ => None,
        })
        .collect();
    let sight = match asker {
        Asker::Jury => Sight::jury(&rules),
        Asker::Team(_) if is_own => Sight::own(&rules),
        Asker::Team(_) | Asker::Everybody => Sight::public(&rules),
    };
    let asked_id = NaturalId(id.clone());
    let (asked_attempt, judgement) = attempts.iter().find(|(a, _)| a.submission == asked_id).ok_or_else(unknown)?;
    let contest_time_ms = rules.contest_time_ms(asked_attempt.when);
    let mut said = ScoreExplained {
        event: event.event.clone(),
        submission: id.clone(),
        team: asked.team.clone(),
        problem: asked.problem.clone(),
        contest_time_ms,
        state: "does_not_count",
        rubric: rules.header.rubric.clone(),
        ..ScoreExplained::default()
    };
    let Some(at_ms) = contest_time_ms else {
        said.why = "nobody said when it was handed in".into();
        return Ok(said);
    };
    if !rules.in_contest(at_ms) {
        said.why = "it was handed in outside the event's time".into();
        return Ok(said);
    }
    if rules.place(IdHash::from(&asked.problem)).is_none() {
        said.why = format!("the event has no problem `{}`", asked.problem);
        return Ok(said);
    }
    if sight.hides(at_ms) {
        said.state = "hidden";
        said.why = "it was handed in after the freeze; its verdict is told at the thaw".into();
        return Ok(said);
    }
    let effect = sight.effect(at_ms, asked_attempt);
    if effect == Effect::Pending {
        said.state = "pending";
        said.why = "it is not judged yet".into();
        return Ok(said);
    }
    said.judgement.clone_from(judgement);
    said.verdict = judgement.as_ref().and_then(|j| verdict(facts, j));
    let plain: Vec<&Attempt> = attempts.iter().map(|(a, _)| a).collect();
    let counted = counted(&rules, &plain);
    let selected: Vec<&NaturalId> = selected.iter().collect();
    let told = Told { rules: &rules, sight, at_ms, effect, attempt: asked_attempt };
    match rules.header.scoring {
        Scoring::Icpc | Scoring::Ctf => told.solve(&counted, &mut said),
        Scoring::Ioi => told.subtasks(&mut said),
        Scoring::Kaggle => told.splits(&selected, &mut said),
        Scoring::Rubric => {
            let all = places_of(&rules, facts);
            let places: Vec<&Place> = all.iter().filter(|(team, _)| *team == asked.team).map(|(_, p)| p).collect();
            told.dimensions((&selected, &places), &counted, &mut said);
        }
    }
    if *asker != Asker::Jury && !is_own {
        // What was measured of a team's work is its own affair.
        said.dimensions.iter_mut().for_each(|d| d.steps.clear());
    }
    Ok(said)
}

fn is_shown(rules: &Rules, facts: &[Fact], team: &Id) -> bool {
    let team = facts.iter().find_map(|f| match f {
        Fact::Team(_, t) if t.team == *team => Some(t),
        _ => None,
    });
    team.is_some_and(|t| {
        let on_board = rules.main_group.as_ref().is_none_or(|main| t.groups.contains(main));
        on_board && !is_hidden(rules, t)
    })
}

fn current(facts: &[Fact], submission: &Submission) -> (Attempt, Option<Id>) {
    let is_applied = |rejudging: &Id| {
        facts.iter().any(|f| matches!(f, Fact::Rejudging(_, r, RejudgingState::Applied) if r == rejudging))
    };
    let of_submission = |f: &Fact| match f {
        Fact::Judgement(j) if j.submission == submission.submission => Some(j.clone()),
        _ => None,
    };
    let judgements: Vec<Judgement> = facts.iter().filter_map(of_submission).collect();
    attempt(submission.clone(), judgements, &is_applied)
}

fn verdict(facts: &[Fact], judgement: &Id) -> Option<Id> {
    facts.iter().find_map(|f| match f {
        Fact::Judgement(j) if j.judgement == *judgement => j.judgement_type.clone(),
        _ => None,
    })
}

/// What may be told of a judged submission.
struct Told<'a> {
    rules: &'a Rules,
    sight: Sight<'a>,
    at_ms: i64,
    effect: Effect,
    attempt: &'a Attempt,
}

impl Told<'_> {
    fn solve(&self, counted: &[Counted<'_>], said: &mut ScoreExplained) {
        let accepted = |(at_ms, a): &&Counted<'_>| self.sight.effect(*at_ms, a) == Effect::Accepted;
        let first = counted.iter().find(accepted).map(|(at_ms, a)| (*at_ms, &a.submission));
        let here = (self.at_ms, &self.attempt.submission);
        let (minute, penalty) = (self.at_ms / 60_000, self.rules.header.penalty_min);
        match (self.effect, first) {
            (Effect::Accepted, Some(first)) if first == here => {
                let rejected = counted.iter().filter(|(at_ms, a)| {
                    (*at_ms, &a.submission) < here && self.sight.effect(*at_ms, a) == Effect::Rejected
                });
                said.state = "counts";
                said.why = match self.rules.header.scoring {
                    Scoring::Icpc => {
                        let n = rejected.count() as i64;
                        let sum = minute.saturating_add(n.saturating_mul(penalty));
                        format!(
                            "it solves the problem at minute {minute}, after {n} rejected: {minute} + {n} x {penalty} = {sum} minutes of penalty"
                        )
                    }
                    _ => "it solves the challenge; what that is worth depends on how many teams solve it".into(),
                };
            }
            (_, Some(first)) if first < here => said.why = "the problem was solved before".into(),
            (Effect::Rejected, Some(_)) => {
                said.state = "counts";
                said.why = format!("it was rejected before the problem was solved: {penalty} minutes of penalty");
            }
            (Effect::Rejected, None) => {
                said.state = "counts";
                said.why = format!("it was rejected: {penalty} minutes of penalty once the problem is solved");
            }
            _ => said.why = "its verdict leaves no trace".into(),
        }
    }

    fn subtasks(&self, said: &mut ScoreExplained) {
        let groups = self.sight.outcome(self.at_ms, self.attempt).map_or(&[][..], |o| &o.groups);
        let points = |g: &GroupResult| g.points.unwrap_or(i64::from(g.passed));
        said.state = "counts";
        said.score = Some(groups.iter().map(points).fold(0, i64::saturating_add));
        let list: Vec<String> = groups.iter().map(|g| format!("{} {}", g.group, points(g))).collect();
        said.why = if list.is_empty() { "no subtask was scored".into() } else { list.join(", ") };
    }

    fn splits(&self, selected: &[&NaturalId], said: &mut ScoreExplained) {
        let measures = self.sight.outcome(self.at_ms, self.attempt).map(|o| &o.measures);
        said.state = "counts";
        said.score = measures.and_then(|m| m.get("public").copied());
        let private = measures.and_then(|m| m.get(PRIVATE_SPLIT)).filter(|_| self.sight.private());
        let mut why = said.score.map_or("no public score".into(), |s| format!("public split {s}"));
        if let Some(private) = private {
            why.push_str(&format!(", private split {private}"));
        }
        if selected.contains(&&self.attempt.submission) {
            why.push_str(", selected by the team");
        }
        said.why = why;
    }

    fn dimensions(
        &self,
        (selected, places): (&[&NaturalId], &[&Place]),
        counted: &[Counted<'_>],
        said: &mut ScoreExplained,
    ) {
        let Some(rubric) = &self.rules.rubric else {
            said.why = "the event has no sound rubric".into();
            return;
        };
        if self.effect == Effect::Nothing {
            said.why = "its verdict leaves no trace".into();
            return;
        }
        let known: Vec<&Place> = places.iter().copied().filter(|p| p.view == self.sight.places_of()).collect();
        let outcome = with_places(self.sight.outcome(self.at_ms, self.attempt), &known).unwrap_or_default();
        let explained = explain_dimensions(rubric, &outcome);
        said.score = Some(explained.iter().map(|e| i64::from(e.weight_bp) * e.score_bp.unwrap_or(0)).sum());
        said.dimensions = explained
            .into_iter()
            .map(|e| DimensionExplained {
                dimension: e.dimension,
                weight_bp: e.weight_bp,
                operator: e.operator,
                score_bp: e.score_bp,
                steps: e.steps,
            })
            .collect();
        let choices = chosen(self.rules, self.sight, (selected, places), counted);
        let counts = choices.iter().any(|(_, choice)| choice.attempt.submission == self.attempt.submission);
        let rule = match self.rules.board.selection {
            Selection::Best => "the best submission to a problem counts, of equal ones the earliest",
            Selection::Last => "the last judged submission to a problem counts",
            Selection::Chosen => "the last submission that the team chose counts",
        };
        said.state = if counts { "counts" } else { "does_not_count" };
        said.why = rule.into();
    }
}
