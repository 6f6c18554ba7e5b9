//! CloudEvents, one per line, as they are: a dump of records, or what another system writes.

use std::collections::BTreeMap;

use gravity_events::{Id, Record, Topic, codec};
use serde_json::value::RawValue;

use super::{FeedError, Importer, Outgoing, order_key};

/// Checks each line and marks it as a backfill, since an import is of what happened before; the rest stays as it is.
pub struct CloudEventsImporter {
    tenant: Option<Id>,
    event: Option<Id>,
    line: u64,
    skipped: BTreeMap<String, u64>,
}

impl CloudEventsImporter {
    /// With a tenant or event that replaces each record's own.
    pub fn new(tenant: Option<Id>, event: Option<Id>) -> CloudEventsImporter {
        CloudEventsImporter { tenant, event, line: 0, skipped: BTreeMap::new() }
    }

    /// The record of one line, checked, and its bytes; `None` for an empty line.
    pub fn push(&mut self, line: &str) -> Result<Option<(Record, Vec<u8>)>, FeedError> {
        self.line += 1;
        let number = self.line;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(None);
        }
        let not_json = |e: serde_json::Error| FeedError::NotJson { line: number, problem: e.to_string() };
        // Values stay the texts that they are: a number is not read and printed again.
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).map_err(not_json)?;
        let mut replace = |name: &str, value: Option<String>| -> Result<(), FeedError> {
            if let Some(json) = value {
                fields.insert(name.into(), RawValue::from_string(json).map_err(not_json)?);
            }
            Ok(())
        };
        let quoted = |id: &Option<Id>| id.as_ref().map(|id| serde_json::Value::from(id.as_str()).to_string());
        replace("backfill", Some("true".into()))?;
        replace("tenant", quoted(&self.tenant))?;
        replace("event", quoted(&self.event))?;
        let bytes = serde_json::to_vec(&fields).map_err(not_json)?;
        let record = codec::decode(&bytes).map_err(|error| FeedError::Record { line: number, error })?;
        Ok(Some((record, bytes)))
    }
}

/// Sums do not depend on order, so usage need only keep the order of equal identities (the first payload counts). Of
/// other records it is not known here what replaces what: one queue for all.
fn key(record: &Record) -> u64 {
    match record.body.topic() {
        Topic::Usage => order_key(&[&record.tenant, &record.source, &record.id]),
        _ => 0,
    }
}

impl Importer for CloudEventsImporter {
    fn push_line(&mut self, line: &str, out: &mut Vec<Outgoing>) -> Result<(), FeedError> {
        if let Some((record, bytes)) = self.push(line)? {
            out.push(Outgoing { bytes, time_ms: record.time_ms, order_key: key(&record) });
        }
        Ok(())
    }

    fn skipped(&self) -> &BTreeMap<String, u64> {
        &self.skipped
    }

    fn scope(&self) -> String {
        format!("{}/{}", self.tenant.as_deref().unwrap_or("-"), self.event.as_deref().unwrap_or("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"specversion":"1.0","id":"r1","source":"/g","type":"usage.tokens","tenant":"t","event":"e","time":"2026-03-14T08:00:00Z","data":{"model":"m","input_tokens":1,"output_tokens":2,"extra":1.50}}"#;

    #[test]
    fn stays_as_it_is_but_for_the_backfill() {
        let mut importer = CloudEventsImporter::new(None, None);
        let (record, bytes) = importer.push(&format!("\u{feff}{LINE}\r")).unwrap().unwrap();
        assert!(record.backfill);
        let mut was: serde_json::Value = serde_json::from_str(LINE).unwrap();
        was["backfill"] = true.into();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&bytes).unwrap(), was);
        assert!(String::from_utf8(bytes).unwrap().contains("1.50"), "numbers keep their text");
        assert_eq!(importer.push("  \n"), Ok(None));
    }

    #[test]
    fn tenant_and_event_can_be_replaced_or_added() {
        let mut importer = CloudEventsImporter::new(Some("x\"y".into()), Some("z".into()));
        for line in [LINE.to_string(), LINE.replace(r#""tenant":"t","event":"e","#, "")] {
            let (record, _) = importer.push(&line).unwrap().unwrap();
            assert_eq!((record.tenant.as_str(), record.event.as_deref()), ("x\"y", Some("z")));
        }
    }

    #[test]
    fn bad_lines_say_which_and_why() {
        let mut importer = CloudEventsImporter::new(None, None);
        assert!(matches!(importer.push("{"), Err(FeedError::NotJson { line: 1, .. })));
        assert!(matches!(importer.push("[1]"), Err(FeedError::NotJson { line: 2, .. })));
        let e = importer.push(&LINE.replace("usage.tokens", "usage.nothing")).unwrap_err();
        assert_eq!((e.line(), e.code()), (3, "unknown_type"));
        assert_eq!(importer.push(&LINE.replace(r#""tenant":"t","#, "")).unwrap_err().code(), "missing");
        assert!(importer.push(LINE).unwrap().is_some(), "goes on after bad lines");
    }

    #[test]
    fn equal_identities_stay_in_order() {
        let mut importer = CloudEventsImporter::new(None, None);
        let mut out = Vec::new();
        for line in [LINE.to_string(), LINE.replace(":2,", ":3,"), LINE.replace("r1", "r2")] {
            importer.push_line(&line, &mut out).unwrap();
        }
        assert_eq!(out[0].order_key, out[1].order_key);
        assert_ne!(out[0].order_key, out[2].order_key);
    }
}
