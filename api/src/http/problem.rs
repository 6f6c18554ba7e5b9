//! Errors as `application/problem+json` (RFC 9457), with `code`, `hint`, `request_id` and `errors[]`.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::DecodeError;
use gravity_ingest::log::LogError;
use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::misfit::Misfit;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Longest `detail` or message that is sent: an error never echoes a payload back whole.
const MAX_TEXT_BYTES: usize = 600;

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `team` or `data.problem`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// An error as its reader gets it.
#[derive(Serialize, ToSchema)]
struct Shape<'a> {
    /// `urn:gravity:problem:<code>`.
    #[serde(rename = "type")]
    kind: String,
    /// The meaning of the status, in words.
    title: &'a str,
    /// HTTP status.
    status: u16,
    /// What was wrong with this request.
    detail: &'a str,
    /// Stable, for programs.
    code: &'a str,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    /// The request's id, as in `x-request-id` and the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// Fields at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

/// An error of a route. [`crate::http::layers::observe`] adds the request's id on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable, for programs.
    pub code: Cow<'static, str>,
    /// What was wrong with this request.
    pub detail: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Fields at fault.
    pub errors: Vec<FieldError>,
    /// Seconds after which a retry makes sense; sent as `Retry-After`.
    pub retry_after_s: Option<u32>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = Shape {
            kind: format!("urn:gravity:problem:{}", self.code),
            title: self.status_code().canonical_reason().unwrap_or("Error"),
            status: self.status,
            detail: &self.detail,
            code: &self.code,
            hint: self.hint.as_deref(),
            request_id: None,
            errors: &self.errors,
        };
        shape.serialize(serializer)
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Shape::schema()
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Shape::schemas(schemas);
    }
}

impl Problem {
    /// A problem of this status and code.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Problem {
        Problem {
            status: status.as_u16(),
            code: code.into(),
            detail: shortened(detail.into()),
            hint: None,
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    /// Says what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(shortened(hint.into()));
        self
    }

    /// Names a field at fault.
    pub fn field(mut self, field: impl Into<String>, message: impl Into<String>) -> Problem {
        self.errors.push(FieldError { field: shortened(field.into()), message: shortened(message.into()) });
        self
    }

    /// Says when to try again.
    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }

    /// 404 for an event that is not there.
    pub fn unknown_event(event: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "unknown_event", format!("there is no event `{}`", clip(event, 80)))
            .hint("GET /api/v1/events lists the events; a new one is set up by POST /api/v1/events")
    }

    /// 408: it took too long.
    pub fn timeout(detail: &str) -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
            .hint("send it again; a record counts once however often it is sent")
    }

    /// 422: one field holds something that cannot be accepted.
    pub fn invalid(field: &str, message: impl Into<String>) -> Problem {
        let message = message.into();
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", format!("`{field}` {message}")).field(field, message)
    }

    /// The status as axum has it.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

fn shortened(text: String) -> String {
    if text.len() <= MAX_TEXT_BYTES { text } else { format!("{}…", clip(&text, MAX_TEXT_BYTES)) }
}

/// The first bytes of a text, at most `bytes`, cut between characters.
pub fn clip(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Problem {
        let status = match error {
            DecodeError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let problem = Problem::new(status, error.code(), error.to_string());
        match error.field() {
            Some(field) => {
                let message = match &error {
                    DecodeError::Missing { .. } => "is missing".to_owned(),
                    DecodeError::Invalid { problem, .. } => problem.clone(),
                    other => other.to_string(),
                };
                problem.field(field, message)
            }
            None => problem,
        }
    }
}

impl From<Misfit> for Problem {
    fn from(misfit: Misfit) -> Problem {
        let Misfit { code, field, message } = misfit;
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, format!("`{field}` {message}")).field(field, message)
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Problem {
        // The text of an error may name folders and brokers: that is for the operator's log, not for the caller.
        tracing::error!(%error, "the log refused an append");
        Problem::of_log(&error)
    }
}

impl Problem {
    /// What a caller is told of an error of the log.
    pub(crate) fn of_log(error: &LogError) -> Problem {
        match error {
            LogError::Full { .. } => Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "log_full",
                "the log has no space left; nothing was accepted",
            )
            .hint("the operator has to free space or lower the retention; the same request may then be sent again"),
            LogError::Closed => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "log_closed", "the server is stopping")
                .hint("send the same request again: a record counts once however often it is sent")
                .retry_after(5),
            LogError::Kafka { retriable: true, .. } => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "log_unavailable", "the log cannot be reached")
                    .hint("send the same request again: a record counts once however often it is sent")
                    .retry_after(5)
            }
            _ => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "log_failed", "the log failed to store the request")
                .hint("the server's log has the reason, under this request's id; sending it again is safe"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        let mut response = (self.status_code(), [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], body)
            .into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"gravity\""));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_never_echoes_a_payload_whole() {
        let long = "ü".repeat(1 << 20);
        let p = Problem::invalid("team", format!("is `{long}`")).hint(long.clone());
        assert!(
            p.detail.len() < 700 && p.errors[0].message.len() < 700 && p.hint.as_ref().is_some_and(|h| h.len() < 700)
        );
    }

    #[test]
    fn decode_errors_name_their_field() {
        let p = Problem::from(DecodeError::Missing { field: "data.team".into() });
        assert_eq!((p.status, p.code.as_ref(), p.errors[0].field.as_str()), (400, "missing", "data.team"));
        let p = Problem::from(DecodeError::TooLarge { bytes: 9, limit: 8 });
        assert_eq!((p.status, p.code.as_ref()), (413, "too_large"));
    }

    #[test]
    fn log_errors_hide_the_machine() {
        let p = Problem::from(LogError::Full { path: "/data/secret".into() });
        assert_eq!(p.status, 507);
        assert!(!serde_json::to_string(&p).unwrap().contains("secret"));
        assert_eq!(Problem::from(LogError::Closed).into_response().headers()[header::RETRY_AFTER], "5");
    }
}
