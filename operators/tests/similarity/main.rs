//! Plagiarism: what detectors are measured on.

mod generator;
mod oracle;
mod quality;

use generator::{Level, pairs};

#[test]
fn pairs_are_the_same_every_time_and_what_they_say() {
    let said = pairs(1, 20);
    assert_eq!(said.len(), 100);
    let problems: std::collections::BTreeSet<u64> = said.iter().map(|p| p.problem).collect();
    assert_eq!(problems.len(), 20);
    for (a, b) in said.iter().zip(&pairs(1, 20)) {
        assert_eq!((&a.left, &a.right), (&b.left, &b.right));
    }
    let plain = |text: &str| -> String {
        let code = text.lines().filter(|l| !l.trim_start().starts_with("//") && !l.trim_start().starts_with("/*"));
        code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    for pair in &said {
        assert_ne!(pair.left, pair.right);
        assert!(pair.left.contains("int main()") && pair.left.len() > 600, "{}", pair.left);
        // Only a new layout leaves the words as they were.
        let same = plain(&pair.left) == plain(&pair.right);
        assert_eq!(same, pair.copied == Some(Level::Layout), "{:?} of problem {}", pair.copied, pair.problem);
    }
}
