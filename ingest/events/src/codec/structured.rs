//! Structured mode: the envelope, read by hand in one pass.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::canonical::{Scratch, with_scratch};
use crate::codec::{MAX_ATTRIBUTES, MAX_RECORD_BYTES, limits};
use crate::id::id_problem;
use crate::scan::{JsonError, JsonProblem, Scanner, Span, unescape};
use crate::time::parse_rfc3339_ms;
use crate::{Body, DecodeError, Id, Identity, Record};

/// The attributes as given, and where `data` stands.
#[derive(Default)]
struct Envelope<'a> {
    specversion: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    tenant: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    content_type: Option<Cow<'a, str>>,
    backfill: bool,
    data: Option<&'a str>,
}

/// The attributes with a meaning of their own; the position is the bit that says "given".
const KNOWN: [&str; 12] = [
    "specversion",
    "id",
    "source",
    "type",
    "tenant",
    "event",
    "subject",
    "time",
    "backfill",
    "datacontenttype",
    "data",
    "data_base64",
];

/// Place of an attribute in [`KNOWN`].
fn known(name: &str) -> Option<usize> {
    KNOWN.iter().position(|known| known.len() == name.len() && *known == name)
}

/// Decodes a record; the identity is only computed where it is asked for (else it is zero).
pub(super) fn decode(bytes: &[u8], identify: bool) -> Result<(Record, Identity), DecodeError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(DecodeError::TooLarge { bytes: bytes.len(), limit: MAX_RECORD_BYTES });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| DecodeError::Syntax(format!("invalid UTF-8 at byte {}", e.valid_up_to())))?;
    with_scratch(|scratch| {
        // Room for the length of the canonical data, which comes first in what is hashed.
        scratch.out.extend_from_slice(&[0; 4]);
        let envelope = read(text, scratch)?;
        let record = envelope.into_record()?;
        let identity = if identify { identity(&record, scratch) } else { Identity { id: 0, data: 0 } };
        Ok((record, identity))
    })
}

/// Reads the envelope; leaves the canonical form of `data` in the scratch. That form is written even where no
/// identity is asked for: it is what finds duplicate keys and depth, so that all ways of decoding accept the same.
fn read<'a>(text: &'a str, scratch: &mut Scratch) -> Result<Envelope<'a>, DecodeError> {
    let mut s = Scanner::new(text.as_bytes());
    let mut envelope = Envelope::default();
    let (mut given, mut unknown) = (0_u16, SmallVec::<[Cow<'a, str>; 4]>::new());
    s.need(b'{', "`{`: a record is an object")?;
    let mut open = !s.take(b'}');
    while open {
        let key = s.key()?;
        let name = string_at(text, &key)?;
        s.space();
        let Some(bit) = known(&name) else {
            if unknown.contains(&name) {
                return Err(twice(&name));
            }
            if unknown.len() == MAX_ATTRIBUTES - KNOWN.len() {
                let problem = format!("is one attribute too many: a record has at most {MAX_ATTRIBUTES}");
                return Err(DecodeError::Invalid { field: name.chars().take(80).collect(), problem });
            }
            unknown.push(name);
            s.skip()?;
            open = more(&mut s)?;
            continue;
        };
        if given & (1 << bit) != 0 {
            return Err(twice(&name));
        }
        given |= 1 << bit;
        let field = KNOWN[bit];
        match field {
            "data" => envelope.data = data(text, &mut s, scratch)?,
            "data_base64" => {
                if s.peek() != Some(b'n') {
                    let problem = "is not accepted: a record's data is a JSON object, in `data`".into();
                    return Err(DecodeError::Invalid { field: field.into(), problem });
                }
                s.literal()?;
            }
            "backfill" => {
                envelope.backfill = match s.peek() {
                    Some(b't' | b'f' | b'n') => s.literal()? == "true",
                    _ => return Err(wrong_type(&s, field, "true or false")),
                };
            }
            _ => {
                let value = match s.peek() {
                    Some(b'"') => Some(string_at(text, &s.string()?)?),
                    // The JSON format of CloudEvents: null is the same as absent.
                    Some(b'n') => s.literal().map(|_| None)?,
                    _ => return Err(wrong_type(&s, field, "a string")),
                };
                *match field {
                    "specversion" => &mut envelope.specversion,
                    "id" => &mut envelope.id,
                    "source" => &mut envelope.source,
                    "type" => &mut envelope.kind,
                    "tenant" => &mut envelope.tenant,
                    "event" => &mut envelope.event,
                    "subject" => &mut envelope.subject,
                    "time" => &mut envelope.time,
                    _ => &mut envelope.content_type,
                } = value;
            }
        }
        open = more(&mut s)?;
    }
    s.end()?;
    Ok(envelope)
}

fn more(s: &mut Scanner<'_>) -> Result<bool, JsonError> {
    if s.take(b',') {
        return Ok(true);
    }
    s.need(b'}', "`,` or `}`").map(|()| false)
}

/// Takes the value of `data` and writes its canonical form; `None` for null.
fn data<'a>(text: &'a str, s: &mut Scanner<'_>, scratch: &mut Scratch) -> Result<Option<&'a str>, DecodeError> {
    match s.peek() {
        Some(b'{') => {}
        Some(b'n') => return Ok(s.literal().map(|_| None)?),
        _ => return Err(wrong_type(s, "data", "an object")),
    }
    let start = s.at();
    match scratch.value(s) {
        Ok(()) => Ok(Some(&text[start..s.at()])),
        Err(error @ JsonError { problem: JsonProblem::Expected(_), .. }) => Err(error.into()),
        Err(error) => Err(DecodeError::Invalid { field: "data".into(), problem: format!("cannot be read: {error}") }),
    }
}

fn string_at<'a>(text: &'a str, span: &Span) -> Result<Cow<'a, str>, JsonError> {
    let content = &text[span.range.clone()];
    if span.escaped { unescape(content, span.range.start).map(Cow::Owned) } else { Ok(Cow::Borrowed(content)) }
}

