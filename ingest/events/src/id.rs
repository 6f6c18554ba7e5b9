//! Identifiers: short strings, kept inline up to 24 bytes, with the *natural* order that contest systems use.

use std::cmp::Ordering;

/// An identifier of a tenant, event, team, submission, ... : 1 to [`MAX_ID_BYTES`] bytes without control characters.
/// Up to 24 bytes are stored inline, so that cloning one in a dataflow allocates nothing.
pub type Id = compact_str::CompactString;

/// Longest identifier that is accepted, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// Says what is wrong with `id`, or `None` when it may be used as an identifier.
pub fn id_problem(id: &str) -> Option<&'static str> {
    if id.is_empty() {
        Some("is empty")
    } else if id.len() > MAX_ID_BYTES {
        Some("is longer than 256 bytes")
    } else if has_control(id.as_bytes()) {
        Some("has control characters")
    } else {
        None
    }
}

/// Whether UTF-8 holds U+0000 to U+001F or U+007F to U+009F, without decoding it.
fn has_control(id: &[u8]) -> bool {
    // The second range is 0xC2 0x80 to 0xC2 0x9F in UTF-8.
    id.iter().any(|b| *b < 0x20 || *b == 0x7f) || id.windows(2).any(|two| two[0] == 0xc2 && two[1] < 0xa0)
}

/// Compares identifiers with runs of ASCII digits by value, so that `9 < 10`; equal values fall back to the bytes, so
/// that the order is total. Digits sort before other characters, as in contest systems that use this order.
pub fn natural_cmp(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while !x.is_empty() && !y.is_empty() {
        let (xd, yd) = (x[0].is_ascii_digit(), y[0].is_ascii_digit());
        let (xc, yc) = (chunk_len(x, xd), chunk_len(y, yd));
        let order = match (xd, yd) {
            (true, true) => digits_cmp(&x[..xc], &y[..yc]),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => x[..xc].cmp(&y[..yc]),
        };
        if order != Ordering::Equal {
            return order;
        }
        (x, y) = (&x[xc..], &y[yc..]);
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

fn chunk_len(s: &[u8], digits: bool) -> usize {
    s.iter().position(|c| c.is_ascii_digit() != digits).unwrap_or(s.len())
}

fn digits_cmp(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |s: &[u8]| s.iter().position(|c| *c != b'0').unwrap_or(s.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_compare_by_value() {
        for (less, more) in [
            ("9", "10"),
            ("a9", "a10"),
            ("01", "1"),
            ("2", "a"),
            ("a", "a1"),
            ("a1", "ab"),
            ("a", "ab"),
            ("x2y", "x10"),
            ("x02b", "x2c"),
            ("x2a", "x02b"),
            ("", "a"),
            ("99999999999999999999999998", "99999999999999999999999999"),
        ] {
            assert_eq!(natural_cmp(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(natural_cmp(more, less), Ordering::Greater, "{less} {more}");
        }
        assert_eq!(natural_cmp("7", "7"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn the_order_is_total(mut ids in prop::collection::vec("[0-2ab]{0,6}", 3)) {
            ids.sort_by(|a, b| natural_cmp(a, b));
            prop_assert!(natural_cmp(&ids[0], &ids[2]).is_le());
            for (a, b) in [(0, 1), (1, 2), (0, 2)] {
                let (a, b) = (&ids[a], &ids[b]);
                prop_assert_eq!(natural_cmp(a, b), natural_cmp(b, a).reverse());
                prop_assert_eq!(natural_cmp(a, b).is_eq(), a == b);
            }
        }

        #[test]
        fn control_characters_are_found(id in "[\\x00-\u{a1}é]{1,4}") {
            prop_assert_eq!(id_problem(&id).is_some(), id.chars().any(char::is_control));
        }
    }

    #[test]
    fn problems() {
        assert_eq!(id_problem(""), Some("is empty"));
        assert_eq!(id_problem(&"é".repeat(128)), None);
        assert_eq!(id_problem(&"é".repeat(129)), Some("is longer than 256 bytes"));
    }
}
