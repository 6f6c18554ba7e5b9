//! Binary mode: the attributes in HTTP headers, the data in the body (CloudEvents HTTP Protocol Binding 1.0.2, 3.1).

use crate::codec::{MAX_RECORD_BYTES, decode, print};
use crate::scan::Scanner;
use crate::{DecodeError, Record};

/// Decodes a record from headers (names in any case; those that are neither `ce-*` nor `content-type` are ignored) and
/// body. Also returns it in structured mode, as it goes on the topic: unknown extensions and fields are kept in it.
pub fn decode_binary<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
    body: &[u8],
) -> Result<(Record, Vec<u8>), DecodeError> {
    if body.len() > MAX_RECORD_BYTES {
        return Err(DecodeError::TooLarge {
            bytes: body.len(),
            limit: MAX_RECORD_BYTES,
        });
    }
    let mut out = b"{".to_vec();
    for (name, value) in headers {
        let name = name.as_ref().to_ascii_lowercase();
        let attribute = match (name.as_str(), name.strip_prefix("ce-")) {
            ("content-type", _) => "datacontenttype",
            (_, Some(attribute @ ("data" | "data_base64" | "datacontenttype" | ""))) => {
                let problem = "is not an attribute in a header; the body is the data, `content-type` is its type";
                return Err(invalid(&format!("ce-{attribute}"), problem));
            }
            (_, Some(attribute)) => attribute,
            (_, None) => continue,
        };
        let value = header_value(value.as_ref()).map_err(|problem| invalid(&name, problem))?;
        match (attribute, value.as_str()) {
            ("backfill", "true" | "false") => {
                print::string(&mut out, attribute);
                out.push(b':');
                out.extend_from_slice(value.as_bytes());
            }
            _ => {
                print::string(&mut out, attribute);
                out.push(b':');
                print::string(&mut out, &value);
            }
        }
        out.push(b',');
        if out.len() > MAX_RECORD_BYTES {
            return Err(DecodeError::TooLarge {
                bytes: out.len(),
                limit: MAX_RECORD_BYTES,
            });
        }
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(DecodeError::Missing { field: "data".into() });
    }
    // One whole value: a body must not be able to close the object and write attributes of its own.
    let mut scanner = Scanner::new(body);
    scanner.skip()?;
    scanner.end()?;
    out.extend_from_slice(b"\"data\":");
    out.extend_from_slice(body);
    out.push(b'}');
    decode(&out).map(|record| (record, out))
}

fn invalid(field: &str, problem: &str) -> DecodeError {
    DecodeError::Invalid {
        field: field.chars().take(80).collect(),
        problem: problem.into(),
    }
}

/// The text of a header's value: quotes of RFC 7230 taken off, then one round of percent-decoding.
fn header_value(value: &[u8]) -> Result<String, &'static str> {
    let value = value.trim_ascii();
    let unquoted = match value {
        [b'"', inner @ .., b'"'] => unquote(inner),
        plain => plain.to_vec(),
    };
    let mut text = Vec::with_capacity(unquoted.len());
    let mut rest = unquoted.as_slice();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            text.push(*first);
            continue;
        }
        let hex = |b: &u8| char::from(*b).to_digit(16);
        match rest {
            [high, low, after @ ..] if hex(high).is_some() && hex(low).is_some() => {
                text.push((hex(high).unwrap_or(0) * 16 + hex(low).unwrap_or(0)) as u8);
                rest = after;
            }
            _ => return Err("has a `%` without two hexadecimal digits after it; write `%25`"),
        }
    }
    String::from_utf8(text).map_err(|_| "is not UTF-8 once percent-decoded")
}

fn unquote(inner: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(b) = bytes.next() {
        text.push(if *b == b'\\' { *bytes.next().unwrap_or(b) } else { *b });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"submission":"s","team":"t","problem":"p","later":1}"#;

    fn headers() -> Vec<(&'static str, &'static str)> {
        vec![
            ("Content-Type", "application/json; charset=utf-8"),
            ("Host", "localhost"),
            ("ce-specversion", "1.0"),
            ("CE-ID", "a%20b%C3%A9"),
            ("ce-source", "\"feed \\\"x\\\"\""),
            ("ce-type", "submission.received"),
            ("ce-tenant", "acme"),
            ("ce-event", "e"),
            ("ce-time", "2026-03-14T08:00:00Z"),
            ("ce-backfill", "true"),
            ("ce-traceparent", "00-1"),
        ]
    }

    fn fails(name: &'static str, value: &'static str, body: &[u8]) -> String {
        let mut all = headers();
        all.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        all.push((name, value));
        decode_binary(all, body).expect_err("refused").to_string()
    }

    #[test]
    fn reads_headers_and_body() {
        let (record, raw) = decode_binary(headers(), BODY).expect("good");
        assert_eq!(
            (record.id.as_str(), record.source.as_str(), record.backfill),
            ("a bé", "feed \"x\"", true)
        );
        assert_eq!(decode(&raw), Ok(record));
        let kept: serde_json::Value = serde_json::from_slice(&raw).expect("JSON");
        assert_eq!(
            (&kept["traceparent"], &kept["data"]["later"]),
            (&"00-1".into(), &1.into())
        );
    }

    #[test]
    fn refuses_with_the_header_at_fault() {
        assert_eq!(fails("ce-id", "", BODY), "`id` is empty");
        assert_eq!(
            fails("ce-id", "50%", BODY),
            "`ce-id` has a `%` without two hexadecimal digits after it; write `%25`"
        );
        assert_eq!(fails("ce-id", "%ff", BODY), "`ce-id` is not UTF-8 once percent-decoded");
        assert_eq!(
            fails("ce-specversion", "0.3", BODY),
            "`specversion` is \"0.3\", expected \"1.0\""
        );
        assert_eq!(
            fails("content-type", "text/xml", BODY),
            "`datacontenttype` is \"text/xml\", expected application/json"
        );
        assert!(fails("ce-data", "{}", BODY).starts_with("`ce-data` is not an attribute in a header"));
        assert_eq!(
            fails("ce-backfill", "maybe", BODY),
            "`backfill` is a string, expected true or false"
        );
        assert_eq!(fails("ce-x", "1", b" "), "`data` is missing");
        let mut twice = headers();
        twice.push(("ce-id", "b"));
        assert_eq!(
            decode_binary(twice, BODY).expect_err("twice").to_string(),
            "`id` is given twice"
        );
    }

    #[test]
    fn a_body_writes_no_attributes() {
        let mut all = headers();
        all.retain(|(name, _)| *name != "ce-tenant");
        let body = br#"{"submission":"s","team":"t","problem":"p"},"tenant":"other""#;
        assert!(matches!(decode_binary(all, body), Err(DecodeError::Syntax(_))));
        assert!(matches!(decode_binary(headers(), b"\xff"), Err(DecodeError::Syntax(_))));
    }
}
