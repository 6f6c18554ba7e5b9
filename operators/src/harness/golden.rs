//! Texts that must not change unnoticed.

use std::path::Path;

/// Set to `1`, it writes the files instead of comparing with them.
pub const UPDATE: &str = "GRAVITY_UPDATE_GOLDEN";

/// Panics unless the file holds `actual`, naming the first line that differs.
pub fn golden(file: &Path, actual: &str) {
    if std::env::var_os(UPDATE).is_some_and(|v| v == "1") {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        }
        std::fs::write(file, actual).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        return;
    }
    let expected = std::fs::read_to_string(file)
        .unwrap_or_else(|e| panic!("{}: {e}; run the test with {UPDATE}=1 to write it", file.display()));
    if let Some((line, expected, actual)) = first_difference(&expected, actual) {
        panic!(
            "{}:{line}: expected `{expected}`, got `{actual}`; if that is right, run the test with {UPDATE}=1",
            file.display()
        );
    }
}

fn first_difference<'a>(expected: &'a str, actual: &'a str) -> Option<(usize, &'a str, &'a str)> {
    if expected == actual {
        return None;
    }
    let (mut e, mut a) = (expected.split('\n'), actual.split('\n'));
    (1..).find_map(|line| match (e.next(), a.next()) {
        (Some(x), Some(y)) if x == y => None,
        (x, y) => Some((line, x.unwrap_or("(end of file)"), y.unwrap_or("(end of text)"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_difference() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some((2, "b", "c")));
        assert_eq!(first_difference("a\n", "a\nb"), Some((2, "", "b")));
        assert_eq!(first_difference("a", "a\nb"), Some((2, "(end of file)", "b")));
    }
}
