//! The writer of canonical JSON: one pass over the text, values written as they come, the members of an object put in
//! order once it is closed (and only if they were not).

use std::cmp::Ordering;

use crate::canonical::MAX_DEPTH;
use crate::scan::{JsonError, JsonProblem, Scanner, Span, unescape};

/// Reusable buffers of the writer.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The canonical text, after whatever the caller has put there before.
    pub out: Vec<u8>,
    members: Vec<Member>,
    sorted: Vec<u8>,
}

/// A member of an object that is being written: offsets in `out`.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// Opening quote of its key.
    start: usize,
    /// Past the closing quote of its key.
    key_end: usize,
    /// Past its value.
    end: usize,
    /// Its key has an escape or a character from U+E000 on: bytes do not sort as UTF-16 does.
    odd: bool,
}

impl Scratch {
    /// Nothing allocated.
    pub const EMPTY: Scratch = Scratch { out: Vec::new(), members: Vec::new(), sorted: Vec::new() };

    pub fn clear(&mut self) {
        self.out.clear();
        self.members.clear();
        self.sorted.clear();
    }

    pub fn capacity(&self) -> usize {
        self.out.capacity() + self.sorted.capacity() + self.members.capacity() * size_of::<Member>()
    }

    /// Writes the canonical text of the next value, which must be UTF-8.
    pub fn value(&mut self, s: &mut Scanner<'_>) -> Result<(), JsonError> {
        self.nested(s, 0)
    }

    fn nested(&mut self, s: &mut Scanner<'_>, depth: usize) -> Result<(), JsonError> {
        s.space();
        match s.peek() {
            Some(b'"') => self.string(s).map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(s),
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err(JsonError { at: s.at(), problem: JsonProblem::TooDeep }),
            Some(b'{') => self.object(s, depth + 1),
            Some(b'[') => self.list(s, depth + 1),
            _ => {
                self.out.extend_from_slice(s.literal()?.as_bytes());
                Ok(())
            }
        }
    }

    fn list(&mut self, s: &mut Scanner<'_>, depth: usize) -> Result<(), JsonError> {
        s.need(b'[', "`[`")?;
        self.out.push(b'[');
        if !s.take(b']') {
            loop {
                self.nested(s, depth)?;
                if s.take(b']') {
                    break;
                }
                s.need(b',', "`,` or `]`")?;
                self.out.push(b',');
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, s: &mut Scanner<'_>, depth: usize) -> Result<(), JsonError> {
        s.need(b'{', "`{`")?;
        self.out.push(b'{');
        let (base, first, opened_at) = (self.out.len(), self.members.len(), s.at());
        let mut in_order = true;
        if !s.take(b'}') {
            loop {
                let start = self.out.len();
                s.space();
                if s.peek() != Some(b'"') {
                    return s.expected("a key in quotes");
                }
                let key_end = self.string(s)?;
                let odd = self.out[start..key_end].iter().any(|b| *b == b'\\' || *b >= 0xee);
                s.need(b':', "`:`")?;
                self.out.push(b':');
                self.nested(s, depth)?;
                let member = Member { start, key_end, end: self.out.len(), odd };
                in_order = in_order
                    && (self.members.len() == first
                        || self.members.last().is_some_and(|m| compare(&self.out, m, &member).is_lt()));
                self.members.push(member);
                if s.take(b'}') {
                    break;
                }
                s.need(b',', "`,` or `}`")?;
                self.out.push(b',');
            }
        }
        if !in_order {
            self.sort(base, first, opened_at)?;
        }
        self.members.truncate(first);
        self.out.push(b'}');
        Ok(())
    }

    /// Puts the members from `first` on, written from `base` on, in order.
    fn sort(&mut self, base: usize, first: usize, opened_at: usize) -> Result<(), JsonError> {
        let (out, members) = (&self.out, &mut self.members[first..]);
        members.sort_unstable_by(|a, b| compare(out, a, b));
        if let Some(two) = members.windows(2).find(|two| compare(out, &two[0], &two[1]).is_eq()) {
            let key = String::from_utf8_lossy(key(out, &two[0])).chars().take(80).collect();
            return Err(JsonError { at: opened_at - 1, problem: JsonProblem::DuplicateKey(key) });
        }
        self.sorted.clear();
        for member in members.iter() {
            self.sorted.extend_from_slice(&out[member.start..member.end]);
            self.sorted.push(b',');
        }
        self.sorted.pop();
        self.out.truncate(base);
        self.out.extend_from_slice(&self.sorted);
        Ok(())
    }

    /// Writes a string; returns where it ends in `out`.
    fn string(&mut self, s: &mut Scanner<'_>) -> Result<usize, JsonError> {
        let Span { range, escaped } = s.string()?;
        if escaped {
            let content = std::str::from_utf8(&s.bytes()[range.clone()])
                .map_err(|_| JsonError { at: range.start, problem: JsonProblem::Expected("UTF-8") })?;
            self.quoted(&unescape(content, range.start)?);
        } else {
            // With its quotes: nothing in it needs an escape, or it would have had one.
            self.out.extend_from_slice(&s.bytes()[range.start - 1..range.end + 1]);
        }
        Ok(self.out.len())
    }

    fn quoted(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.out.push(b'"');
        for b in text.bytes() {
            match b {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', b]),
                0x08 => self.out.extend_from_slice(b"\\b"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                0x0c => self.out.extend_from_slice(b"\\f"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                0..0x20 => self.out.extend_from_slice(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[usize::from(b >> 4)],
                    HEX[usize::from(b & 15)],
                ]),
                _ => self.out.push(b),
            }
        }
        self.out.push(b'"');
    }

    fn number(&mut self, s: &mut Scanner<'_>) -> Result<(), JsonError> {
        let (range, plain) = s.number()?;
        let text = &s.bytes()[range.clone()];
        if plain {
            self.out.extend_from_slice(text);
            return Ok(());
        }
        let value = std::str::from_utf8(text).ok().and_then(|t| t.parse::<f64>().ok()).filter(|v| v.is_finite());
        let value = value.ok_or(JsonError { at: range.start, problem: JsonProblem::NumberRange })?;
        self.out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes());
        Ok(())
    }
}

/// A member's key in the canonical text, without its quotes.
fn key<'a>(out: &'a [u8], member: &Member) -> &'a [u8] {
    &out[member.start + 1..member.key_end - 1]
}

/// The order of two members by the UTF-16 code units of their keys. Bytes of UTF-8 have the same order, unless a
/// character from U+E000 on (whose first byte is 0xEE or more) or an escape is there.
fn compare(out: &[u8], a: &Member, b: &Member) -> Ordering {
    let odd = a.odd || b.odd;
    let (a, b) = (key(out, a), key(out, b));
    if !odd {
        return a.cmp(b);
    }
    let text = |key: &[u8]| unescape(&String::from_utf8_lossy(key), 0).unwrap_or_default();
    text(a).encode_utf16().cmp(text(b).encode_utf16())
}
