//! Two histories that differ in hidden things only give the same public boards, epoch by epoch (invariant 8).

use gravity_events::board::View;
use gravity_events::body::Scoring;
use gravity_operators::boards::fact::Fact;
use gravity_operators::boards::facts::MomentKind;
use gravity_operators::harness::boards::{BoardScript, changes};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::run::{Epoch, Run};

use super::{histories, view};

const EVENTS: u64 = 40;

/// Changes what the public may not know of: verdicts and outcomes of submissions after the freeze, the private split
/// before the thaw, corrections made in the freeze, teams that were never shown.
fn disturb(dice: &mut Dice, fact: &Fact, now: &BoardScript) -> Fact {
    let mut fact = fact.clone();
    let frozen_from = 240 * histories::MINUTE;
    match &mut fact {
        Fact::Judgement(j) => {
            let of = |f: &Fact| match f {
                Fact::Submission(s) if (&s.event, &s.submission) == (&j.event, &j.submission) => s.contest_time_ms,
                _ => None,
            };
            let at_ms = now.now().values().find_map(of);
            if at_ms.is_some_and(|at| at >= frozen_from) {
                j.judgement_type = Some((*dice.pick(&["AC", "WA", "CE", "JE"])).into());
                j.outcome = histories::outcome(dice);
            } else if let Some(outcome) = &j.outcome {
                let mut outcome = (**outcome).clone();
                outcome.measures.insert("private".into(), dice.below(1_000) as i64);
                j.outcome = Some(outcome.into());
            }
        }
        Fact::Correction(c) if !c.visible_now && c.time_ms.is_none_or(|at| at >= histories::START + frozen_from) => {
            c.points = dice.below(100) as i64;
            c.penalty_min = dice.below(100) as i64;
        }
        Fact::Vote(v) if v.time_ms.is_none_or(|at| at >= histories::START + frozen_from) => {
            v.team = (*dice.pick(&["t1", "t2", "t3", "secret"])).into();
            v.over = (*dice.pick(&["t1", "t4", "t5", "secret"])).into();
        }
        Fact::Vote(v) if v.team == "secret" => v.over = (*dice.pick(&["t1", "t2", "t3"])).into(),
        Fact::Submission(s) if s.team == "secret" => s.problem = (*dice.pick(&["p1", "p2", "p3"])).into(),
        _ => {}
    }
    fact
}

/// Keeps histories to what this test is about: a freeze at 240 of 300 minutes that is never lifted, submissions that do
/// not change (a moved one would show), verdicts that come after their submissions.
fn fits(fact: &Fact, script: &BoardScript) -> bool {
    match fact {
        Fact::Config(..) | Fact::Extension(..) | Fact::Moment(_, MomentKind::Thawed | MomentKind::Started, _) => false,
        Fact::Moment(_, MomentKind::Frozen, _) => false,
        Fact::Submission(_) => !script.now().contains_key(&fact.key()),
        Fact::Judgement(j) => script.now().values().any(|f| {
            matches!(f, Fact::Submission(s) if (&s.event, &s.submission) == (&j.event, &j.submission) && s.contest_time_ms.is_some())
        }),
        _ => true,
    }
}

fn public(epochs: &[Epoch<gravity_operators::harness::boards::Said>]) -> Vec<Vec<String>> {
    let of_public = |epoch: &Epoch<_>| {
        let public = changes(epoch).into_iter().filter(|(((view, _), _), _)| *view == View::Public);
        public.map(|change| format!("{change:?}")).collect()
    };
    epochs.iter().map(of_public).collect()
}

fn leaves_no_trace(scoring: Scoring) {
    for seed in 0..6 {
        let mut dice = Dice::new(seed << 8 | scoring as u64);
        let mut other = Dice::new(seed + 1_000);
        let (mut plain, mut disturbed) = (BoardScript::default(), BoardScript::default());
        for event in 0..EVENTS {
            let mut first = BoardScript::default();
            histories::set_up(&mut dice, &mut first, event, scoring);
            for fact in first.now().values() {
                let fact = match fact.clone() {
                    Fact::Config(e, mut c) => {
                        c.duration_ms = Some(300 * histories::MINUTE);
                        c.freeze_duration_ms = Some(60 * histories::MINUTE);
                        c.start_at = Some(histories::START);
                        c.rules.removed_intervals.clear();
                        Fact::Config(e, c)
                    }
                    Fact::Judgement(_) => continue,
                    fact => fact,
                };
                plain.fact(fact.clone());
                disturbed.fact(fact);
            }
        }
        plain.end_epoch();
        disturbed.end_epoch();
        for _ in 0..12 {
            for event in 0..EVENTS {
                for _ in 0..dice.below(8) {
                    let mut one = BoardScript::default();
                    histories::edit(&mut dice, &mut one, event, scoring);
                    for fact in one.now().values() {
                        if fits(fact, &plain) {
                            let hidden = disturb(&mut other, fact, &plain);
                            plain.fact(fact.clone());
                            disturbed.fact(hidden);
                        }
                    }
                }
            }
            plain.end_epoch();
            disturbed.end_epoch();
        }
        assert_ne!(plain.epochs(), disturbed.epochs(), "nothing hidden was changed");
        let run = |script: &BoardScript| Run::workers(1).drive(script.epochs(), view);
        let (a, b) = (run(&plain), run(&disturbed));
        assert_eq!(public(&a), public(&b), "seed {seed}: the public sees something that it may not");
        assert_ne!(a, b, "judges see what was changed");
    }
}

#[test]
fn of_every_kind_of_board() {
    for scoring in [Scoring::Icpc, Scoring::Ctf, Scoring::Ioi, Scoring::Kaggle, Scoring::Rubric] {
        leaves_no_trace(scoring);
    }
}
