//! Tokens of the event feed. They hold how much of the log was read, which tells of hidden activity: nobody but this
//! server can read them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use gravity_events::{Position, Topic};

/// Changes with the layout below.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Longest token that is looked at, in characters.
const CHARS_MAX: usize = 16 << 10;

/// What of the log is covered: the first offset of each input partition that is not. One that is missing is not covered
/// at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub Vec<(Topic, u32, u64)>);

impl Mark {
    /// Whether a record is covered.
    pub fn covers(&self, at: Position) -> bool {
        self.0
            .iter()
            .any(|(topic, partition, bound)| (*topic, *partition) == (at.topic, at.partition) && at.offset < *bound)
    }
}

/// A place in a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Which run of the server's feed.
    pub run: u64,
    /// The last line of that run.
    pub seq: u64,
    /// What all lines up to it cover.
    pub mark: Mark,
}

impl Token {
    /// Seals it for a feed, whose name no other feed has.
    pub fn seal(&self, key: &[u8; 32], feed: &[u8]) -> String {
        let mut plain = vec![FORMAT];
        plain.extend_from_slice(&self.run.to_le_bytes());
        plain.extend_from_slice(&self.seq.to_le_bytes());
        for (topic, partition, bound) in &self.mark.0 {
            plain.push(topic.code());
            plain.extend_from_slice(&partition.to_le_bytes());
            plain.extend_from_slice(&bound.to_le_bytes());
        }
        // Another place has another nonce; the same place is the same token.
        let nonce = blake3::Hasher::new_keyed(key).update(b"nonce\0").update(feed).update(&plain).finalize();
        let nonce: [u8; NONCE_BYTES] = nonce.as_bytes()[..NONCE_BYTES].try_into().expect("a hash is longer");
        let sealed = cipher(key)
            .encrypt(&Nonce::from(nonce), Payload { msg: &plain, aad: feed })
            .expect("a token is far shorter than what the cipher takes");
        URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// Opens one that this server sealed for this feed; else says what is wrong.
    pub fn open(text: &str, key: &[u8; 32], feed: &[u8]) -> Result<Token, &'static str> {
        if text.len() > CHARS_MAX {
            return Err("is longer than any that this server gives out");
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "is not base64url without padding")?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or("is cut short")?;
        let plain = cipher(key)
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: feed })
            .map_err(|_| "was not given out by this server for this feed")?;
        Self::parse(&plain).ok_or("has a format that this server no longer reads")
    }

    fn parse(plain: &[u8]) -> Option<Token> {
        let (&FORMAT, rest) = plain.split_first()? else { return None };
        let (run, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let mut mark = Mark::default();
        for part in rest.chunks(13) {
            let (code, part) = part.split_first()?;
            let (partition, bound) = part.split_first_chunk()?;
            let bound = bound.try_into().ok()?;
            mark.0.push((Topic::from_code(*code)?, u32::from_le_bytes(*partition), u64::from_le_bytes(bound)));
        }
        Some(Token { run: u64::from_le_bytes(*run), seq: u64::from_le_bytes(*seq), mark })
    }
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_to_whoever_sealed_it_and_to_nobody_else() {
        let mark = Mark(vec![(Topic::Reference, 0, 7), (Topic::Judgements, 300, u64::MAX)]);
        let token = Token { run: 9, seq: 12, mark };
        let sealed = token.seal(&[1; 32], b"public/e");
        assert_eq!(Token::open(&sealed, &[1; 32], b"public/e"), Ok(token.clone()));
        assert_eq!(token.seal(&[1; 32], b"public/e"), sealed);
        assert!(Token::open(&sealed, &[2; 32], b"public/e").is_err());
        assert!(Token::open(&sealed, &[1; 32], b"jury/e").is_err(), "of another feed");
        for cut in 0..sealed.len() {
            assert!(Token::open(&sealed[..cut], &[1; 32], b"public/e").is_err());
        }
        let mut changed = sealed.into_bytes();
        for n in 0..changed.len() {
            let other = if changed[n] == b'A' { b'B' } else { b'A' };
            let was = std::mem::replace(&mut changed[n], other);
            assert!(Token::open(std::str::from_utf8(&changed).unwrap(), &[1; 32], b"public/e").is_err(), "byte {n}");
            changed[n] = was;
        }
    }

    #[test]
    fn a_mark_covers_what_is_before_its_bounds() {
        let at = |topic, partition, offset| Position { topic, partition, offset };
        let mark = Mark(vec![(Topic::Submissions, 1, 5)]);
        assert!(mark.covers(at(Topic::Submissions, 1, 4)));
        assert!(!mark.covers(at(Topic::Submissions, 1, 5)));
        assert!(!mark.covers(at(Topic::Submissions, 0, 0)) && !mark.covers(at(Topic::Judgements, 1, 0)));
    }
}
