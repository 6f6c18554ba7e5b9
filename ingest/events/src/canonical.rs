//! RFC 8785 (JSON Canonicalization Scheme): one text per JSON value, so that equal data has equal hashes.
//!
//! No insignificant space; keys sorted by their UTF-16 code units; strings with the fewest escapes; numbers as
//! ECMAScript prints the IEEE 754 double. As the scheme demands, duplicate keys, halves of surrogate pairs and numbers
//! that are no double are errors. Integers past 2^53 lose their last digits, as in every I-JSON reader: that is why
//! the codec refuses them in typed fields.

use std::borrow::Cow;
use std::cell::Cell;

mod write;

pub use crate::scan::{JsonError, JsonProblem};
pub(crate) use write::Scratch;

/// How deep objects and lists may be nested.
pub const MAX_DEPTH: usize = 64;

/// Buffers larger than this are given back rather than kept for the next text.
const KEEP_BYTES: usize = 1 << 16;

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch::EMPTY) };
}

/// Lends this thread's buffers: a stream of records allocates nothing for them.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let done = work(&mut scratch);
    if scratch.capacity() <= KEEP_BYTES {
        SCRATCH.set(scratch);
    }
    done
}

/// The canonical text of a JSON value; borrowed, without an allocation, when `raw` is canonical already.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, JsonError> {
    with_scratch(|scratch| {
        let mut scanner = crate::scan::Scanner::new(raw.as_bytes());
        scratch.value(&mut scanner)?;
        scanner.end()?;
        if scratch.out == raw.as_bytes() {
            return Ok(Cow::Borrowed(raw));
        }
        let text = std::str::from_utf8(&scratch.out).expect("made of pieces of text, cut at ASCII characters");
        Ok(Cow::Owned(text.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(raw: &str) -> String {
        canonical(raw).expect(raw).into_owned()
    }

    #[test]
    fn sample_of_the_rfc() {
        // Section 3.2.2: numbers, string escapes, literals.
        let raw = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let text = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
        assert_eq!(owned(raw), text);
    }

    #[test]
    fn keys_sort_by_utf16() {
        // Section 3.2.3: a supplementary character (surrogates D83D DE00) sorts before U+FB33.
        let raw = "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,\"\\u00f6\":7}";
        assert_eq!(
            owned(raw),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        );
        // Escaped in the output, but sorted as the characters that they stand for: \n before blank before Z before \.
        assert_eq!(
            owned(r#"{"a\\":1,"aZ":2,"a\n":3,"a ":4,"a":5}"#),
            r#"{"a":5,"a\n":3,"a ":4,"aZ":2,"a\\":1}"#
        );
    }

    #[test]
    fn numbers_as_ecmascript_prints_them() {
        // Appendix B of the RFC, by their IEEE 754 bits.
        for (bits, text) in [
            (0x0000000000000000u64, "0"),
            (0x8000000000000000, "0"),
            (0x0000000000000001, "5e-324"),
            (0x8000000000000001, "-5e-324"),
            (0x7fefffffffffffff, "1.7976931348623157e+308"),
            (0xffefffffffffffff, "-1.7976931348623157e+308"),
            (0x4340000000000000, "9007199254740992"),
            (0xc340000000000000, "-9007199254740992"),
            (0x4430000000000000, "295147905179352830000"),
            (0x44b52d02c7e14af5, "9.999999999999997e+22"),
            (0x44b52d02c7e14af6, "1e+23"),
            (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
            (0x444b1ae4d6e2ef4e, "999999999999999700000"),
            (0x444b1ae4d6e2ef4f, "999999999999999900000"),
            (0x444b1ae4d6e2ef50, "1e+21"),
            (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
            (0x3eb0c6f7a0b5ed8d, "0.000001"),
            (0x41b3de4355555553, "333333333.3333332"),
            (0x41b3de4355555554, "333333333.33333325"),
            (0x41b3de4355555555, "333333333.3333333"),
            (0x41b3de4355555556, "333333333.3333334"),
            (0x41b3de4355555557, "333333333.33333343"),
            (0xbecbf647612f3696, "-0.0000033333333333333333"),
            (0x43143ff3c1cb0959, "1424953923781206.2"),
        ] {
            let raw = format!("{:e}", f64::from_bits(bits));
            assert_eq!(owned(&raw), text, "{raw}");
            assert!(matches!(canonical(text), Ok(Cow::Borrowed(_))), "{text} is canonical");
        }
        for (raw, text) in [
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("123456789012345", "123456789012345"),
            ("9007199254740993", "9007199254740992"),
        ] {
            assert_eq!(owned(raw), text);
        }
    }

    #[test]
    fn borrows_what_is_canonical() {
        for raw in [
            "{}",
            "[]",
            "\"é\\n\"",
            r#"{"a":[1,-2,{"b":null,"c":"x/y"}],"ab":true}"#,
            "0.5",
        ] {
            assert!(matches!(canonical(raw), Ok(Cow::Borrowed(_))), "{raw}");
        }
        for raw in [
            " {}",
            "[1 ]",
            r#""\/""#,
            r#"{"b":1,"a":2}"#,
            "1.50",
            r#""\u00E9""#,
            r#""\u000A""#,
        ] {
            assert!(matches!(canonical(raw), Ok(Cow::Owned(_))), "{raw}");
        }
    }

    #[test]
    fn refuses_what_has_no_canonical_form() {
        let problem = |raw: &str| canonical(raw).map(Cow::into_owned).expect_err(raw).problem;
        for raw in [
            r#"{"a":1,"a":2}"#,
            r#"{"b":0,"a":1,"\u0061":2}"#,
            r#"[{"c":{"b":0,"a":1,"a":1}}]"#,
        ] {
            assert_eq!(problem(raw), JsonProblem::DuplicateKey("a".into()), "{raw}");
        }
        assert_eq!(problem("1e999"), JsonProblem::NumberRange);
        assert_eq!(problem(r#""\ud800""#), JsonProblem::LoneSurrogate);
        assert_eq!(problem(&("[".repeat(65) + &"]".repeat(65))), JsonProblem::TooDeep);
        assert!(canonical(&("[".repeat(64) + &"]".repeat(64))).is_ok());
        for raw in ["", "{", "{}x", "[1,]", "{\"a\" 1}", "\"a", "01", "{1:2}"] {
            assert!(matches!(problem(raw), JsonProblem::Expected(_)), "{raw}");
        }
    }
}