fn twice(name: &str) -> DecodeError {
    DecodeError::Invalid { field: name.chars().take(80).collect(), problem: "is given twice".into() }
}

fn wrong_type(s: &Scanner<'_>, field: &str, expected: &'static str) -> DecodeError {
    let found = match s.peek() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => {
            return DecodeError::from(JsonError { at: s.at(), problem: JsonProblem::Expected("a value") });
        }
    };
    DecodeError::Invalid { field: field.into(), problem: format!("is {found}, expected {expected}") }
}

impl Envelope<'_> {
    fn into_record(self) -> Result<Record, DecodeError> {
        match self.specversion.as_deref() {
            Some("1.0") => {}
            Some(other) => return Err(unexpected("specversion", other, "\"1.0\"")),
            None => return Err(missing("specversion")),
        }
        let id = required("id", self.id)?;
        let source = required("source", self.source)?;
        let kind = self.kind.ok_or_else(|| missing("type"))?;
        let tenant = required("tenant", self.tenant)?;
        let event = optional("event", self.event)?;
        let subject = optional("subject", self.subject)?;
        let time_ms = self.time.map(|t| time(&t)).transpose()?;
        if let Some(kind) = self.content_type.filter(|kind| !is_json(kind)) {
            return Err(unexpected("datacontenttype", &kind, "application/json"));
        }
        let data = self.data.ok_or_else(|| missing("data"))?;
        let body = Body::decode_text(&kind, data)?;
        if body.needs_event() && event.is_none() {
            return Err(missing("event"));
        }
        if body.needs_time() && time_ms.is_none() {
            return Err(missing("time"));
        }
        Ok(Record { id, source, tenant, event, subject, time_ms, backfill: self.backfill, body })
    }
}

fn missing(field: &str) -> DecodeError {
    DecodeError::Missing { field: field.into() }
}

fn unexpected(field: &str, found: &str, expected: &str) -> DecodeError {
    let found: String = found.chars().take(80).collect();
    DecodeError::Invalid { field: field.into(), problem: format!("is {found:?}, expected {expected}") }
}

fn required(field: &str, value: Option<Cow<'_, str>>) -> Result<Id, DecodeError> {
    optional(field, value)?.ok_or_else(|| missing(field))
}

fn optional(field: &str, value: Option<Cow<'_, str>>) -> Result<Option<Id>, DecodeError> {
    let Some(value) = value else { return Ok(None) };
    match id_problem(&value) {
        None => Ok(Some(Id::from(value.as_ref()))),
        Some(problem) => Err(DecodeError::Invalid { field: field.into(), problem: problem.into() }),
    }
}

fn time(text: &str) -> Result<i64, DecodeError> {
    let ms = parse_rfc3339_ms(text).map_err(|problem| {
        let text: String = text.chars().take(80).collect();
        DecodeError::Invalid { field: "time".into(), problem: format!("is `{text}`, which {problem}") }
    })?;
    limits::time(&ms).map_err(|fault| fault.at("time").into_error())?;
    Ok(ms)
}

/// Whether a media type says JSON (CloudEvents JSON format, 3.1): `*/json` or `*/*+json`, with any parameters.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

/// Both hashes. `scratch.out` holds four bytes of room and the canonical data; see [`Identity`] for the layout.
fn identity(record: &Record, scratch: &mut Scratch) -> Identity {
    let out = &mut scratch.out;
    let data_bytes = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&data_bytes.to_le_bytes());
    let mut part = |bytes: Option<&[u8]>| {
        out.push(u8::from(bytes.is_some()));
        if let Some(bytes) = bytes {
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        }
    };
    part(Some(record.body.kind().as_bytes()));
    part(record.subject.as_ref().map(|s| s.as_bytes()));
    part(record.event.as_ref().map(|e| e.as_bytes()));
    part(record.time_ms.map(i64::to_le_bytes).as_ref().map(|t| t.as_slice()));
    let hash = blake3::hash(out);
    let first = hash.as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes");
    Identity { id: Identity::hash_id(&record.tenant, &record.source, &record.id), data: u64::from_le_bytes(*first) }
}
