//! Valid records, broken in one place. By construction each one has to be refused, and it is known how.

use std::time::{SystemTime, UNIX_EPOCH};

use gravity_events::body::*;
use gravity_events::{Body, Record, codec};
use serde_json::{Map, Value, json};

use crate::support::contest::{attempt, reference};
use gravity_operators::harness::dice::Dice;

/// The event whose board must not move, and its tenant's other event.
pub const EVENT: &str = "prey";

/// Where a mutation is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its bytes cannot even be cut out of a batch.
    Text,
    /// It is JSON, and no record.
    Decoding,
    /// It is a record that may not count: only the pipeline can tell.
    Pipeline,
}

/// A broken record.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// How it was broken.
    pub how: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it is stopped.
    pub stop: Stop,
    /// One of these codes has to be answered.
    pub codes: &'static [&'static str],
    /// The field that has to be named, or the field that it is below.
    pub field: Option<String>,
}

/// Attributes that every record must have as text.
const ATTRIBUTES: [&str; 6] = ["specversion", "id", "source", "type", "tenant", "event"];
const NOT_TEXT: [&str; 5] = ["7", "true", "[\"a\"]", "{\"a\":1}", "-1.5e3"];
const NO_TIMES: [&str; 9] = [
    "\"yesterday\"",
    "\"-2026-01-01T00:00:00Z\"",
    "\"1969-12-31T23:59:59Z\"",
    "\"99999-01-01T00:00:00Z\"",
    "\"2026-13-45T99:99:99Z\"",
    "\"2026-01-01\"",
    "\"\"",
    "-1",
    "1767258000000",
];
/// JSON numbers, all of them, but none that a time in milliseconds or a revision can be.
const NO_INTEGERS: [&str; 8] = [
    "1e308",
    "-9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "0.5",
    "\"1\"",
    "[1]",
];

