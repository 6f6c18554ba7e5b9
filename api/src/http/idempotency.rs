//! `Idempotency-Key`: a create that is sent again answers what it answered before.
//!
//! The last keys are kept in memory, so a restart forgets them. What remains then is the record's identity, which is
//! derived from the key: the pipeline counts it once, whatever the route answers.

use std::collections::{HashMap, VecDeque};

use axum::http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use super::Problem;

/// Keys that are remembered.
const KEYS_MAX: usize = 50_000;

/// The header's value, if it was given and can be used.
pub fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().ok().map(str::trim).filter(|t| (1..=255).contains(&t.len()));
    let text = text.ok_or_else(|| {
        let message = "is not 1 to 255 visible ASCII characters";
        Problem::new(StatusCode::BAD_REQUEST, "invalid", format!("`Idempotency-Key` {message}"))
            .field("Idempotency-Key", message)
    })?;
    Ok(Some(text.to_owned()))
}

/// What the first request with a key fixed for all that repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The id that the created thing has.
    pub id: String,
    /// When the first request came, milliseconds since 1970.
    pub time_ms: i64,
}

struct Entry {
    body: blake3::Hash,
    stamp: Stamp,
    in_flight: bool,
    answer: Option<serde_json::Value>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    order: VecDeque<String>,
}

/// The keys of this process.
pub struct Idempotency {
    max: usize,
    entries: Mutex<Entries>,
}

impl Default for Idempotency {
    fn default() -> Idempotency {
        Idempotency { max: KEYS_MAX, entries: Mutex::default() }
    }
}

/// How a request with a key goes on.
pub enum Begun<'a> {
    /// It is to be carried out, with this stamp.
    New(Ticket<'a>),
    /// It was carried out before, and this was the answer.
    Before(serde_json::Value),
}

/// Why it does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// The key came with another body.
    OtherBody,
    /// A request with the key is being carried out.
    InFlight,
}

/// The right to carry a request out; dropped without an answer, the next one may, with the same stamp.
pub struct Ticket<'a> {
    store: &'a Idempotency,
    key: String,
    stamp: Stamp,
}

impl Idempotency {
    /// Remembers this many keys.
    pub fn with_max(max: usize) -> Idempotency {
        Idempotency { max, entries: Mutex::default() }
    }

    /// Begins a request. `key` includes whatever it is unique within. A failed request that is sent again gets the
    /// stamp of the first, so that a half-written one becomes a plain duplicate.
    pub fn begin(&self, key: String, body: &[u8], stamp: impl FnOnce() -> Stamp) -> Result<Begun<'_>, Clash> {
        let body = blake3::hash(body);
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.by_key.get_mut(&key) {
            if entry.body != body {
                return Err(Clash::OtherBody);
            }
            if let Some(answer) = &entry.answer {
                return Ok(Begun::Before(answer.clone()));
            }
            if entry.in_flight {
                return Err(Clash::InFlight);
            }
            entry.in_flight = true;
            let stamp = entry.stamp.clone();
            return Ok(Begun::New(Ticket { store: self, key, stamp }));
        }
        let stamp = stamp();
        entries.by_key.insert(key.clone(), Entry { body, stamp: stamp.clone(), in_flight: true, answer: None });
        entries.order.push_back(key.clone());
        while entries.order.len() > self.max {
            let Some(oldest) = entries.order.pop_front() else { break };
            entries.by_key.remove(&oldest);
        }
        Ok(Begun::New(Ticket { store: self, key, stamp }))
    }
}

impl Ticket<'_> {
    /// What the first request with this key fixed.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// It was carried out, and this is the answer for all that repeat it.
    pub fn done(self, answer: serde_json::Value) {
        if let Some(entry) = self.store.entries.lock().by_key.get_mut(&self.key) {
            entry.answer = Some(answer);
        }
    }

    /// Nothing was written: the key is free again.
    pub fn forget(self) {
        let mut entries = self.store.entries.lock();
        entries.by_key.remove(&self.key);
        entries.order.retain(|k| *k != self.key);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.store.entries.lock().by_key.get_mut(&self.key) {
            entry.in_flight = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(id: &str) -> Stamp {
        Stamp { id: id.into(), time_ms: 7 }
    }

    fn ticket<'a>(store: &'a Idempotency, key: &str, body: &[u8], id: &str) -> Ticket<'a> {
        match store.begin(key.into(), body, || stamp(id)) {
            Ok(Begun::New(ticket)) => ticket,
            _ => panic!("{key} is not new"),
        }
    }

    #[test]
    fn a_key_answers_once() {
        let store = Idempotency::with_max(2);
        let first = ticket(&store, "k", b"body", "1");
        assert_eq!(store.begin("k".into(), b"body", || stamp("2")).err(), Some(Clash::InFlight));
        assert_eq!(store.begin("k".into(), b"other", || stamp("2")).err(), Some(Clash::OtherBody));
        first.done(serde_json::json!(1));
        assert!(matches!(store.begin("k".into(), b"body", || stamp("2")), Ok(Begun::Before(v)) if v == 1));
        // Beyond the bound, the oldest is forgotten.
        drop((ticket(&store, "l", b"", "3"), ticket(&store, "m", b"", "4")));
        assert_eq!(ticket(&store, "k", b"other", "5").stamp().id, "5");
    }

    #[test]
    fn a_failed_request_keeps_its_stamp_until_it_is_forgotten() {
        let store = Idempotency::default();
        drop(ticket(&store, "k", b"", "1"));
        let again = ticket(&store, "k", b"", "2");
        assert_eq!(again.stamp().id, "1");
        again.forget();
        assert_eq!(ticket(&store, "k", b"x", "3").stamp().id, "3");
    }
}
