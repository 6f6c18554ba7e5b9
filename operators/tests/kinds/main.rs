//! Every kind of board against the plain implementation, on random histories: inserts, updates and retractions of
//! everything, in any order, with configurations that change on the way, over 1, 2 and 3 workers.

mod explaining;
mod failing;
mod gate;
mod histories;
mod interference;

use gravity_events::body::Scoring;
use gravity_operators::boards::fact::board_facts;
use gravity_operators::boards::facts::Rows;
use gravity_operators::boards::view::boards;
use gravity_operators::harness::boards::{BoardScript, Fact, Said, assert_one_row_per_key, everything, expected};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::oracle::agree;

/// The view as the harness drives it.
fn view(rows: Rows<'_, Fact>) -> Rows<'_, Said> {
    everything(boards(board_facts(rows)))
}

/// Events side by side in one script: each is a history of its own.
const EVENTS: u64 = 100;
/// Scripts per kind.
const SCRIPTS: u64 = 10;
const EPOCHS: u64 = 12;

/// `GRAVITY_SEED` replays one script of each kind.
fn seeds() -> Vec<u64> {
    match std::env::var("GRAVITY_SEED") {
        Ok(seed) => vec![seed.parse().expect("GRAVITY_SEED is a number")],
        Err(_) => (0..SCRIPTS).collect(),
    }
}

fn agrees(scoring: Scoring) {
    for seed in seeds() {
        eprintln!("GRAVITY_SEED={seed} ({scoring:?})");
        let mut dice = Dice::new(seed << 8 | scoring as u64);
        let mut script = BoardScript::default();
        for event in 0..EVENTS {
            histories::set_up(&mut dice, &mut script, event, scoring);
        }
        script.end_epoch();
        for _ in 0..EPOCHS {
            for event in 0..EVENTS {
                for _ in 0..dice.below(6) {
                    histories::edit(&mut dice, &mut script, event, scoring);
                }
            }
            script.end_epoch();
        }
        let changes = agree(script.epochs(), view, expected);
        assert_one_row_per_key(&changes);
        let said = changes.iter().flatten().filter(|(said, _)| matches!(said, Said::Change(..))).count();
        assert!(said > 3_000, "only {said} changes");
    }
}

#[test]
fn a_thousand_histories_of_icpc_boards() {
    agrees(Scoring::Icpc);
}

#[test]
fn a_thousand_histories_of_ctf_boards() {
    agrees(Scoring::Ctf);
}

#[test]
fn a_thousand_histories_of_ioi_boards() {
    agrees(Scoring::Ioi);
}

#[test]
fn a_thousand_histories_of_boards_of_two_splits() {
    agrees(Scoring::Kaggle);
}

#[test]
fn a_thousand_histories_of_rubric_boards() {
    agrees(Scoring::Rubric);
}
