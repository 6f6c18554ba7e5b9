//! Erasing a person: which bytes are theirs, and what stands there afterwards.
//!
//! What is erased is replaced by as many other bytes, which mean nothing, the same ones everywhere: files keep their shape, one
//! person's records still belong together, and every sum stays what it was. Nothing is kept that leads from them to the person.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::body::RecordRefused;
use crate::key::encode_part;
use crate::record::stable_hash128;
use crate::{Body, Id, Topic, codec};

/// Shorter ones could not be told from other bytes, nor their substitutes from each other.
pub const LEAST_BYTES: usize = 4;

/// What is to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An identifier, such as a participant's pseudonym: erased where it is a whole value, or a part between slashes.
    Id,
    /// A text, such as a name or an address: erased wherever it stands.
    Text,
}

/// A word, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Where it is looked for.
    pub kind: Kind,
    /// What is to go.
    pub word: String,
    /// As many bytes: a `~`, ASCII letters and digits; what is escaped in JSON is left.
    pub substitute: String,
}

/// Why a word cannot be erased.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErasureError {
    /// It is too short.
    #[error(
        "`{0}` is shorter than {LEAST_BYTES} bytes: it could not be told from other data; erase a longer text that holds it"
    )]
    Short(String),
    /// A number of something else may be the same.
    #[error("`{0}` is digits only: numbers could not be told from it; erase a longer text that holds it")]
    Digits(String),
    /// It is part of names that everything relies on.
    #[error("`{0}` is the tenant: what is to be erased is a person's")]
    Tenant(String),
}

impl Word {
    /// A word whose substitute follows from a random seed, which is not kept.
    ///
    /// # Errors
    /// It is too short, or a text of digits.
    pub fn new(kind: Kind, word: &str, seed: &[u8]) -> Result<Word, ErasureError> {
        if word.len() < LEAST_BYTES {
            return Err(ErasureError::Short(word.to_owned()));
        }
        if kind == Kind::Text && word.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ErasureError::Digits(word.to_owned()));
        }
        let random = |n: usize| {
            let hash = stable_hash128(&[seed, word.as_bytes(), &n.to_le_bytes()]);
            char::from_digit(u32::try_from(hash % 36).expect("below 36"), 36).expect("below 36")
        };
        let substitute = word.bytes().enumerate().map(|(n, byte)| match byte {
            // They have escapes in JSON: where these stand, so do those of the substitute.
            b'"' | b'\\' | 0..0x20 => char::from(byte),
            _ if n == 0 => '~',
            _ => random(n),
        });
        let substitute = substitute.collect();
        Ok(Word { kind, word: word.to_owned(), substitute })
    }
}

/// One tenant's person, as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Whose records it is about: others may know somebody else by the same words.
    pub tenant: Id,
    /// What is erased.
    pub words: Vec<Word>,
}

impl Erasure {
    /// Of a tenant.
    ///
    /// # Errors
    /// A word is the tenant itself.
    pub fn new(tenant: Id, words: Vec<Word>) -> Result<Erasure, ErasureError> {
        match words.iter().find(|w| w.word == tenant.as_str()) {
            Some(word) => Err(ErasureError::Tenant(word.word.clone())),
            None => Ok(Erasure { tenant, words }),
        }
    }

    /// A record of a topic: what its key and value become. None: nothing of it is erased.
    pub fn record(&self, topic: Topic, key: &[u8], value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut prefix = String::new();
        encode_part(&mut prefix, &self.tenant);
        prefix.push('/');
        // What pipelines say of all tenants together is in no tenant's name, nor are dead letters.
        let is_of_all = key.starts_with(b"%2D/") || topic == Topic::DeadLetter;
        if !is_of_all && !key.starts_with(prefix.as_bytes()) {
            return None;
        }
        let (new_key, new_value) = (self.key(key), self.value(topic, value));
        (new_key.is_some() || new_value.is_some())
            .then(|| (new_key.unwrap_or_else(|| key.to_vec()), new_value.unwrap_or_else(|| value.to_vec())))
    }

    fn value(&self, topic: Topic, value: &[u8]) -> Option<Vec<u8>> {
        if topic == Topic::DeadLetter
            && let Ok(mut record) = codec::decode(value)
            && let Body::RecordRefused(refused) = &mut record.body
        {
            if !self.refused(refused) {
                return None;
            }
            let mut new = codec::encode(&record);
            debug_assert!(new.len() <= value.len(), "what pipelines write has no space in it");
            // Space after a value means nothing in JSON.
            new.resize(new.len().max(value.len()), b' ');
            return (new.len() == value.len()).then_some(new);
        }
        self.document(value)
    }

