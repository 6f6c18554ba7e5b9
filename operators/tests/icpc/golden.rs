//! What leaves the view, epoch by epoch, of one random contest: a change of it must be meant.

use std::fmt::Write;
use std::path::Path;

use gravity_operators::harness::boards::BoardScript;
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::golden::golden;
use gravity_operators::harness::run::Run;

use super::{random, view};

#[test]
fn the_changes_of_a_contest() {
    let mut dice = Dice::new(2026);
    let mut script = BoardScript::default();
    random::set_up(&mut dice, &mut script);
    for _ in 0..12 {
        for _ in 0..4 {
            random::edit(&mut dice, &mut script);
        }
        script.end_epoch();
    }
    let mut text = String::new();
    for (epoch, said) in Run::workers(2).drive(script.epochs(), view).iter().enumerate() {
        for (row, diff) in said {
            writeln!(text, "{epoch} {diff:+} {row:?}").expect("a string takes any text");
        }
    }
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/icpc/golden/contest.txt"), &text);
}
