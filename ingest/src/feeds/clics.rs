//! CLICS event feeds: the token dialects (Contest API 2022-07, 2023-06), and the older one of `op` and event ids.
//!
//! A feed is at-least-once and may start over after a cut connection, so what a record says must not depend on how
//! often a line was seen: a record's id is its object and the line's token, and where a record also depends on what
//! came before (a moment taken back, an object that vanished from its collection), lines seen before give none.

mod event;
mod fields;
mod memory;
mod objects;
mod state;
mod time;

use std::collections::BTreeMap;
use std::mem;

use event::{Change, Event};
use fields::{FieldProblem, Fields, as_id};
use gravity_events::body::Body;
use gravity_events::id::MAX_ID_BYTES;
use gravity_events::record::stable_hash128;
use gravity_events::{Id, Record};
use memory::{Collection, GONE, Memory, content_hash};
use serde_json::{Map, Value};

use super::{Cursor, FeedError, Importer, Outgoing};

/// Kinds that are counted by name; a hostile feed could bring any number.
const MOST_KINDS: usize = 64;

/// Turns a CLICS event feed into records. Memory is proportional to the objects, not to the lines.
pub struct ClicsImporter {
    tenant: Id,
    event: Id,
    source: Id,
    line: u64,
    cursor: Option<Cursor>,
    memory: Memory,
    skipped: BTreeMap<String, u64>,
    problems: Vec<FeedError>,
}

/// A record and the object that it must stay in order with.
struct Told {
    record: Record,
    collection: &'static str,
    object: Id,
}

