//! What has to be remembered of a feed: a little per object, nothing per event.

use std::collections::BTreeMap;

use gravity_events::Id;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A collection that becomes records, object by object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Collection {
    Groups,
    Organizations,
    Teams,
    Problems,
    Languages,
    JudgementTypes,
    Submissions,
    Judgements,
}

impl Collection {
    pub fn from_name(name: &str) -> Option<Collection> {
        use Collection::*;
        [Groups, Organizations, Teams, Problems, Languages, JudgementTypes, Submissions, Judgements]
            .into_iter()
            .find(|c| c.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Collection::Groups => "groups",
            Collection::Organizations => "organizations",
            Collection::Teams => "teams",
            Collection::Problems => "problems",
            Collection::Languages => "languages",
            Collection::JudgementTypes => "judgement-types",
            Collection::Submissions => "submissions",
            Collection::Judgements => "judgements",
        }
    }
}

/// Most distinct states of one object that are told apart by content; later ones get a running number.
const MOST_STATES: usize = 32;

/// Most versions of the contest's state, or of one whole collection, that are known again. Contests have some ten.
const MOST_SEEN: usize = 4096;

/// The states that an object without tokens has had.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct History {
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    current: Option<(u64, u64)>,
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<(u64, u64)>,
    #[serde(rename = "m", default, skip_serializing_if = "is_zero")]
    more: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl History {
    pub fn is_empty(&self) -> bool {
        self.current.is_none()
    }

    /// Names the state with this content: its hash, and how often the object has had it before. The state that the
    /// object already has is the same one again.
    pub fn version(&mut self, content: u64) -> String {
        if let Some((hash, n)) = self.current
            && hash == content
        {
            return name(hash, n);
        }
        let n = match self.past.iter().position(|(hash, _)| *hash == content) {
            Some(at) => {
                self.past[at].1 += 1;
                self.past[at].1
            }
            None if self.past.len() < MOST_STATES => {
                self.past.push((content, 0));
                0
            }
            None => {
                self.more += 1;
                self.more
            }
        };
        self.current = Some((content, n));
        name(content, n)
    }
}

fn name(hash: u64, n: u64) -> String {
    format!("~{hash:016x}.{n}")
}

/// Versions that were seen, the oldest forgotten first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen(Vec<u64>);

impl Seen {
    pub fn contains(&self, version: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&hash(version))
    }

    /// False when it was there already.
    pub fn insert(&mut self, version: &str) -> bool {
        let hash = hash(version);
        if self.0.contains(&hash) {
            return false;
        }
        if self.0.len() == MOST_SEEN {
            self.0.remove(0);
        }
        self.0.push(hash);
        true
    }
}

fn hash(version: &str) -> u64 {
    crate::feeds::order_key(&["seen", version])
}

/// What is remembered of one object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Whether it is there now.
    #[serde(rename = "a", default)]
    pub alive: bool,
    /// Of a submission its team, of a judgement its submission: a delete does not say.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Id>,
    /// Of a submission: grows when it changes its team.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub revision: u64,
    #[serde(rename = "h", default, skip_serializing_if = "History::is_empty")]
    pub history: History,
}

/// What is remembered of a feed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub objects: BTreeMap<Collection, BTreeMap<Id, Entry>>,
    /// Whole collections that were taken, by token.
    pub replaced: BTreeMap<Collection, Seen>,
    /// Deletes of submissions that were unknown then, by token.
    pub ignored: Seen,
    /// The moments of the contest's state, in the order of `state::MOMENTS`.
    pub moments: [Option<i64>; 5],
    pub states: Seen,
    pub state_history: History,
    pub contest_history: History,
    pub ended: bool,
}

impl Memory {
    pub fn entry(&mut self, collection: Collection, id: &Id) -> &mut Entry {
        let objects = self.objects.entry(collection).or_default();
        // Looked up first: nearly always there, and `entry` would clone the id.
        if !objects.contains_key(id) {
            objects.insert(id.clone(), Entry::default());
        }
        objects.get_mut(id).expect("just inserted")
    }
}

/// Stands for the content of what is gone.
pub(super) const GONE: u64 = 0;

/// 64 bits of BLAKE3 of a JSON value, whatever the order of its fields.
pub(super) fn content_hash(value: &Value) -> u64 {
    let mut hasher = blake3::Hasher::new();
    feed(&mut hasher, value);
    u64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().expect("a BLAKE3 hash has 32 bytes"))
}

fn feed(hasher: &mut blake3::Hasher, value: &Value) {
    let text = |hasher: &mut blake3::Hasher, tag: u8, text: &str| {
        hasher.update(&[tag]);
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    match value {
        Value::Null => text(hasher, b'n', ""),
        Value::Bool(b) => text(hasher, b'b', if *b { "1" } else { "0" }),
        Value::Number(n) => text(hasher, b'd', &n.to_string()),
        Value::String(s) => text(hasher, b's', s),
        Value::Array(list) => {
            text(hasher, b'l', &list.len().to_string());
            list.iter().for_each(|v| feed(hasher, v));
        }
        Value::Object(map) => {
            text(hasher, b'o', &map.len().to_string());
            // Sorted here: whether the map is depends on features that other crates turn on.
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(k, _)| k.as_str());
            for (k, v) in fields {
                text(hasher, b'k', k);
                feed(hasher, v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_comes_back_is_a_new_one() {
        let mut h = History::default();
        let versions: Vec<String> = [1, 1, 2, 1, 1, 2, 3].into_iter().map(|c| h.version(c)).collect();
        assert_eq!(versions[0], versions[1], "no change, no new version");
        assert_eq!(versions[3], versions[4]);
        let mut distinct = versions.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 5);
        assert!(versions[0].ends_with(".0") && versions[3].ends_with(".1"));
    }

    #[test]
    fn many_states_stay_distinct_in_bounded_memory() {
        let mut h = History::default();
        let mut all: Vec<String> = (0..3).flat_map(|_| 1..200).map(|c| h.version(c)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3 * 199);
        assert!(h.past.len() <= MOST_STATES);
        let mut seen = Seen::default();
        assert!((0..2 * MOST_SEEN).all(|n| seen.insert(&n.to_string())));
        assert!(!seen.insert(&(2 * MOST_SEEN - 1).to_string()));
        assert_eq!(seen.0.len(), MOST_SEEN);
    }

    #[test]
    fn content_does_not_depend_on_the_order_of_fields() {
        let v = |s: &str| content_hash(&serde_json::from_str(s).unwrap());
        assert_eq!(v(r#"{"a":1,"b":[{"x":null,"y":true}]}"#), v(r#"{"b":[{"y":true,"x":null}],"a":1}"#));
        assert_ne!(v(r#"{"a":1,"b":2}"#), v(r#"{"a":2,"b":1}"#));
        assert_ne!(v(r#"["ab","c"]"#), v(r#"["a","bc"]"#));
    }
}
