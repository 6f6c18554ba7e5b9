//! One line of an event feed, whatever its dialect: which collection, which object, which version, what happens.

use gravity_events::Id;
use serde_json::{Map, Value};

use super::fields::as_id;
use crate::feeds::{Cursor, FeedError};

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// The object is now this.
    Set(Map<String, Value>),
    /// The whole collection is now this.
    Replace(Vec<Value>),
    /// The object is gone.
    Delete,
}

/// A line of a feed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// The collection, as the feed names it.
    pub kind: String,
    /// Id of the object, where the line is about one that has any.
    pub id: Option<Id>,
    /// What tells this state of the object from its others: the token, or the event id of the old dialect.
    pub version: Option<String>,
    /// Where the feed is to go on after this line.
    pub cursor: Option<Cursor>,
    /// What happens.
    pub change: Change,
}

/// Reads a line; `None` for a keep-alive.
pub(super) fn parse(line: &str, number: u64) -> Result<Option<Event>, FeedError> {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() {
        return Ok(None);
    }
    let value: Value =
        serde_json::from_str(line).map_err(|e| FeedError::NotJson { line: number, problem: e.to_string() })?;
    let wrong = |problem: &str| FeedError::NotAnEvent { line: number, problem: problem.into() };
    let Value::Object(mut fields) = value else {
        return Err(wrong("not an object; expected an event such as {\"type\":\"teams\",\"id\":..,\"data\":..}"));
    };
    let Some(Value::String(kind)) = fields.remove("type") else {
        return Err(wrong("`type` is missing or not a string; expected the name of a collection such as `teams`"));
    };
    let id = as_id(fields.get("id")).map_err(|p| wrong(&format!("`id` {p}")))?;
    let token = as_id(fields.get("token")).map_err(|p| wrong(&format!("`token` {p}")))?.map(String::from);
    let cursor = token.clone().map(Cursor::Token);
    let Some(data) = fields.remove("data") else {
        if fields.get("op").is_some_and(|op| op == "delete") && id.is_some() {
            return Ok(Some(Event { kind, id, version: token, cursor, change: Change::Delete }));
        }
        return Err(wrong("`data` is missing; expected an object, a list, or null for what was deleted"));
    };
    let inner = match &data {
        Value::Object(d) => as_id(d.get("id")).map_err(|p| wrong(&format!("`data.id` {p}")))?,
        Value::Array(_) | Value::Null => None,
        _ => return Err(wrong("`data` is neither an object nor a list nor null")),
    };
    let Some(op) = fields.remove("op").filter(|op| !op.is_null()) else {
        let change = match data {
            Value::Object(d) => Change::Set(d),
            Value::Array(list) => Change::Replace(list),
            _ => Change::Delete,
        };
        return Ok(Some(Event { kind, id: id.or(inner), version: token, cursor, change }));
    };
    // The old dialect: `id` is the event's, unless nothing else names the object.
    let op = op.as_str().unwrap_or_default();
    let cursor = cursor.or_else(|| id.clone().map(|id| Cursor::EventId(id.into())));
    let own = id.clone().map(String::from);
    let (change, object, version) = match (op, data) {
        ("create" | "update", Value::Object(d)) => (Change::Set(d), inner, token.or(own)),
        ("create" | "update", Value::Array(list)) => (Change::Replace(list), None, token.or(own)),
        ("delete", _) if inner.is_some() => (Change::Delete, inner, token.or(own)),
        ("delete", _) => (Change::Delete, id, token),
        ("create" | "update", _) => return Err(wrong("`data` is null; expected the object, or `op` delete")),
        _ => return Err(wrong("`op` is none of create, update, delete")),
    };
    Ok(Some(Event { kind, id: object, version, cursor, change }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Event {
        parse(line, 1).expect("an event").expect("not a keep-alive")
    }

    #[test]
    fn token_dialect() {
        let e = event("\u{feff}{\"type\":\"teams\",\"id\":\"5\",\"data\":{\"id\":\"5\"},\"token\":\"t1\"}\r\n");
        assert_eq!((e.kind.as_str(), e.id.as_deref(), e.version.as_deref()), ("teams", Some("5"), Some("t1")));
        assert_eq!(e.cursor, Some(Cursor::Token("t1".into())));
        let e = event(r#"{"type":"teams","id":"5","data":null,"token":"t2"}"#);
        assert_eq!((e.id.as_deref(), e.change), (Some("5"), Change::Delete));
        let e = event(r#"{"type":"teams","id":null,"data":[{"id":"1"},{"id":"2"}],"token":3}"#);
        assert!(matches!(e.change, Change::Replace(list) if list.len() == 2));
        assert_eq!((e.id, e.version.as_deref()), (None, Some("3")));
        let e = event(r#"{"type":"teams","data":{"id":7}}"#);
        assert_eq!((e.id.as_deref(), e.version, e.cursor), (Some("7"), None, None));
    }

    #[test]
    fn op_dialect() {
        let e = event(r#"{"type":"submissions", "id":"pc2-274", "op":"create", "data": {"id":"4"}}"#);
        assert_eq!((e.id.as_deref(), e.version.as_deref()), (Some("4"), Some("pc2-274")));
        assert_eq!(e.cursor, Some(Cursor::EventId("pc2-274".into())));
        let e = event(r#"{"type":"teams", "id":"pc2-9", "op":"delete", "data": {"id":"4"}}"#);
        assert_eq!((e.id.as_deref(), e.version.as_deref(), e.change), (Some("4"), Some("pc2-9"), Change::Delete));
        for line in [
            r#"{"type":"teams", "id":"4", "op":"delete", "data": null}"#,
            r#"{"type":"teams", "id":"4", "op":"delete"}"#,
        ] {
            let e = event(line);
            assert_eq!((e.id.as_deref(), e.version, e.change), (Some("4"), None, Change::Delete), "{line}");
        }
    }

    #[test]
    fn keep_alives_and_errors() {
        for line in ["", "\n", "  \r\n", "\u{feff}"] {
            assert_eq!(parse(line, 1), Ok(None));
        }
        assert!(matches!(parse("{\"type\":", 7), Err(FeedError::NotJson { line: 7, .. })));
        for bad in [
            "3",
            "[]",
            "{}",
            r#"{"type":5,"data":{}}"#,
            r#"{"type":"teams","id":"5"}"#,
            r#"{"type":"teams","id":"5","data":"x"}"#,
            r#"{"type":"teams","id":["5"],"data":null}"#,
            r#"{"type":"teams","id":"5","op":"create","data":null}"#,
            r#"{"type":"teams","id":"5","op":"destroy","data":{"id":"5"}}"#,
        ] {
            let e = parse(bad, 9).expect_err(bad);
            assert!(matches!(e, FeedError::NotAnEvent { line: 9, .. }), "{bad}: {e}");
        }
    }
}