impl ClicsImporter {
    /// Records of `event` of `tenant`. `source` is their CloudEvents source: see [`super::source_name`].
    pub fn new(tenant: impl Into<Id>, event: impl Into<Id>, source: impl Into<Id>) -> ClicsImporter {
        ClicsImporter {
            tenant: tenant.into(),
            event: event.into(),
            source: source.into(),
            line: 0,
            cursor: None,
            memory: Memory::default(),
            skipped: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// The records of one line; none for a keep-alive or a kind that is not ours. An error is about this line alone.
    /// Of a whole collection the objects that can be read are taken; see [`Importer::take_problems`] for the others.
    pub fn push(&mut self, line: &str) -> Result<Vec<Record>, FeedError> {
        Ok(self.take(line)?.into_iter().map(|t| t.record).collect())
    }

    fn take(&mut self, line: &str) -> Result<Vec<Told>, FeedError> {
        self.line += 1;
        let Some(event) = event::parse(line, self.line)? else {
            return Ok(Vec::new());
        };
        if event.cursor.is_some() {
            self.cursor.clone_from(&event.cursor);
        }
        match event.kind.as_str() {
            "contest" | "contests" => self.contest(event),
            "state" => self.state(event),
            kind => match Collection::from_name(kind) {
                Some(collection) => self.collection(collection, event),
                None => {
                    self.skip(kind);
                    Ok(Vec::new())
                }
            },
        }
    }

    fn contest(&mut self, event: Event) -> Result<Vec<Told>, FeedError> {
        let Some(data) = single(event.change) else {
            self.skip("delete of the contest");
            return Ok(Vec::new());
        };
        let body = objects::configured(Fields(&data)).map_err(|p| self.wrong("contest", "", p))?;
        let history = &mut self.memory.contest_history;
        let version = event.version.unwrap_or_else(|| history.version(content_hash(&Value::Object(data))));
        Ok(vec![self.told("contest", Id::const_new(""), &["contest", &version], body, None)])
    }

    fn state(&mut self, event: Event) -> Result<Vec<Told>, FeedError> {
        let data = single(event.change).unwrap_or_default();
        let (moments, ended) = state::moments(Fields(&data)).map_err(|p| self.wrong("state", "", p))?;
        let version = match event.version {
            Some(version) if !self.memory.states.insert(&version) => return Ok(Vec::new()),
            Some(version) => version,
            None => self.memory.state_history.version(content_hash(&Value::Object(data))),
        };
        self.memory.ended = ended;
        let before = mem::replace(&mut self.memory.moments, moments);
        let changed = (0..moments.len()).filter(|&n| moments[n] != before[n]);
        let told = changed.map(|n| {
            let id = ["state", state::MOMENTS[n], &version];
            self.told("state", Id::const_new(state::MOMENTS[n]), &id, state::body(n, moments[n]), moments[n])
        });
        Ok(told.collect())
    }

    fn collection(&mut self, collection: Collection, event: Event) -> Result<Vec<Told>, FeedError> {
        let version = event.version.as_deref();
        let list = match event.change {
            Change::Replace(list) => list,
            Change::Set(_) | Change::Delete if event.id.is_none() => {
                let problem = format!("an event of `{}` without an id; expected `id` or `data.id`", collection.name());
                return Err(FeedError::NotAnEvent { line: self.line, problem });
            }
            Change::Set(data) => {
                let id = event.id.unwrap_or_default();
                return Ok(vec![self.set(collection, id, data, version)?]);
            }
            Change::Delete => {
                return Ok(self.delete(collection, event.id.unwrap_or_default(), version).into_iter().collect());
            }
        };
        let mut told = Vec::new();
        let mut listed = std::collections::BTreeSet::new();
        for item in list {
            let id = as_id(item.get("id")).ok().flatten();
            let (Some(id), Value::Object(data)) = (id, item) else {
                let problem = format!("an object of the list of `{}` has no usable `id`", collection.name());
                self.problems.push(FeedError::NotAnEvent { line: self.line, problem });
                continue;
            };
            listed.insert(id.clone());
            match self.set(collection, id, data, version) {
                Ok(t) => told.push(t),
                Err(e) => self.problems.push(e),
            }
        }
        // A list that comes again says nothing of objects that came after it the first time.
        if version.is_none_or(|v| self.memory.replaced.entry(collection).or_default().insert(v)) {
            let objects = self.memory.objects.entry(collection).or_default();
            let vanished = objects.iter().filter(|(id, e)| e.alive && !listed.contains(*id));
            let vanished: Vec<Id> = vanished.map(|(id, _)| id.clone()).collect();
            told.extend(vanished.into_iter().filter_map(|id| self.delete(collection, id, version)));
        }
        Ok(told)
    }

    fn set(
        &mut self,
        on: Collection,
        id: Id,
        data: Map<String, Value>,
        version: Option<&str>,
    ) -> Result<Told, FeedError> {
        let known = self.memory.objects.get(&on).is_some_and(|objects| objects.contains_key(&id));
        let entry = self.memory.entry(on, &id);
        let (body, time_ms) = match objects::set(on, &id, Fields(&data), entry) {
            Ok(made) => made,
            Err(problem) => {
                if !known {
                    self.memory.objects.entry(on).or_default().remove(&id);
                }
                return Err(self.wrong(on.name(), &id, problem));
            }
        };
        entry.alive = true;
        let by_content = match version {
            Some(_) => None,
            None => Some(entry.history.version(content_hash(&Value::Object(data)))),
        };
        let version = by_content.as_deref().or(version).unwrap_or_default();
        Ok(self.told(on.name(), id.clone(), &[on.name(), &id, version], body, time_ms))
    }

    fn delete(&mut self, on: Collection, id: Id, version: Option<&str>) -> Option<Told> {
        let none = memory::Entry::default();
        let known = self.memory.objects.get(&on).and_then(|objects| objects.get(&id));
        // What was skipped the first time must not take away what came after it when it is told again.
        if on == Collection::Submissions && version.is_some_and(|v| self.memory.ignored.contains(v)) {
            return None;
        }
        let Some(body) = objects::gone(on, &id, known.unwrap_or(&none)) else {
            if let Some(version) = version {
                self.memory.ignored.insert(version);
            }
            self.skip("delete of an unknown submission");
            return None;
        };
        let entry = self.memory.entry(on, &id);
        entry.alive = false;
        let by_content = match version {
            Some(_) => None,
            None => Some(entry.history.version(GONE)),
        };
        let version = by_content.as_deref().or(version).unwrap_or_default();
        Some(self.told(on.name(), id.clone(), &[on.name(), &id, version], body, None))
    }

    fn told(&self, collection: &'static str, object: Id, id: &[&str], body: Body, time_ms: Option<i64>) -> Told {
        let record = Record {
            id: record_id(id),
            source: self.source.clone(),
            tenant: self.tenant.clone(),
            event: Some(self.event.clone()),
            subject: None,
            time_ms,
            backfill: true,
            body,
        };
        Told { record, collection, object }
    }

    fn wrong(&self, kind: &'static str, id: &str, p: FieldProblem) -> FeedError {
        FeedError::Object { line: self.line, kind, id: id.into(), field: p.field, problem: p.problem }
    }

    fn skip(&mut self, kind: &str) {
        let known = self.skipped.contains_key(kind) || self.skipped.len() < MOST_KINDS;
        let kind: String = if known { kind.chars().take(80).collect() } else { "other kinds".into() };
        *self.skipped.entry(kind).or_default() += 1;
    }
}

impl Importer for ClicsImporter {
    fn push_line(&mut self, line: &str, out: &mut Vec<Outgoing>) -> Result<(), FeedError> {
        out.extend(self.take(line)?.iter().map(|t| Outgoing::new(&t.record, &[t.collection, &t.object])));
        Ok(())
    }

    fn take_problems(&mut self) -> Vec<FeedError> {
        mem::take(&mut self.problems)
    }

    fn skipped(&self) -> &BTreeMap<String, u64> {
        &self.skipped
    }

    fn cursor(&self) -> Option<Cursor> {
        self.cursor.clone()
    }

    fn ended(&self) -> bool {
        self.memory.ended
    }

    fn scope(&self) -> String {
        [&self.tenant, &self.event, &self.source].map(|part| percent(part)).join("/")
    }

    fn snapshot(&self) -> Option<String> {
        serde_json::to_string(&(&self.cursor, &self.memory)).ok()
    }

    fn restore(&mut self, snapshot: &str) -> Result<(), String> {
        (self.cursor, self.memory) = serde_json::from_str(snapshot).map_err(|e| e.to_string())?;
        Ok(())
    }
}

/// The contest or the state, from an object or a list of one.
fn single(change: Change) -> Option<Map<String, Value>> {
    match change {
        Change::Set(data) => Some(data),
        Change::Replace(list) => list.into_iter().find_map(|v| match v {
            Value::Object(data) => Some(data),
            _ => None,
        }),
        Change::Delete => None,
    }
}

/// The parts, percent-encoded and joined by `/`; hashed where that is too long for an id.
fn record_id(parts: &[&str]) -> Id {
    let id = parts.iter().map(|p| percent(p)).collect::<Vec<_>>().join("/");
    if id.len() <= MAX_ID_BYTES {
        return Id::from(id);
    }
    let bytes: Vec<&[u8]> = parts.iter().map(|p| p.as_bytes()).collect();
    Id::from(format!("{}/#{:032x}", parts[0], stable_hash128(&bytes)))
}

fn percent(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for c in part.chars() {
        if matches!(c, '%' | '/' | '#') || c.is_control() {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
