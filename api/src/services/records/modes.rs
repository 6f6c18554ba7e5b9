//! The content modes of the CloudEvents HTTP protocol binding (1.0.2).

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use gravity_events::burn::RESERVATIONS_SOURCE;
use gravity_events::{Id, Record, codec};
use gravity_ingest::log::Produce;

use super::{no_cloudevent, produce};
use crate::http::Problem;
use crate::http::extract::media_type;

/// How records are laid out in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One JSON object.
    Structured,
    /// An array of them.
    Batched,
    /// Attributes in headers, the data in the body.
    Binary,
}

/// One record of a request.
#[derive(Debug)]
pub(super) enum Item {
    /// It can be appended.
    Good {
        /// The record.
        record: Box<Record>,
        /// Its bytes in structured mode.
        value: Bytes,
    },
    /// It cannot.
    Bad(Problem),
}

impl Mode {
    /// The mode that the headers say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Mode, Problem> {
        let kind = media_type(headers);
        let has_attributes = headers.keys().any(|name| name.as_str().starts_with("ce-"));
        match kind.as_str() {
            "application/cloudevents+json" => Ok(Mode::Structured),
            "application/cloudevents-batch+json" => Ok(Mode::Batched),
            other if other.starts_with("application/cloudevents") => Err(no_cloudevent(other)),
            "application/json" if !has_attributes => Ok(Mode::Structured),
            other if has_attributes && (other == "application/json" || other.ends_with("+json")) => Ok(Mode::Binary),
            other => Err(no_cloudevent(other)),
        }
    }

    /// Reads the records. An error is one of the whole request.
    pub(super) fn read(self, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Item>, Problem> {
        let item = |result: Result<(Record, Bytes), gravity_events::DecodeError>| match result {
            Ok((record, _)) if !record.body.topic().is_input() => Item::Bad(not_input(&record)),
            Ok((record, _)) if record.source == RESERVATIONS_SOURCE => Item::Bad(not_the_ledger()),
            Ok((record, value)) => Item::Good { record: Box::new(record), value },
            Err(error) => Item::Bad(Problem::from(error)),
        };
        match self {
            Mode::Structured => {
                let is_array = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
                if is_array {
                    return Err(Problem::new(
                        StatusCode::BAD_REQUEST,
                        "syntax",
                        "the body is an array, not one record",
                    )
                    .hint("a batch is sent as application/cloudevents-batch+json"));
                }
                Ok(vec![item(codec::decode(body).map(|record| (record, body.clone())))])
            }
            Mode::Batched => {
                let records = codec::decode_batch(body)?;
                Ok(records
                    .into_iter()
                    .map(|r| item(r.map(|(record, bytes)| (record, body.slice_ref(bytes)))))
                    .collect())
            }
            Mode::Binary => {
                let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                Ok(vec![item(codec::decode_binary(pairs, body).map(|(record, bytes)| (record, bytes.into())))])
            }
        }
    }
}

/// Usage under this source does not count against budgets again: it was settled.
fn not_the_ledger() -> Problem {
    let detail =
        format!("the source `{RESERVATIONS_SOURCE}` is that of settled reservations, which only the ledger writes");
    Problem::new(StatusCode::FORBIDDEN, "reserved_source", detail).hint(
        "send usage under a source of your own, or settle a reservation: POST /api/v1/billing/reservations/{id}/settle",
    )
}

fn not_input(record: &Record) -> Problem {
    let (kind, topic) = (record.body.kind(), record.body.topic());
    let message = format!("is `{kind}`, which only pipelines write ({topic})");
    Problem::new(StatusCode::BAD_REQUEST, "not_input", format!("`type` {message}")).field("type", message)
}

impl Item {
    /// The event that it is of.
    pub(super) fn event(&self) -> Option<&Id> {
        match self {
            Item::Good { record, .. } => record.event.as_ref(),
            Item::Bad(_) => None,
        }
    }

    /// Whose it is, of a good one.
    pub(super) fn tenant(&self) -> Option<&Id> {
        match self {
            Item::Good { record, .. } => Some(&record.tenant),
            Item::Bad(_) => None,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Item::Good { .. })
    }

    /// Whether it is the burn pipeline that makes it visible.
    pub(super) fn is_of_prices(&self) -> bool {
        let Item::Good { record, .. } = self else { return false };
        matches!(record.body, gravity_events::Body::PricePublished(_) | gravity_events::Body::BudgetSet(_))
    }

    pub(super) fn produce(&self) -> Option<Produce> {
        match self {
            Item::Good { record, value } => Some(produce(record, value.clone())),
            Item::Bad(_) => None,
        }
    }
}
