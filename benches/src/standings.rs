//! Standings, and a digest of them by which two ways of computing are compared.

use gravity_events::Id;
use gravity_events::board::{BoardRow, Cell};

/// A team's result.
pub struct Standing {
    /// Team.
    pub team: Id,
    /// Problems solved.
    pub solved: u32,
    /// Penalty minutes.
    pub penalty: i64,
    /// Minute of the last solve.
    pub last_solved_min: i64,
    /// Cells that are not empty, in the order of the problems.
    pub cells: Vec<Cell>,
}

impl Standing {
    /// Of a row.
    pub fn of(team: Id, row: &BoardRow) -> Standing {
        let BoardRow { solved, penalty, last_solved_min, cells, .. } = row;
        Standing { team, solved: *solved, penalty: *penalty, last_solved_min: *last_solved_min, cells: cells.clone() }
    }
}

/// The digest of standings in the board's order.
pub fn digest(mut all: Vec<Standing>) -> String {
    all.sort_by(|a, b| {
        let key = |s: &Standing| (std::cmp::Reverse(s.solved), s.penalty, s.last_solved_min);
        key(a).cmp(&key(b)).then_with(|| a.team.cmp(&b.team))
    });
    let mut hash = blake3::Hasher::new();
    for s in &all {
        let row = (&s.team, s.solved, s.penalty, s.last_solved_min, &s.cells);
        hash.update(&serde_json::to_vec(&row).expect("standings are plain data"));
    }
    hash.finalize().to_hex()[..16].to_owned()
}
