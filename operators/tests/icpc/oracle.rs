//! The view agrees with the plain implementation after every epoch, over 1, 2 and 3 workers.

use gravity_operators::harness::boards::{BoardScript, Said, assert_one_row_per_key, expected};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::oracle::agree;

use super::{random, view};

fn compare(seed: u64, set_up: bool, epochs: u64, edits: u64) -> usize {
    let mut dice = Dice::new(seed);
    let mut script = BoardScript::default();
    if set_up {
        random::set_up(&mut dice, &mut script);
    }
    for _ in 0..epochs {
        for _ in 0..dice.below(edits) {
            random::edit(&mut dice, &mut script);
        }
        script.end_epoch();
    }
    let changes = agree(script.epochs(), view, expected);
    assert_one_row_per_key(&changes);
    changes.iter().flatten().filter(|(said, _)| matches!(said, Said::Change(..))).count()
}

#[test]
fn agrees_when_everything_comes_in_any_order() {
    for seed in 0..3 {
        assert!(compare(seed, false, 60, 14) > 100, "seed {seed} says too little");
    }
}

#[test]
fn agrees_in_running_contests() {
    for seed in 100..104 {
        assert!(compare(seed, true, 40, 12) > 200, "seed {seed} says too little");
    }
}

#[test]
fn agrees_with_a_fact_an_epoch() {
    for seed in 200..202 {
        assert!(compare(seed, true, 120, 3) > 100, "seed {seed} says too little");
    }
}
