//! A small JSON scanner (RFC 8259) over bytes: finds tokens, validates the grammar, builds nothing.
//!
//! It works on bytes, since every structural character of JSON is ASCII: a batch can be cut into records although one
//! of them is not UTF-8. Whoever takes text out of a span has checked the encoding before.

use std::ops::Range;

/// What is wrong with a JSON text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct JsonError {
    /// Offset of the fault, in bytes from the start of the text.
    pub at: usize,
    /// What is wrong.
    pub problem: JsonProblem,
}

/// What can be wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// Not JSON: what was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A key stands twice in one object (I-JSON, RFC 7493, forbids it: readers disagree on which one counts).
    #[error("the key `{0}` is given twice")]
    DuplicateKey(String),
    /// Half of a surrogate pair: no text (I-JSON).
    #[error("half a surrogate pair, which is no character")]
    LoneSurrogate,
    /// No IEEE 754 double.
    #[error("a number out of range")]
    NumberRange,
    /// Nested deeper than [`crate::canonical::MAX_DEPTH`].
    #[error("nested deeper than {} levels", crate::canonical::MAX_DEPTH)]
    TooDeep,
}

/// The content of a string, without its quotes.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// Where the content stands.
    pub range: Range<usize>,
    /// Whether it has escapes.
    pub escaped: bool,
}

/// A position in a JSON text.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Scanned<T> = Result<T, JsonError>;

/// How many bytes pass before a quote, a backslash or a control character.
fn plain_run(bytes: &[u8]) -> usize {
    // Eight at a time: the top bit of a byte in `stops` is set where that byte ends the run. A borrow can set it
    // falsely, but only after (in little endian: above) a true one, and the lowest is all that is asked for.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = |x: u64, limit: u64| x.wrapping_sub(ONES * limit) & !x;
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let stops = (below(word, 0x20) | is(b'"') | is(b'\\')) & TOPS;
        if stops != 0 {
            return n * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    let stops = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
    words.len() * 8 + rest.iter().position(stops).unwrap_or(rest.len())
}

impl<'a> Scanner<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Scanner { bytes, at: 0 }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn expected<T>(&self, what: &'static str) -> Scanned<T> {
        Err(JsonError { at: self.at, problem: JsonProblem::Expected(what) })
    }

    /// Skips insignificant space.
    #[inline]
    pub fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Skips space, then takes `byte` if it is next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Skips space, then takes `byte` or fails.
    #[inline]
    pub fn need(&mut self, byte: u8, what: &'static str) -> Scanned<()> {
        if self.take(byte) { Ok(()) } else { self.expected(what) }
    }

    /// Fails unless only space is left.
    pub fn end(&mut self) -> Scanned<()> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { self.expected("the end of the text") }
    }

    /// Takes a string, after space. Escapes are checked for their form only.
    pub fn string(&mut self) -> Scanned<Span> {
        self.need(b'"', "a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span { range: start..self.at - 1, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.expected("no control character in a string; escape it"),
                None => return self.expected("the end of a string"),
            }
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        let hex = |at: usize| self.bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        self.at += match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if (self.at + 2..self.at + 6).all(hex) => 6,
            _ => return self.expected("an escape such as \\n or \\u00e9"),
        };
        Ok(())
    }

    /// Takes a number; true when it is a plain integer of at most 15 digits, which prints as it is.
    pub fn number(&mut self) -> Scanned<(Range<usize>, bool)> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let first = self.at;
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.expected("a digit"),
        }
        let mut plain = self.at - first <= 15 && !(first > start && self.bytes[first] == b'0');
        if self.peek() == Some(b'.') {
            plain = false;
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            plain = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.some_digits()?;
        }
        Ok((start..self.at, plain))
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Scanned<()> {
        let start = self.at;
        self.digits();
        if self.at > start { Ok(()) } else { self.expected("a digit") }
    }

    /// Takes `true`, `false` or `null`.
    pub fn literal(&mut self) -> Scanned<&'static str> {
        for word in ["true", "false", "null"] {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(word);
            }
        }
        self.expected("a value")
    }

    /// Skips one value of any depth, checking the grammar; returns where it stands. Not recursive: depth costs a byte
    /// per level, never the stack.
    pub fn skip(&mut self) -> Scanned<Range<usize>> {
        self.space();
        let start = self.at;
        let mut open: smallvec::SmallVec<[u8; 32]> = smallvec::SmallVec::new();
        loop {
            self.space();
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    if !self.take(b'}') {
                        open.push(b'}');
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Some(b'"') => self.string().map(|_| ())?,
                Some(b'-' | b'0'..=b'9') => self.number().map(|_| ())?,
                _ => self.literal().map(|_| ())?,
            }
            loop {
                let Some(close) = open.last().copied() else {
                    return Ok(start..self.at);
                };
                if self.take(close) {
                    open.pop();
                } else {
                    self.need(b',', if close == b'}' { "`,` or `}`" } else { "`,` or `]`" })?;
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
            }
        }
    }

    /// Takes a key and its colon.
    pub fn key(&mut self) -> Scanned<Span> {
        self.space();
        if self.peek() != Some(b'"') {
            return self.expected("a key in quotes");
        }
        let key = self.string()?;
        self.need(b':', "`:`")?;
        Ok(key)
    }
}

