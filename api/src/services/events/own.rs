//! The records that the routes of events write themselves.

use axum::http::StatusCode;
use gravity_events::{Body, Id, Position, Record, codec};
use gravity_ingest::log::Produce;

use crate::app::AppState;
use crate::http::Problem;
use crate::services::records::produce;
use crate::serving::HeaderState;

/// A record of an event, and its bytes.
pub(super) struct Own {
    pub(super) record: Record,
    value: Vec<u8>,
}

impl Own {
    /// A record with this body, or the field at fault: what a route answers for is never refused later for its form.
    pub(super) fn new(
        head: &HeaderState,
        id: String,
        source: &'static str,
        time_ms: i64,
        body: Body,
    ) -> Result<Own, Problem> {
        let record = Record {
            id: id.into(),
            source: Id::const_new(source),
            tenant: head.tenant.clone(),
            event: Some(head.event.clone()),
            subject: None,
            time_ms: Some(time_ms),
            backfill: false,
            body,
        };
        match checked(&record) {
            Ok(value) => Ok(Own { record, value }),
            Err((field, message)) => Err(Problem::invalid(&field, message)),
        }
    }

    /// For the log.
    pub(super) fn produce(&self) -> Produce {
        produce(&self.record, self.value.clone().into())
    }

    /// Appends it.
    pub(super) async fn append(&self, state: &AppState) -> Result<Position, Problem> {
        let positions = state.append(vec![self.produce()]).await?;
        positions.first().copied().ok_or_else(|| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "log_failed", "the log returned no position")
        })
    }
}

/// A record's bytes, by the codec's own checks; else the field at fault, as its data names it, and what is wrong.
pub(super) fn checked(record: &Record) -> Result<Vec<u8>, (String, String)> {
    let value = codec::encode(record);
    match codec::decode(&value) {
        Ok(_) => Ok(value),
        Err(error) => {
            let field = error.field().unwrap_or("body").trim_start_matches("data.").to_owned();
            let text = error.to_string();
            Err((field, text.rsplit_once("` ").map_or(text.as_str(), |(_, message)| message).to_owned()))
        }
    }
}