    /// A dead letter: its bytes, and the text that says what was wrong with them. Whether anything changed.
    fn refused(&self, refused: &mut RecordRefused) -> bool {
        let bytes = STANDARD.decode(&refused.data_base64).ok();
        let bytes = bytes.and_then(|raw| self.raw(&raw));
        let detail = self.text(&refused.detail);
        if bytes.is_none() && detail.is_none() {
            return false;
        }
        if let Some(new) = bytes {
            refused.data_base64 = STANDARD.encode(&new);
            // That of what was sent would still prove that it was sent.
            refused.sha256 = Sha256::digest(&new).iter().map(|b| format!("{b:02x}")).collect();
        }
        if let Some(detail) = detail {
            refused.detail = detail;
        }
        true
    }

    /// The bytes of a record that was refused. Another tenant's are left alone; whose cannot be read is not.
    pub fn raw(&self, raw: &[u8]) -> Option<Vec<u8>> {
        if codec::decode(raw).is_ok_and(|record| record.tenant != self.tenant) {
            return None;
        }
        let document = self.document(raw);
        // It may be no JSON at all.
        let bytes = self.bytes(document.as_deref().unwrap_or(raw));
        bytes.or(document)
    }

    /// The key of a record: parts that are percent-encoded, between slashes.
    fn key(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut out = Cow::Borrowed(key);
        for word in &self.words {
            let mut encoded = String::new();
            encode_part(&mut encoded, &word.word);
            replace(&mut out, word.kind, encoded.as_bytes(), &stretched(&word.substitute, encoded.len()));
        }
        changed(out)
    }

    /// JSON text: what its strings say is erased, numbers and names of fields are not.
    pub fn document(&self, json: &[u8]) -> Option<Vec<u8>> {
        let mut out: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(open) = json[at..].iter().position(|b| *b == b'"').map(|n| at + n) {
            let mut close = open + 1;
            while close < json.len() && json[close] != b'"' {
                close += if json[close] == b'\\' { 2 } else { 1 };
            }
            if close >= json.len() {
                break;
            }
            at = close + 1;
            if is_name(&json[at..]) {
                continue;
            }
            let Some(literal) = std::str::from_utf8(&json[open..at]).ok() else { continue };
            let Ok(text) = serde_json::from_str::<Cow<'_, str>>(literal) else { continue };
            let Some(new) = self.text(&text) else { continue };
            let mut new = serde_json::to_vec(&new).expect("a text can be written");
            // It has no more escapes than there were. Space after a string means nothing.
            if new.len() <= literal.len() {
                new.resize(literal.len(), b' ');
                out.get_or_insert_with(|| json.to_vec())[open..at].copy_from_slice(&new);
            }
        }
        out
    }

    /// A value of its own, such as that of a column: text, or JSON text.
    pub fn text(&self, text: &str) -> Option<String> {
        let mut out = Cow::Borrowed(text.as_bytes());
        for word in &self.words {
            replace(&mut out, word.kind, word.word.as_bytes(), word.substitute.as_bytes());
        }
        if text.starts_with(['{', '[']) {
            let document = self.document(&out);
            out = document.map_or(out, Cow::Owned);
        }
        changed(out).map(|bytes| String::from_utf8(bytes).expect("whole characters were replaced by others"))
    }

    /// Bytes in which strings stand with their length before them, as in journals, or in quotes.
    pub fn bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Cow::Borrowed(bytes);
        for word in &self.words {
            replace(&mut out, word.kind, word.word.as_bytes(), word.substitute.as_bytes());
            // JSON that stands in such a string has its own escapes.
            let (in_json, by) = (escaped(&word.word), escaped(&word.substitute));
            if in_json != word.word {
                replace(&mut out, word.kind, in_json.as_bytes(), by.as_bytes());
            }
        }
        changed(out)
    }

    /// Whether bytes of a journal name the tenant.
    pub fn is_named_in(&self, bytes: &[u8]) -> bool {
        let mut named = Vec::with_capacity(self.tenant.len() + 2);
        varint(&mut named, self.tenant.len());
        named.extend_from_slice(self.tenant.as_bytes());
        bytes.windows(named.len()).any(|window| window == named)
    }
}