/// Mutation number `n`: all follows from it and the random numbers. With `large` it may be of some megabytes.
pub fn mutation(n: u64, random: &mut Dice, large: bool) -> Mutation {
    let base = base(n, random);
    let text = String::from_utf8(base.clone()).expect("records are UTF-8");
    let made = |how, bytes: Vec<u8>, stop, codes, field: Option<&str>| Mutation {
        how,
        bytes,
        stop,
        codes,
        field: field.map(str::to_owned),
    };
    let syntax = &["syntax"][..];
    match random.below(if large { 18 } else { 17 }) {
        0 => {
            let end = 1 + random.below(base.len() as u64 - 1) as usize;
            made("truncated", base[..end].to_vec(), Stop::Text, syntax, None)
        }
        1 => {
            // None that could make one record of this and of a truncated one before it.
            let junk = *random.pick(&["\0", "'", ",", "}", "\\\\", "nul ", "//\n", "\"a\" ", "\u{feff}"]);
            made("bad JSON", text.replacen('{', &format!("{{{junk}"), 1).into(), Stop::Text, syntax, None)
        }
        2 => {
            let bad: [&[u8]; 5] = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82"];
            let bad = *random.pick(&bad);
            let at = text.find("\"id\":\"").expect("records have an id") + 6;
            made("invalid UTF-8", [&base[..at], bad, &base[at..]].concat(), Stop::Text, syntax, None)
        }
        3 => {
            let field = *random.pick(&ATTRIBUTES);
            let bytes = with(&text, field, Some(*random.pick(&NOT_TEXT)));
            made("wrong type of an attribute", bytes, Stop::Decoding, &["invalid"], Some(field))
        }
        4 => {
            let field = *random.pick(&ATTRIBUTES);
            made(
                "an attribute is missing",
                with(&text, field, None),
                Stop::Decoding,
                &["missing", "invalid"],
                Some(field),
            )
        }
        5 => {
            let (field, _) = data_field(&text, random);
            let bad = *random.pick(&["[[1]]", "{\"a\":{\"b\":[]}}", "true"]);
            made("wrong type in data", with(&text, &field, Some(bad)), Stop::Decoding, &["invalid"], Some("data"))
        }
        6 => {
            let bad = *random.pick(&NO_TIMES);
            made("absurd time", with(&text, "time", Some(bad)), Stop::Decoding, &["invalid"], Some("time"))
        }
        7 => {
            let (field, bad) = (integer_field(&text), *random.pick(&NO_INTEGERS));
            made("absurd number", with(&text, field, Some(bad)), Stop::Decoding, &["invalid", "syntax"], Some(field))
        }
        8 => {
            let (field, bad) = (integer_field(&text), *random.pick(&["1e400", "-1e999", "9e99999999"]));
            made("a number out of range", with(&text, field, Some(bad)), Stop::Text, &["invalid", "syntax"], None)
        }
        9 => {
            let levels = 200 + random.below(3_000) as usize;
            let (open, close) = *random.pick(&[("[", "]"), ("{\"a\":", "}")]);
            let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            let codes = &["syntax", "invalid"];
            made("deep nesting", with(&text, "data.extra", Some(&deep)), Stop::Text, codes, None)
        }
        10 => {
            let again = *random.pick(&["\"id\":\"x\",", "\"type\":\"team.registered\",", "\"i\\u0064\":\"x\","]);
            let twice = if random.below(2) == 0 {
                text.replacen('{', &format!("{{{again}"), 1)
            } else {
                text.replacen("\"data\":{", "\"data\":{\"extra\":1,\"extra\":2,", 1)
            };
            made("duplicate keys", twice.into(), Stop::Text, &["syntax", "invalid"], None)
        }
        11 => {
            let kind =
                *random.pick(&["\"submission.recieved\"", "\"SUBMISSION.RECEIVED\"", "\"\"", "\"board\"", "\"x.y.z\""]);
            made(
                "unknown type",
                with(&text, "type", Some(kind)),
                Stop::Decoding,
                &["unknown_type", "invalid"],
                Some("type"),
            )
        }
        12 => {
            let long = format!("\"{}\"", "é".repeat(9_000 + random.below(9_000) as usize));
            let field = *random.pick(&["id", "source", "tenant", "event"]);
            made("a long text", with(&text, field, Some(&long)), Stop::Decoding, &["invalid"], Some(field))
        }
        13 => {
            let (whole, field) =
                *random.pick(&[("null", None), ("[]", None), ("7", None), ("\"record\"", None), ("{}", Some(""))]);
            made("no record at all", whole.into(), Stop::Decoding, &["syntax", "missing"], field)
        }
        14 => made("wrong tenant", with(&text, "tenant", Some("\"thief\"")), Stop::Pipeline, &["wrong_tenant"], None),
        15 => {
            let (time, code) = if random.below(2) == 0 {
                ("\"2020-02-02T00:00:00Z\"".to_owned(), &["too_late"][..])
            } else {
                let ahead_ms = 400_000 + random.below(1 << 40) as i64;
                let time = gravity_events::time::format_rfc3339_ms(now_ms() + ahead_ms);
                (format!("\"{time}\""), &["too_early"][..])
            };
            let live = String::from_utf8(with(&text, "time", Some(&time))).expect("text");
            made("not of this time", with(&live, "backfill", None), Stop::Pipeline, code, None)
        }
        16 => {
            // Same identity, other data: the first team is another now.
            let first = reference(EVENT, 1, 1).remove(3);
            let changed =
                with(std::str::from_utf8(&first).expect("text"), "data.name", Some(&format!("\"Impostor {n}\"")));
            made("conflict", changed, Stop::Pipeline, &["conflict"], None)
        }
        _ => {
            let long = format!("\"{}\"", "x".repeat((2 << 20) + random.below(1_000) as usize));
            let field = *random.pick(&["id", "tenant", "data.extra"]);
            made("2 MB of text", with(&text, field, Some(&long)), Stop::Decoding, &["too_large"], None)
        }
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// A valid record, never sent as it is: it would move the board.
fn base(n: u64, random: &mut Dice) -> Vec<u8> {
    let record = |body| {
        codec::encode(&Record {
            id: format!("hostile{n}").into(),
            source: "test".into(),
            tenant: "t".into(),
            event: Some(EVENT.into()),
            subject: None,
            time_ms: Some(1_767_258_000_000),
            backfill: true,
            body,
        })
    };
    match random.below(5) {
        0 => attempt(EVENT, 1_000_000 + n as u32, 20, 5).remove(0),
        1 => attempt(EVENT, 1_000_000 + n as u32, 20, 5).remove(1),
        2 => record(Body::TeamRegistered(TeamRegistered {
            team: "t1".into(),
            name: "Impostor".into(),
            revision: 9,
            ..Default::default()
        })),
        3 => record(Body::EventStarted(Moment { at: Some(1_600_000_000_000), contest_time_ms: Some(0) })),
        _ => record(Body::EventConfigured(EventConfigured {
            name: "Hostile".into(),
            duration_ms: Some(1),
            ..Default::default()
        })),
    }
}

/// An integer that the record has or may have.
fn integer_field(text: &str) -> &'static str {
    let fields = [
        ("submission.received", "data.contest_time_ms"),
        ("judgement.recorded", "data.revision"),
        ("team.registered", "data.revision"),
        ("event.started", "data.contest_time_ms"),
        ("event.configured", "data.duration_ms"),
    ];
    fields.iter().find(|(kind, _)| text.contains(kind)).expect("one of the bases").1
}

/// A field of the data, and its value.
fn data_field(text: &str, random: &mut Dice) -> (String, Value) {
    let value: Value = serde_json::from_str(text).expect("JSON");
    // Flags take a boolean, which is one of the wrong values for everything else.
    let data = value["data"].as_object().expect("an object");
    let fields: Vec<_> = data.iter().filter(|(name, value)| !value.is_boolean() && *name != "scoring").collect();
    let (name, value) = *random.pick(&fields);
    (format!("data.{name}"), value.clone())
}

/// The record with another JSON text for a field (`name` or `data.name`), or without it.
fn with(text: &str, field: &str, json: Option<&str>) -> Vec<u8> {
    const MARK: &str = "\u{1}here\u{1}";
    let mut value: Map<String, Value> = serde_json::from_str(text).expect("JSON");
    let (object, name) = match field.strip_prefix("data.") {
        Some(name) => (value["data"].as_object_mut().expect("an object"), name),
        None => (&mut value, field),
    };
    match json {
        Some(_) => object.insert(name.to_owned(), json!(MARK)),
        None => object.remove(name),
    };
    let marked = serde_json::to_string(&Value::Object(value)).expect("JSON");
    marked.replacen("\"\\u0001here\\u0001\"", json.unwrap_or_default(), 1).into()
}

/// What is said of the mutations holds for the codec by itself.
#[test]
fn mutations_are_what_they_say() {
    let mut random = Dice::new(7);
    let mut wrong = std::collections::BTreeMap::new();
    for n in 0..20_000 {
        let m = mutation(n, &mut random, n % 200 == 0);
        let decoded = codec::decode(&m.bytes);
        let good = match &decoded {
            Ok(_) => m.stop == Stop::Pipeline,
            Err(e) => {
                let named = m.field.as_ref().is_none_or(|f| e.field().is_some_and(|g| g.starts_with(f.as_str())));
                m.codes.contains(&e.code()) && (named || e.code() == "syntax") && m.stop != Stop::Pipeline
            }
        };
        if !good {
            let text = String::from_utf8_lossy(&m.bytes[..m.bytes.len().min(400)]).into_owned();
            wrong.insert((m.how, decoded.err().map(|e| e.to_string())), text);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
