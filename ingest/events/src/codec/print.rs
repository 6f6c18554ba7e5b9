//! Printing in structured mode.

use crate::Record;
use crate::time::format_rfc3339_ms;

/// Prints one record in structured mode, in one line. What [`Record::validate`] finds good, [`crate::codec::decode`]
/// reads back as it was.
pub fn encode(record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    out.extend_from_slice(br#"{"specversion":"1.0""#);
    attribute(&mut out, "id", &record.id);
    attribute(&mut out, "source", &record.source);
    attribute(&mut out, "type", record.body.kind());
    attribute(&mut out, "tenant", &record.tenant);
    if let Some(event) = &record.event {
        attribute(&mut out, "event", event);
    }
    if let Some(subject) = &record.subject {
        attribute(&mut out, "subject", subject);
    }
    if let Some(ms) = record.time_ms {
        attribute(&mut out, "time", &format_rfc3339_ms(ms));
    }
    if record.backfill {
        out.extend_from_slice(br#","backfill":true"#);
    }
    out.extend_from_slice(br#","data":"#);
    record
        .body
        .encode_to(&mut out)
        .expect("a body is plain data, and a Vec takes all of it");
    out.push(b'}');
    out
}

/// Appends `,"name":"value"`.
pub(super) fn attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    string(out, name);
    out.push(b':');
    string(out, value);
}

/// Appends a JSON string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text is JSON, and a Vec takes all of it");
}
