//! Who owns an event: the first `event.configured` that counts claims its id for its tenant (contracts.md, glossary).
//!
//! Whether a record counts is known by the worker that has its identity; whether an event has an owner must be known by
//! all workers before they judge an epoch's records. So the sequencer names the records that may claim, the workers that
//! have their identities say which of them are good, and whoever needs the answer waits for it without blocking. Such
//! records are few: an epoch without one costs nothing.

use gravity_events::{Body, Id, Identity, Position, Topic};
use gravity_ingest::log::Entry;
use parking_lot::Mutex;
use timely::scheduling::SyncActivator;

/// A record that may claim an event.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where it stands.
    pub position: Position,
    /// The event.
    pub event: Id,
    /// For whom.
    pub tenant: Id,
    /// The record's identity.
    pub identity: Identity,
}

/// The candidates of one epoch, in log order, with what the workers say of them.
#[derive(Default)]
pub struct Candidates {
    all: Vec<Candidate>,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    good: Vec<Option<bool>>,
    waiting: Vec<SyncActivator>,
}

impl Candidates {
    /// Those among the records of an epoch.
    pub fn among(entries: &[Entry]) -> Candidates {
        let mut all: Vec<Candidate> = entries.iter().filter_map(candidate).collect();
        all.sort_by_key(|c| c.position);
        let good = vec![None; all.len()];
        Candidates { all, said: Mutex::new(Said { good, waiting: Vec::new() }) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The candidates.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.all.iter()
    }

    /// Says of the `n`-th whether it counts, whoever owns its event. True: that was the last answer.
    pub fn say(&self, n: usize, good: bool) -> bool {
        let mut said = self.said.lock();
        said.good[n] = Some(good);
        let settled = said.good.iter().all(Option::is_some);
        if settled {
            for waiting in said.waiting.drain(..) {
                // Its worker is gone only when the pipeline is being torn down.
                let _ = waiting.activate();
            }
        }
        settled
    }

    /// The good ones, in log order. None: not all is said yet, and `waiting` will be activated when it is.
    pub fn settled(&self, waiting: impl FnOnce() -> SyncActivator) -> Option<Vec<&Candidate>> {
        let mut said = self.said.lock();
        if said.good.iter().any(Option::is_none) {
            said.waiting.push(waiting());
            return None;
        }
        Some(self.all.iter().zip(&said.good).filter(|(_, good)| **good == Some(true)).map(|(c, _)| c).collect())
    }
}

fn candidate(entry: &Entry) -> Option<Candidate> {
    // An escape in the type is legal JSON, if odd.
    let may = entry.position.topic == Topic::Reference
        && (contains(&entry.value, b"event.configured") || contains(&entry.value, b"\\u"));
    let (record, identity) = may.then(|| gravity_events::codec::decode_full(&entry.value).ok()).flatten()?;
    match (&record.body, record.event) {
        (Body::EventConfigured(_), Some(event)) => {
            Some(Candidate { position: entry.position, event, tenant: record.tenant, identity })
        }
        _ => None,
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}
