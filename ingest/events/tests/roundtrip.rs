//! Print and parse are inverse for every record type, in every mode, and the identity is of the data, not of its text.

#[path = "common/records.rs"]
mod records;

use gravity_events::canonical::canonical;
use gravity_events::codec::{decode, decode_batch, decode_binary, decode_full, encode};
use gravity_events::{Body, Record};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

#[test]
fn every_type_round_trips() {
    for kind in Body::KINDS {
        let mut runner = TestRunner::deterministic();
        let strategy = records::record_of(kind);
        for _ in 0..100 {
            let record = strategy.new_tree(&mut runner).expect(kind).current();
            assert_eq!(record.body.kind(), *kind);
            assert_eq!(record.validate(), Ok(()), "{record:?}");
            let printed = encode(&record);
            assert_eq!(decode(&printed).as_ref(), Ok(&record), "{}", String::from_utf8_lossy(&printed));
            assert!(!printed.contains(&b'\n'), "one line, for tools that read lines");
        }
    }
}

#[test]
fn kinds_are_unique_and_keyed() {
    let mut runner = TestRunner::deterministic();
    for (n, kind) in Body::KINDS.iter().enumerate() {
        assert!(!Body::KINDS[..n].contains(kind), "{kind} twice");
        let record = records::record_of(kind).new_tree(&mut runner).expect(kind).current();
        let key = record.key();
        let tenant = key.split('/').next().expect("a part");
        assert!(!tenant.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()), "{key}");
    }
}

/// The same JSON with other white space, key order, string escapes and, where `numbers`, number spellings.
fn respell(value: &Value, seed: u64) -> String {
    fn string(text: &str, seed: u64) -> String {
        let escaped = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04X}")).collect::<String>();
        let chars = text.chars().enumerate().map(|(n, c)| {
            let plain = c >= ' ' && c != '"' && c != '\\';
            if plain && !(seed + n as u64).is_multiple_of(3) { c.to_string() } else { escaped(c) }
        });
        format!("\"{}\"", chars.collect::<String>())
    }
    match value {
        Value::Object(members) => {
            let mut members: Vec<String> =
                members.iter().map(|(k, v)| format!("{}\t:{}", string(k, seed), respell(v, seed / 2))).collect();
            let by = seed as usize % members.len().max(1);
            members.rotate_left(by);
            if seed.is_multiple_of(2) {
                members.reverse();
            }
            format!("{{\n{} }}", members.join(" , "))
        }
        Value::Array(items) => {
            format!("[ {}]", items.iter().map(|v| respell(v, seed / 2)).collect::<Vec<_>>().join(",\r\n"))
        }
        Value::String(text) => string(text, seed),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn identity_is_of_the_data(record in records::record(), seed in any::<u64>()) {
        let printed = encode(&record);
        let (full, identity) = decode_full(&printed).expect("good");
        prop_assert_eq!(&full, &record);
        let value: Value = serde_json::from_slice(&printed).expect("JSON");
        let other = respell(&value, seed);
        let (same, same_identity) = decode_full(other.as_bytes()).map_err(|e| TestCaseError::fail(format!("{e}: {other}")))?;
        prop_assert_eq!(&same, &record);
        prop_assert_eq!(same_identity, identity);
    }

    #[test]
    fn identity_changes_with_any_part(record in records::record()) {
        let identity = |r: &Record| decode_full(&encode(r)).expect("good").1;
        let was = identity(&record);
        let changed = |change: fn(&mut Record)| {
            let mut other = record.clone();
            change(&mut other);
            identity(&other)
        };
        for who in [
            changed(|r| r.id = "other-id".into()),
            changed(|r| r.source = "other-source".into()),
            changed(|r| r.tenant = "other-tenant".into()),
        ] {
            prop_assert_ne!(who.id, was.id);
            prop_assert_eq!(who.data, was.data);
        }
        for what in [
            changed(|r| r.event = Some("other-event".into())),
            changed(|r| r.subject = r.subject.is_none().then(|| "s".into())),
            changed(|r| r.time_ms = Some(r.time_ms.map_or(0, |t| t ^ 1))),
        ] {
            prop_assert_ne!(what.data, was.data);
            prop_assert_eq!(what.id, was.id);
        }
        let backfill = changed(|r| r.backfill = !r.backfill);
        prop_assert_eq!(backfill, was);
    }

    #[test]
    fn batches_keep_each_record_and_its_bytes(records in prop::collection::vec(records::record(), 0..6), bad in 0..6_usize) {
        let mut items: Vec<Vec<u8>> = records.iter().map(encode).collect();
        let bad = bad.min(items.len());
        items.insert(bad, b"{\"id\":\xff\"\"}".iter().copied().filter(|b| *b != 0xff).collect());
        let batch = [b"[ ".as_slice(), &items.join(&b" ,\n"[..]), b" ]"].concat();
        let decoded = decode_batch(&batch).expect("an array");
        prop_assert_eq!(decoded.len(), items.len());
        let mut expected = records.iter();
        for (n, item) in decoded.into_iter().enumerate() {
            if n == bad {
                prop_assert!(item.is_err());
            } else {
                let (record, raw) = item.expect("good");
                prop_assert_eq!(raw, items[n].as_slice());
                prop_assert_eq!(Some(&record), expected.next());
            }
        }
    }

    #[test]
    fn binary_mode_is_structured_mode(record in records::record()) {
        let value: Value = serde_json::from_slice(&encode(&record)).expect("JSON");
        let percent = |text: &str| text.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        let headers = value.as_object().expect("an object").iter().filter(|(name, _)| *name != "data").map(|(name, v)| {
            (format!("ce-{name}"), v.as_str().map_or_else(|| v.to_string(), percent))
        });
        let (same, raw) = decode_binary(headers, value["data"].to_string().as_bytes()).expect("good");
        prop_assert_eq!(&same, &record);
        prop_assert_eq!(decode_full(&raw).expect("good"), decode_full(&encode(&record)).expect("good"));
    }

    #[test]
    fn canonical_form_is_one_per_value(record in records::record(), seed in any::<u64>()) {
        let printed = record.body.encode().expect("JSON");
        let text = canonical(&printed).expect("JSON").into_owned();
        prop_assert!(matches!(canonical(&text), Ok(std::borrow::Cow::Borrowed(_))), "idempotent: {}", text);
        let value: Value = serde_json::from_str(&printed).expect("JSON");
        let respelt = respell(&value, seed);
        let other = canonical(&respelt).expect("JSON");
        prop_assert_eq!(other.as_ref(), text.as_str());
        // Nothing is lost: but for numbers, which become doubles, the canonical text is the same value.
        let doubles = |v: &Value| canonical(&v.to_string()).expect("JSON").into_owned();
        prop_assert_eq!(doubles(&serde_json::from_str(&text).expect("JSON")), doubles(&value));
    }
}
