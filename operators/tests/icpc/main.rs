//! The ICPC view against a plain implementation, the rules by hand, and what a public board may not tell.

mod golden;
mod interference;
mod oracle;
mod panics;
mod random;
mod rules;

use gravity_operators::boards::facts::Rows;
use gravity_operators::boards::view::boards;
use gravity_operators::harness::boards::{Fact, Said, board_facts, everything};

/// The view as the harness drives it.
fn view(rows: Rows<'_, Fact>) -> Rows<'_, Said> {
    everything(boards(board_facts(rows)))
}
