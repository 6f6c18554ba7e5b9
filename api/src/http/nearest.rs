//! "Did you mean": the known word that is most like a wrong one.

/// The known word nearest to `word` by edit distance, if it is near enough to be meant (a third of its letters, at
/// least one, may differ). Ties go to the first.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hostile word costs no time: nothing that long is near anything.
    if word.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|k| (distance(word, k), k))
        .filter(|(d, k)| *d <= (k.len() / 3).max(1))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Levenshtein's distance in bytes, letter case aside.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
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
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
