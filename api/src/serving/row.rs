//! A team's row as the index keeps it, and the orders it stands in.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use gravity_events::board::BoardRow;
use gravity_events::{Id, natural_cmp};
use icu_collator::options::CollatorOptions;
use icu_collator::{CollatorBorrowed, CollatorPreferences};

/// A team's row of one (event, view), shared by every board and version that shows it.
#[derive(Debug)]
pub struct TeamRow {
    /// The team.
    pub team: Id,
    /// Its row, without a rank.
    pub row: Arc<BoardRow>,
    /// The problems that it solved first, in the order of its cells.
    pub firsts: Vec<Id>,
    /// Its name's sort key.
    pub(super) name_key: Arc<[u8]>,
    /// Its identity: another one whenever its content changed. Never shown.
    pub(super) serial: u64,
}

impl TeamRow {
    /// By what a rank is given for: see [`BoardRow::rank_cmp`]. Equal rows share a rank.
    pub fn score_cmp(&self, other: &TeamRow) -> Ordering {
        self.row.rank_cmp(&other.row)
    }

    /// Whether it shows the same. A row that changed and changed back has another identity, but the same content.
    pub(super) fn same_content(&self, other: &TeamRow) -> bool {
        self.serial == other.serial || (&self.row, &self.firsts) == (&other.row, &other.firsts)
    }
}

/// A row with its rank on one board; no rank for a hidden row, or one out of competition.
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
        a.score_cmp(b).then_with(|| a.name_key.cmp(&b.name_key)).then_with(|| natural_cmp(&a.team, &b.team))
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

/// A name's key: keys compare, byte by byte, as the Unicode Collation Algorithm compares names, with CLDR's root weights,
/// spaces and punctuation not ignored (ICU's default, and so that of contest systems that use it). Equal for canonically
/// equal names. Kept with a row: comparing keys is fast, and an order whatever the names hold, on which the sorted
/// sequences rely.
pub(crate) fn name_key(name: &str) -> Arc<[u8]> {
    static COLLATOR: LazyLock<CollatorBorrowed<'static>> = LazyLock::new(|| {
        CollatorBorrowed::try_new(CollatorPreferences::default(), CollatorOptions::default())
            .expect("the root collation is compiled in")
    });
    let mut key = Vec::new();
    let Ok(()) = COLLATOR.write_sort_key_to(name, &mut key);
    key.into()
}

#[cfg(test)]
mod tests {
    use gravity_events::board::Points;

    use super::*;

    fn row(team: &str, name: &str, solved: u32, penalty: i64, last: i64, hidden: bool) -> TeamRow {
        let row = BoardRow { name: name.into(), solved, penalty, last_solved_min: last, hidden, ..Default::default() };
        TeamRow { team: team.into(), name_key: name_key(name), row: row.into(), firsts: vec![], serial: 0 }
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
                assert!(a.row.rank_hint() <= b.row.rank_hint() || i > j, "{} {}", a.team, b.team);
            }
        }
    }

    #[test]
    fn a_board_of_points_lists_by_its_key_and_only_then_by_submission() {
        let points = |name: &str, key: &[i64], tie: Option<&str>, guest: bool| {
            let points = Points { rank_key: key.into(), tie: tie.map(Into::into), ..Default::default() };
            let row = BoardRow {
                name: name.into(),
                points: Some(points.into()),
                out_of_competition: guest,
                ..Default::default()
            };
            TeamRow { team: name.into(), name_key: name_key(name), row: row.into(), firsts: vec![], serial: 0 }
        };
        let in_order = [
            points("d", &[-500, 3], None, false),
            points("c", &[-500, 20], None, false),
            points("b", &[-499, 1], Some("9"), false),
            points("a", &[-499, 1], Some("10"), false),
            points("0", &[-900, 1], None, true),
        ];
        for (i, a) in in_order.iter().enumerate() {
            for (j, b) in in_order.iter().enumerate() {
                assert_eq!(a.score_cmp(b), i.cmp(&j), "{} {}", a.team, b.team);
                assert!(a.row.rank_hint() <= b.row.rank_hint() || i > j, "{} {}", a.team, b.team);
            }
        }
        assert!(points("x", &[1], None, false).score_cmp(&points("y", &[1], None, false)).is_eq());
    }

    /// The examples of UTS #10, section 1.1 and 1.3, for the root locale, and characters that collation ignores.
    #[test]
    fn names_sort_as_unicode_says() {
        let ascending =
            ["", "-x", "cab", "Cab", "cáb", "dab", "Résumé 1", "Résumé-2", "role", "Rôle", "roles", "я", "你"];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(name_key(a).cmp(&name_key(b)), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [("é", "e\u{301}"), ("ab", "a\u{ad}b"), ("a\0", "a")] {
            assert_eq!(name_key(a), name_key(b), "{a:?} {b:?}");
        }
    }
}