/// Whether what stands before is the name of a field.
fn is_name(after: &[u8]) -> bool {
    after.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':')
}

fn changed(out: Cow<'_, [u8]>) -> Option<Vec<u8>> {
    match out {
        Cow::Owned(bytes) => Some(bytes),
        Cow::Borrowed(_) => None,
    }
}

/// As it stands in a string of JSON, without the quotes.
fn escaped(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a text can be written");
    json[1..json.len() - 1].to_owned()
}

/// The substitute of a word in a longer form.
fn stretched(substitute: &str, bytes: usize) -> Vec<u8> {
    substitute.bytes().cycle().take(bytes).collect()
}

fn varint(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn replace(bytes: &mut Cow<'_, [u8]>, kind: Kind, word: &[u8], by: &[u8]) {
    debug_assert_eq!(word.len(), by.len(), "files keep their shape");
    let mut length = Vec::new();
    varint(&mut length, word.len());
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], word).map(|n| at + n) {
        let end = found + word.len();
        let (before, after) = (&bytes[..found], bytes.get(end));
        let ends = matches!(after, None | Some(b'/' | b'"' | 0..0x20));
        let is_whole = before.ends_with(&length) || (matches!(before.last(), None | Some(b'/' | b'"')) && ends);
        // Names of fields are nobody's, and nothing can be read without them.
        let is_name = before.ends_with(b"\"") && after == Some(&b'"') && is_name(&bytes[end + 1..]);
        if (kind == Kind::Text || is_whole) && !is_name {
            bytes.to_mut()[found..end].copy_from_slice(by);
        }
        at = found + 1;
    }
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let mut at = 0;
    while let Some(n) = bytes[at..].iter().position(|b| *b == first) {
        at += n;
        if bytes[at..].starts_with(word) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn erasure(words: &[(Kind, &str)]) -> Erasure {
        let word = |(kind, word): &(Kind, &str)| Word::new(*kind, word, b"seed").unwrap();
        Erasure::new("t".into(), words.iter().map(word).collect()).unwrap()
    }

    fn of(erasure: &Erasure, n: usize) -> &str {
        &erasure.words[n].substitute
    }

    #[test]
    fn ids_go_where_they_are_whole_and_texts_wherever_they_stand() {
        let e = erasure(&[(Kind::Id, "ada-1"), (Kind::Text, "Ada Lovelace")]);
        let (id, name) = (of(&e, 0), of(&e, 1));
        let json = r#"{"subject":"ada-1","team":"ada-12","source":"agent/ada-1/x","n":1,"say":"by Ada Lovelace.","ada-1" : "ada-1x"}"#;
        let new = String::from_utf8(e.document(json.as_bytes()).unwrap()).unwrap();
        let expected = format!(
            r#"{{"subject":"{id}","team":"ada-12","source":"agent/{id}/x","n":1,"say":"by {name}.","ada-1" : "ada-1x"}}"#
        );
        assert_eq!(new, expected);
        assert_eq!(e.document(new.as_bytes()), None, "again it changes nothing");
        assert_eq!(e.text("ada-1").as_deref(), Some(id));
        assert_eq!(e.text("ada-11"), None);
        assert_eq!(e.text("Ada Lovelace's").unwrap(), format!("{name}'s"));
    }

    #[test]
    fn what_is_escaped_is_found_and_the_text_keeps_its_length() {
        let e = erasure(&[(Kind::Text, "Zoë \"Z\"")]);
        let json = r#"{"name":"Zo\u00eb \"Z\" \/","n":2}"#;
        let new = e.document(json.as_bytes()).unwrap();
        assert_eq!(new.len(), json.len());
        let value: serde_json::Value = serde_json::from_slice(&new).unwrap();
        assert_eq!(value, serde_json::json!({"name": format!("{} /", of(&e, 0)), "n": 2}));
        // In a journal the same text is JSON in bytes, and says the same afterwards.
        let bytes = serde_json::to_vec(&serde_json::json!({"name": "Zoë \"Z\"", "n": 2})).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&e.bytes(&bytes).unwrap()).unwrap();
        assert_eq!(value, serde_json::json!({"name": of(&e, 0), "n": 2}));
    }

    #[test]
    fn numbers_are_left_alone() {
        let e = erasure(&[(Kind::Id, "12345678")]);
        assert_eq!(e.document(br#"{"n":12345678,"m":[12345678]}"#), None);
        assert!(e.document(br#"{"n":"12345678"}"#).is_some());
    }

    #[test]
    fn keys_are_erased_in_their_encoded_form_and_those_of_others_are_not() {
        let e = erasure(&[(Kind::Id, "ada@x y"), (Kind::Id, "bert")]);
        let (key, _) = e.record(Topic::Usage, b"t/ada%40x%20y", b"{}").unwrap();
        assert_eq!(key.len(), b"t/ada%40x%20y".len());
        assert!(key.starts_with(b"t/~"));
        assert_eq!(e.record(Topic::Usage, b"other/bert", br#"{"subject":"bert"}"#), None);
        assert_eq!(e.record(Topic::Usage, b"t/bertha", b"{}"), None);
        assert!(e.record(Topic::Usage, b"t/bert", b"{}").is_some());
    }

    #[test]
    fn journals_have_lengths_before_their_strings() {
        let long = "p".repeat(48);
        let e = erasure(&[(Kind::Id, "ada-1"), (Kind::Id, &long)]);
        // The length of the long one is the byte `0`.
        let bytes = [b"\x01t\x05ada-1q\x06ada-1q0".as_slice(), long.as_bytes(), b"z"].concat();
        let new = e.bytes(&bytes).unwrap();
        let expected = [b"\x01t\x05", of(&e, 0).as_bytes(), b"q\x06ada-1q0", of(&e, 1).as_bytes(), b"z"].concat();
        assert_eq!(new, expected);
        assert!(e.is_named_in(&bytes) && !e.is_named_in(b"\x02tt"));
    }

    #[test]
    fn dead_letters_are_opened() {
        let e = erasure(&[(Kind::Id, "ada-1"), (Kind::Text, "Ada Lovelace")]);
        let data = br#"{"tenant":"t","subject":"ada-1","data":{"name":"Ada Lovelace"#;
        let refused = RecordRefused {
            data_base64: STANDARD.encode(data),
            length: data.len() as u64,
            sha256: "0".repeat(64),
            topic: "x".into(),
            partition: 0,
            offset: 0,
            code: "syntax".into(),
            detail: "no end after `Ada Lovelace`".into(),
        };
        let record = crate::Record {
            id: "1".into(),
            source: "pipeline:burn".into(),
            tenant: "-".into(),
            event: None,
            subject: None,
            time_ms: None,
            backfill: false,
            body: Body::RecordRefused(refused),
        };
        let value = codec::encode(&record);
        let (_, new) = e.record(Topic::DeadLetter, b"x/0/0", &value).unwrap();
        assert_eq!(new.len(), value.len());
        let Body::RecordRefused(new) = codec::decode(&new).unwrap().body else { panic!() };
        let data = String::from_utf8(STANDARD.decode(new.data_base64).unwrap()).unwrap();
        assert!(!data.contains("ada-1") && !data.contains("Lovelace") && !new.detail.contains("Ada"), "{data}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        assert_eq!(Word::new(Kind::Id, "ada", b""), Err(ErasureError::Short("ada".into())));
        assert_eq!(Word::new(Kind::Text, "12345", b""), Err(ErasureError::Digits("12345".into())));
        let word = Word::new(Kind::Id, "acme", b"").unwrap();
        assert!(Erasure::new("acme".into(), vec![word]).unwrap_err().to_string().contains("is the tenant"));
    }

    proptest! {
        #[test]
        fn any_bytes_keep_their_length_and_no_text_is_left(
            parts in prop::collection::vec(prop_oneof![Just("Ada Lovelace".to_owned()), "\\PC{0,6}"], 0..12),
            garbage in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let e = erasure(&[(Kind::Text, "Ada Lovelace")]);
            let text = parts.concat();
            let json = serde_json::to_vec(&serde_json::json!({"a": text, "b": [text]})).unwrap();
            let new = e.document(&json).unwrap_or(json.clone());
            prop_assert_eq!(new.len(), json.len());
            let new: serde_json::Value = serde_json::from_slice(&new).unwrap();
            prop_assert!(!new["a"].as_str().unwrap().contains("Ada Lovelace"));
            let bytes = [&garbage[..], text.as_bytes(), &garbage[..]].concat();
            for new in [e.bytes(&bytes), e.document(&bytes), e.raw(&bytes)].into_iter().flatten() {
                prop_assert_eq!(new.len(), bytes.len());
            }
        }
    }
}
