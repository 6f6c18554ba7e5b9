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
    } else if id.chars().any(char::is_control) {
        Some("has control characters")
    } else {
        None
    }
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

    #[test]
    fn digits_compare_by_value() {
        for (a, b) in [
            ("9", "10"),
            ("a9", "a10"),
            ("1", "01"),
            ("2", "a"),
            ("a", "a1"),
            ("x2y", "x10"),
            ("", "a"),
        ] {
            assert_eq!(natural_cmp(a, b).is_lt(), a != "1" || b != "01", "{a} {b}");
            assert_eq!(natural_cmp(a, b), natural_cmp(b, a).reverse());
        }
        assert_eq!(natural_cmp("7", "7"), Ordering::Equal);
    }
}