/// The characters of a string's content, whose escapes [`Scanner::string`] has checked. `at` is where it begins.
pub(crate) fn unescape(content: &str, at: usize) -> Scanned<String> {
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(run) = rest.find('\\') {
        text.push_str(&rest[..run]);
        let here = at + content.len() - rest.len() + run;
        let unit = |from: usize| rest.get(from..from + 4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let (character, used) = match rest.as_bytes().get(run + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => {
                let high = unit(run + 2).unwrap_or(0);
                let low = rest.get(run + 6..run + 8).filter(|u| *u == "\\u").and_then(|_| unit(run + 8));
                match (char::from_u32(high), low) {
                    (Some(c), _) => (c, 6),
                    (None, Some(low @ 0xdc00..=0xdfff)) if high < 0xdc00 => {
                        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        (char::from_u32(code).expect("a surrogate pair is a character"), 12)
                    }
                    _ => {
                        return Err(JsonError { at: here, problem: JsonProblem::LoneSurrogate });
                    }
                }
            }
            Some(other) => (char::from(*other), 2),
            None => {
                return Err(JsonError { at: here, problem: JsonProblem::Expected("an escape") });
            }
        };
        text.push(character);
        rest = &rest[run + used..];
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(text: &str) -> bool {
        let mut s = Scanner::new(text.as_bytes());
        s.skip().and_then(|_| s.end()).is_ok()
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        for text in [
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5e",
            "1.5e+3",
            ".5",
            "+1",
            "1e5",
            "tru",
            "true",
            "nulll",
            "\"\"",
            "\"a\\q\"",
            "\"\\u12g4\"",
            "\"\\u00e9\"",
            "\"\t\"",
            "\"",
            "[",
            "[]",
            "[1,]",
            "[1 2]",
            "[1,[2,{}]]",
            "{}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":[{\"b\":null}],\"c\":-1.25E-7} ",
            "{} {}",
            "",
            " ",
            "[}",
            "{\"a\":1]",
            "\u{feff}{}",
            "NaN",
            "'a'",
            "{\"a\":1 \"b\":2}",
        ] {
            assert_eq!(skips(text), serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn runs_end_at_the_first_stop() {
        for at in 0..20 {
            for byte in 0..=255_u8 {
                for other in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0x9f, 0xa2, 0xdc, 0xff] {
                    let mut bytes = [other; 20];
                    bytes[at] = byte;
                    let stops = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(plain_run(&bytes), if stops { at } else { 20 }, "{byte} at {at} among {other}");
                }
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        assert!(skips(&("[".repeat(1 << 20) + &"]".repeat(1 << 20))));
        assert!(!skips(&"[".repeat(1 << 20)));
    }

    #[test]
    fn unescapes_pairs_and_refuses_halves() {
        for (escaped, text) in
            [("\\u20ac\\/\\\\\\\"", "€/\\\""), ("a\\ud83d\\ude02b", "a😂b"), ("\\n\\u0000é", "\n\0é")]
        {
            assert_eq!(unescape(escaped, 0).as_deref(), Ok(text));
        }
        for (half, at) in
            [("\\ud83d", 7), ("\\ude02", 7), ("x\\ud83dx", 8), ("\\ud83d\\u0041", 7), ("\\ude02\\ud83d", 7)]
        {
            assert_eq!(unescape(half, 7), Err(JsonError { at, problem: JsonProblem::LoneSurrogate }), "{half}");
        }
    }
}
