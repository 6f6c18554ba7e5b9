//! "Did you mean": the known word that is most like a wrong one.

/// The known word nearest to `word`, if it is near enough to be meant: a third of its letters, at least two, may have
/// to change. Ties go to the first.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hostile word costs no time: nothing that long is near anything.
    if word.len() > 64 {
        return None;
    }
    let near = |(d, k): &(usize, &str)| *d <= (k.len() / 3).max(2) && *d < k.len();
    known.into_iter().map(|k| (distance(word, k), k)).filter(near).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// Bytes to insert, delete, replace or swap with their neighbour (optimal string alignment), letter case aside.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase().into_bytes(), b.to_ascii_lowercase().into_bytes());
    let (mut before, mut above): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
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

    #[test]
    fn nearest_words() {
        let known = ["duration", "freeze", "penalty", "id"];
        assert_eq!(nearest("duratoin", known), Some("duration"));
        assert_eq!(nearest("Freeze", known), Some("freeze"));
        assert_eq!(nearest("freze", known), Some("freeze"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!((distance("di", "id"), distance("", "id")), (1, 2));
        assert_eq!(nearest("xy", known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
