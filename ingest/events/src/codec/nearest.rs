//! "Did you mean": the known name that is most like an unknown one.

/// Longest name that is compared: no known one is nearly as long.
const MAX_BYTES: usize = 64;

/// The known name that is most like `name`, for "did you mean"; `None` when none is near: more than a third of its
/// letters, at least two, would have to change. Of equally near ones the first.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hostile name costs no time: nothing that long is near anything.
    if name.is_empty() || name.len() > MAX_BYTES {
        return None;
    }
    let lower = name.to_lowercase();
    let near = |(d, k): &(usize, &str)| *d <= (k.len() / 3).max(2) && *d < k.len();
    known.into_iter().map(|k| (distance(&lower, k), k)).filter(near).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    #[test]
    fn finds_slips_and_nothing_else() {
        for (name, near) in [
            ("judgment.recorded", Some("judgement.recorded")),
            ("submission.recieved", Some("submission.received")),
            ("team.register", Some("team.registered")),
            ("Team.Registered", Some("team.registered")),
            ("event.start", Some("event.started")),
            ("usage.token", Some("usage.tokens")),
            ("com.github.push", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, Body::KINDS.iter().copied()), near, "{name}");
        }
        assert_eq!(nearest(&"submission.received".repeat(1000), Body::KINDS.iter().copied()), None);
    }

    #[test]
    fn finds_slips_in_short_keys_too() {
        let known = ["duration", "freeze", "penalty", "id"];
        for (name, near) in [
            ("duratoin", Some("duration")),
            ("Freeze", Some("freeze")),
            ("freze", Some("freeze")),
            ("colour", None),
            ("xy", None),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }

    #[test]
    fn counts_changes() {
        for (a, b, d) in [
            ("", "abc", 3),
            ("di", "id", 1),
            ("", "id", 2),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abcd", "bc", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
    }
}
