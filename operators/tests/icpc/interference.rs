//! A public board carries no bit of a hidden verdict: the same epochs change, by the same rows, whatever it is.

use gravity_events::board::View;
use gravity_events::body::{EventConfigured, Moment, TeamRegistered};
use gravity_operators::boards::facts::{EventKey, Judgement, MomentKind};
use gravity_operators::harness::boards::{BoardScript, Fact, Said, assert_one_row_per_key};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::run::{Epoch, Run};

use super::random::{self, MINUTE, START};
use super::view;

/// What the world is like: as it is, or with every hidden verdict another one, or none.
#[derive(Clone, Copy)]
enum World {
    Real,
    Flipped,
    Unjudged,
    NoJudgement,
}

/// How an event comes to be frozen from minute 200 on.
#[derive(Clone, Copy)]
enum Freeze {
    Planned,
    ByHand,
    Announced,
}

/// Submissions 1 to 30 never move, so that which of them are hidden is known: 11 to 20 come after the freeze, 21 to 30
/// are of the hidden team.
fn script(seed: u64, freeze: Freeze, world: World) -> BoardScript {
    let mut dice = Dice::new(seed);
    let mut script = BoardScript::default();
    let event = EventKey::new("t", "e");
    let duration_ms = Some(300 * MINUTE);
    let freeze_duration_ms = matches!(freeze, Freeze::Planned).then_some(100 * MINUTE);
    script.fact(Fact::Config(event.clone(), EventConfigured { duration_ms, freeze_duration_ms, ..Default::default() }));
    let moment = |at, contest_time_ms| Moment { at: Some(at), contest_time_ms };
    script.fact(Fact::Moment(event.clone(), MomentKind::Started, moment(START, None)));
    let (announced, by_hand) = (START + 200 * MINUTE, Some(200 * MINUTE));
    let frozen = match freeze {
        Freeze::Planned => None,
        Freeze::ByHand => Some(moment(START, by_hand)),
        Freeze::Announced => Some(moment(announced, None)),
    };
    if let Some(frozen) = frozen {
        script.fact(Fact::Moment(event.clone(), MomentKind::Frozen, frozen));
    }
    for n in 1..=5 {
        let team = TeamRegistered { team: format!("team{n}").into(), hidden: n == 5, ..Default::default() };
        script.fact(Fact::Team(event.clone(), team));
        script.fact(Fact::Problem(event.clone(), random::problem(&mut dice)));
    }
    for n in 1..=30u64 {
        let mut submission = random::submission(&mut dice, &event);
        let from = if n > 10 && n <= 20 { 200 } else { 0 };
        let at = from * MINUTE + dice.below(if from > 0 { 100 } else { 200 }) as i64 * MINUTE;
        (submission.contest_time_ms, submission.time_ms) = (Some(at), None);
        submission.submission = n.to_string().into();
        submission.team = if n > 20 { "team5".into() } else { format!("team{}", dice.below(4) + 1).into() };
        script.fact(Fact::Submission(submission));
    }
    script.end_epoch();
    for _ in 0..60 {
        for _ in 0..dice.below(9) {
            let fact = match dice.below(100) {
                0..4 => Fact::JudgementType(event.clone(), random::judgement_type(&mut dice)),
                4..8 => Fact::Problem(event.clone(), random::problem(&mut dice)),
                8..12 => random::fact(&mut dice, &event),
                _ => Fact::Judgement(random::judgement(&mut dice, &event)),
            };
            match fact {
                Fact::Judgement(j) => judge(&mut script, world, j),
                // Those that would thaw, move the freeze, or show the hidden team.
                Fact::Config(..) | Fact::Extension(..) | Fact::Moment(..) | Fact::Team(..) | Fact::Submission(..) => {}
                other => {
                    script.fact(other);
                }
            }
        }
        script.end_epoch();
    }
    script
}

/// A judgement keeps its submission for life, as in real feeds: it is either hidden in all of its states or in none.
fn judge(script: &mut BoardScript, world: World, mut j: Judgement) {
    let n: u64 = j.judgement[1..].parse().expect("an id of this test is j and a number");
    j.submission = (n * 7 % 30 + 1).to_string().into();
    if (n * 7 % 30 + 1) > 10 {
        match world {
            World::Real => {}
            World::Flipped => {
                j.judgement_type = j.judgement_type.map(|v| if v == "AC" { "WA".into() } else { "AC".into() });
            }
            World::Unjudged => j.judgement_type = None,
            World::NoJudgement => return,
        }
    }
    script.fact(Fact::Judgement(j));
}

fn of_view(view: View, epochs: &[Epoch<Said>]) -> Vec<Epoch<Said>> {
    let only =
        |e: &Epoch<Said>| e.iter().filter(|(s, _)| matches!(s, Said::Change(v, ..) if *v == view)).cloned().collect();
    epochs.iter().map(only).collect()
}

#[test]
fn hidden_verdicts_leave_no_trace_on_public_boards() {
    for (seed, freeze) in [(1, Freeze::Planned), (2, Freeze::ByHand), (3, Freeze::Announced), (4, Freeze::Planned)] {
        let drive = |world| Run::workers(2).drive(script(seed, freeze, world).epochs(), view);
        let real = drive(World::Real);
        assert_one_row_per_key(&real);
        let public = of_view(View::Public, &real);
        assert!(public.iter().flatten().count() > 50, "the test says something of public boards");
        for world in [World::Flipped, World::Unjudged, World::NoJudgement] {
            let other = drive(world);
            assert_eq!(public, of_view(View::Public, &other), "seed {seed}");
            assert_ne!(of_view(View::Jury, &real), of_view(View::Jury, &other), "judges see the difference");
        }
    }
}
