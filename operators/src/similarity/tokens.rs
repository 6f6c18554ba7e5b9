//! Source text as tokens in which names, numbers and texts are all alike: what is left is its structure.

/// How a language writes comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `//` and `/* */`: C, C++, C#, Java, JavaScript, Kotlin, Go, Rust, Swift, ...
    Slashes,
    /// `#`: Python, Ruby, shells, R, ...
    Hash,
}

impl Family {
    /// Of a language by its id; whatever is not known to use `#` is taken to use slashes.
    pub fn of(language: &str) -> Family {
        const HASH: [&str; 8] = ["python", "py", "ruby", "rb", "bash", "sh", "perl", "r"];
        let name = language.to_ascii_lowercase();
        let word = name.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
        if HASH.contains(&word) { Family::Hash } else { Family::Slashes }
    }

    /// For people: languages of one family are compared with each other.
    pub fn name(self) -> &'static str {
        match self {
            Family::Slashes => "c-like",
            Family::Hash => "script-like",
        }
    }
}

/// A token's code. The same in every build: fingerprints are stored.
pub type Token = u16;

const NAME: Token = 1;
const NUMBER: Token = 2;
const TEXT: Token = 3;
/// Keywords follow; then single characters.
const KEYWORDS_FROM: Token = 16;
const CHARACTERS_FROM: Token = 512;

/// Words that say something of a program's structure, in any of the languages. Only ever added at the end.
const KEYWORDS: [&str; 41] = [
    "if", "else", "elif", "for", "foreach", "while", "do", "switch", "case", "match", "break", "continue", "return",
    "yield", "try", "catch", "except", "finally", "throw", "raise", "new", "delete", "class", "struct", "enum", "def",
    "fn", "func", "function", "lambda", "import", "include", "using", "package", "in", "not", "and", "or", "with",
    "goto", "template",
];

/// The tokens of a text. Any bytes have tokens; comments and white space have none.
pub fn tokens(family: Family, text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        at = match (byte, next) {
            (b'/', Some(b'/')) if family == Family::Slashes => line_end(bytes, at),
            (b'/', Some(b'*')) if family == Family::Slashes => comment_end(bytes, at + 2),
            (b'#', _) if family == Family::Hash => line_end(bytes, at),
            (b'"' | b'\'' | b'`', _) => {
                out.push(TEXT);
                text_end(bytes, at)
            }
            (b'0'..=b'9', _) => {
                out.push(NUMBER);
                while_byte(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_')
            }
            (b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.., _) => {
                let end = while_byte(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80);
                out.push(word(&bytes[at..end]));
                end
            }
            (b' ' | b'\t' | b'\n' | b'\r', _) => at + 1,
            _ => {
                out.push(CHARACTERS_FROM + Token::from(byte));
                at + 1
            }
        };
    }
    out
}

fn word(bytes: &[u8]) -> Token {
    let known = KEYWORDS.iter().zip(KEYWORDS_FROM..).find(|(keyword, _)| keyword.as_bytes() == bytes);
    known.map_or(NAME, |(_, token)| token)
}

fn while_byte(bytes: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|b| !is(*b)).map_or(bytes.len(), |n| from + n)
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    while_byte(bytes, from, |b| b != b'\n')
}

fn comment_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(2).position(|w| w == b"*/").map_or(bytes.len(), |n| from + n + 2)
}

/// After a text's end: the same quote again, not behind a backslash; at the line's end at the latest, so that an
/// apostrophe swallows no more than its line.
fn text_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            _ if byte == bytes[from] => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;

    #[test]
    fn what_a_copyist_changes_first_leaves_no_trace() {
        let plain = tokens(Family::Slashes, "for (int i = 0; i < n; i++) { sum += a[i]; }");
        let other = "for(int  k=17;k<limit;k++) // the sum\n{ /* of\n it */ total += values[k];\n}";
        assert_eq!(tokens(Family::Slashes, other), plain);
        assert_ne!(tokens(Family::Slashes, "while (int i = 0; i < n; i++) { sum += a[i]; }"), plain);
    }

    #[test]
    fn comments_go_by_language() {
        assert_eq!(tokens(Family::of("python3"), "x = 1 # y = 2\nz // 3"), [NAME, 573, NUMBER, NAME, 559, 559, NUMBER]);
        assert_eq!(tokens(Family::of("cpp"), "#include <a> // b\n"), [547, 47, 572, NAME, 574]);
        assert_eq!(tokens(Family::Slashes, "\"a // b\" 'c' /* open"), [TEXT, TEXT]);
    }

    #[test]
    fn any_text_has_tokens() {
        let mut dice = Dice::new(1);
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..dice.below(60)).map(|_| *dice.pick(b"a1 /*#\"'\\\n{}\xff\x80\0")).collect();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for family in [Family::Slashes, Family::Hash] {
                assert!(tokens(family, &text).len() <= text.len());
            }
        }
    }
}
