//! A team's row as the index keeps it, and the orders it stands in.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use feruca::{Collator, Locale, Tailoring};
use gravity_events::board::BoardRow;
use gravity_events::{Id, natural_cmp};

/// A team's row of one (event, view), shared by every board and version that shows it.
#[derive(Debug)]
pub struct TeamRow {
    /// The team.
    pub team: Id,
    /// Its row, without a rank.
    pub row: BoardRow,
    /// The problems that it solved first, in the order of its cells.
    pub firsts: Vec<Id>,
    /// Its identity: a row has another one whenever its content is another. Never shown.
    pub(super) serial: u64,
}

impl TeamRow {
    /// By what a rank is given for: solved descending, penalty, minute of the last accepted submission (ICPC rule).
    /// Hidden rows come after all others. Equal rows share a rank.
    pub fn score_cmp(&self, other: &TeamRow) -> Ordering {
        let key = |r: &BoardRow| (r.hidden, Reverse(r.solved), r.penalty, r.last_solved_min);
        key(&self.row).cmp(&key(&other.row))
    }
}

/// A row with its rank on one board; no rank for a hidden row.
#[derive(Clone, Debug)]
pub struct RankedRow {
    /// One more than the rows that stand strictly above.
    pub rank: Option<u32>,
    /// The row.
    pub row: Arc<TeamRow>,
}

/// A total order of rows.
pub(super) trait Order {
    fn order(a: &TeamRow, b: &TeamRow) -> Ordering;
}

/// As a board lists them: score, then name, then natural order of the id.
#[derive(Clone)]
pub(super) struct ByRank;

impl Order for ByRank {
    fn order(a: &TeamRow, b: &TeamRow) -> Ordering {
        a.score_cmp(b)
            .then_with(|| collate(&a.row.name, &b.row.name))
            .then_with(|| natural_cmp(&a.team, &b.team))
    }
}

/// By team, to find one.
#[derive(Clone)]
pub(super) struct ByTeam;

impl Order for ByTeam {
    fn order(a: &TeamRow, b: &TeamRow) -> Ordering {
        natural_cmp(&a.team, &b.team)
    }
}

/// The Unicode Collation Algorithm with CLDR's root weights, spaces and punctuation not ignored (as ICU sorts by
/// default, and so contest systems that use it). Equal for canonically equal names.
fn collate(a: &str, b: &str) -> Ordering {
    thread_local! {
        static COLLATOR: RefCell<Collator> =
            RefCell::new(Collator::new(Tailoring::Cldr(Locale::Root), false, false));
    }
    COLLATOR.with_borrow_mut(|collator| collator.collate(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(team: &str, name: &str, solved: u32, penalty: i64, last: i64, hidden: bool) -> TeamRow {
        let row = BoardRow {
            name: name.into(),
            solved,
            penalty,
            last_solved_min: last,
            hidden,
            ..Default::default()
        };
        TeamRow {
            team: team.into(),
            row,
            firsts: vec![],
            serial: 0,
        }
    }

    #[test]
    fn a_board_lists_by_score_then_name_then_id() {
        let in_order = [
            row("9", "z", 3, 100, 90, false),
            row("8", "z", 3, 101, 10, false),
            row("7", "z", 3, 101, 11, false),
            row("6", "a b", 2, 0, 0, false),
            row("5", "ab", 2, 0, 0, false),
            row("4", "Ab", 2, 0, 0, false),
            row("3", "Éb", 2, 0, 0, false),
            row("2", "same", 2, 0, 0, false),
            row("10", "same", 2, 0, 0, false),
            row("1", "hidden", 9, 0, 0, true),
        ];
        for (i, a) in in_order.iter().enumerate() {
            for (j, b) in in_order.iter().enumerate() {
                assert_eq!(ByRank::order(a, b), i.cmp(&j), "{} {}", a.team, b.team);
            }
        }
    }

    /// A sorted sequence is searched by this order, so it must be one for any names, not only for usual ones.
    #[test]
    fn collation_is_an_order_for_odd_names() {
        let letters: Vec<char> = "aAbBzé ́̈_-.!1٣ß你😀\u{ad}\u{200d}ꙮאب\u{0}lL·".chars().collect();
        let mut seed = 1_u64;
        let mut next = move |n: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % n
        };
        let mut name = || (0..next(6)).map(|_| letters[next(letters.len())]).collect::<String>();
        for _ in 0..60_000 {
            let (a, b, c) = (name(), name(), name());
            assert_eq!(collate(&a, &b), collate(&b, &a).reverse(), "{a:?} {b:?}");
            if collate(&a, &b).is_le() && collate(&b, &c).is_le() {
                assert!(collate(&a, &c).is_le(), "{a:?} {b:?} {c:?}");
            }
        }
    }
}
