//! Changes of rules that reach an event's teams, and rejudgings that reach its judgements, in slices: what is to be shown is always right, what is not to be shown
//! is said to be so, and every gate closes.

use std::collections::BTreeSet;
use std::sync::Arc;

use gravity_events::body::Scoring;
use gravity_operators::boards::fact::board_facts;
use gravity_operators::boards::facts::{EventKey, Rows};
use gravity_operators::boards::gate::{Pace, Slices};
use gravity_operators::boards::view::boards_in_slices;
use gravity_operators::harness::boards::{BoardScript, Fact, Said, everything, expected};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::oracle::accumulate;
use gravity_operators::harness::run::{Epoch, Run};

use crate::histories;

const EVENTS: u64 = 40;
/// Teams of an event at most: slices of a change.
const TEAMS: u64 = 5;
/// Submissions that may be judged again: slices of a rejudging.
const SUBMISSIONS: u64 = 14;
const EPOCHS: u64 = 16;

fn view<'s>(rows: Rows<'s, Fact>, teams: u32, pace: &Arc<Pace>) -> Rows<'s, Said> {
    everything(boards_in_slices(board_facts(rows), Slices { teams: Some(teams), pace: pace.clone() }))
}

/// Histories, and then as many epochs without facts as any gate needs to close.
fn script(seed: u64, scoring: Scoring, percent: u64) -> Vec<Epoch<Fact>> {
    let mut dice = Dice::new(seed << 8 | scoring as u64);
    let mut script = BoardScript::default();
    for event in 0..EVENTS {
        histories::set_up(&mut dice, &mut script, event, scoring);
    }
    script.end_epoch();
    for _ in 0..EPOCHS {
        // Some stand still for a while, so that their gates close between two changes.
        for event in 0..EVENTS {
            if dice.chance(percent) {
                histories::edit(&mut dice, &mut script, event, scoring);
            }
        }
        script.end_epoch();
    }
    // And as many as may be under way when the input is closed, which ends all slices.
    for _ in 0..TEAMS + SUBMISSIONS + 8 {
        script.end_epoch();
    }
    script.epochs().to_vec()
}

fn open_ones(rows: &[Said]) -> BTreeSet<EventKey> {
    rows.iter().filter(|row| matches!(row, Said::Open(_))).map(Said::event).collect()
}

fn without<'a>(rows: &'a [Said], open: &BTreeSet<EventKey>) -> Vec<&'a Said> {
    rows.iter().filter(|row| !open.contains(&row.event())).collect()
}

/// Slices of about that many. Returns in how many (epoch, event) a gate was open, and how many were closed again.
fn shows_what_is_right(scoring: Scoring, teams: u32, percent: u64) -> (usize, usize) {
    let (mut open_epochs, mut closed) = (0, 0);
    for seed in 0..4 {
        eprintln!("seed {seed} ({scoring:?}, {teams} teams)");
        let script = script(seed, scoring, percent);
        let pace = Arc::new(Pace::default());
        // In every second history only some epochs with facts carry slices.
        for (epoch, _) in (0..).zip(&script).filter(|(_, facts)| seed % 2 == 1 && !facts.is_empty()) {
            pace.begin(epoch, true);
        }
        let of_one = pace.clone();
        let changes = Run::workers(1).drive(&script, move |rows| view(rows, teams, &of_one));
        let mut was_open = BTreeSet::new();
        let mut right: Vec<Said> = Vec::new();
        for (epoch, (facts, rows)) in accumulate(&script).iter().zip(accumulate(&changes)).enumerate() {
            if !script[epoch].is_empty() {
                right = expected(facts);
                right.sort();
            }
            let open = open_ones(&rows);
            let (shown, right) = (without(&rows, &open), without(&right, &open));
            let missing = right.iter().find(|row| shown.binary_search(row).is_err());
            let extra = shown.iter().find(|row| right.binary_search(row).is_err());
            assert!(missing.is_none() && extra.is_none(), "after epoch {epoch}:\n {missing:#?}\n {extra:#?}");
            open_epochs += open.len();
            closed += was_open.difference(&open).count();
            was_open = open;
        }
        assert_eq!(was_open, BTreeSet::new(), "a gate has not closed");
        for run in [Run { workers: 2, in_flight: 7 }, Run { workers: 3, in_flight: 2 }] {
            let pace = pace.clone();
            let again = run.drive(&script, move |rows| view(rows, teams, &pace));
            for (epoch, (a, b)) in changes.iter().zip(&again).enumerate() {
                assert_eq!(a, b, "epoch {epoch} differs with {run:?}");
            }
        }
    }
    (open_epochs, closed)
}

#[test]
fn rubric_boards_in_slices_of_a_team() {
    let (open_epochs, closed) = shows_what_is_right(Scoring::Rubric, 1, 40);
    assert!(open_epochs > 200 && closed > 50, "{open_epochs} {closed}");
}

#[test]
fn ctf_boards_in_slices_of_a_team() {
    let (open_epochs, closed) = shows_what_is_right(Scoring::Ctf, 1, 40);
    assert!(open_epochs > 200 && closed > 50, "{open_epochs} {closed}");
}

#[test]
fn changed_again_and_again_on_the_way() {
    let (open_epochs, closed) = shows_what_is_right(Scoring::Rubric, 1, 100);
    assert!(open_epochs > 400 && closed > 50, "{open_epochs} {closed}");
}

#[test]
fn small_events_have_no_gates() {
    assert_eq!(shows_what_is_right(Scoring::Ioi, 50, 40), (0, 0));
}
