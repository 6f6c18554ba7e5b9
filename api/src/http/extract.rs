//! Path, query and body as typed values; what does not fit is a problem that names its field.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use gravity_events::codec::MAX_BATCH_BYTES;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::Problem;
use super::bodies::Room;
use super::misfit::Misfit;

/// How long a peer may pause within a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Parts of the path.
#[derive(Clone, Debug)]
pub struct ApiPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(ApiPath(value)),
            Err(rejection) => Err(path_problem(&rejection)),
        }
    }
}

fn path_problem(rejection: &PathRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid", rejection.body_text()).field("path", rejection.body_text())
}

/// Parameters of the query.
#[derive(Clone, Debug)]
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(ApiQuery(value)),
            Err(rejection) => Err(query_problem(&rejection)),
        }
    }
}

fn query_problem(rejection: &QueryRejection) -> Problem {
    let text = rejection.body_text();
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    let (field, message) = match text.split_once(": ") {
        Some((field, message)) if !field.contains(' ') => (field.to_owned(), message),
        _ => (quoted(text).next().unwrap_or("query").to_owned(), text),
    };
    Problem::new(StatusCode::BAD_REQUEST, "invalid", format!("query parameter `{field}`: {message}"))
        .field(field, message)
}

/// A JSON body.
#[derive(Clone, Debug)]
pub struct ApiJson<T> {
    /// What it says.
    pub value: T,
    /// Its bytes, for telling a repeated request from another one.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = media_type(request.headers());
        if !(kind == "application/json" || kind.ends_with("+json")) {
            return Err(unsupported(&kind, "application/json"));
        }
        let bytes = body_bytes(request.into_body()).await?;
        let value = from_json(&bytes)?;
        Ok(ApiJson { value, bytes })
    }
}

/// The whole body, or why it cannot be read.
pub async fn body_bytes(body: Body) -> Result<Bytes, Problem> {
    collect(body, MAX_BATCH_BYTES, BODY_TIMEOUT).await
}

/// Reads a body of so many bytes at most, whose peer pauses no longer than that. One that comes in one piece is not copied.
async fn collect(mut body: Body, bytes_max: usize, pause_max: Duration) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body has more than {bytes_max} bytes"))
            .hint("split the batch, or store the payload elsewhere and refer to it")
    };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut room = Room::new();
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    loop {
        let frame = tokio::time::timeout(pause_max, body.frame());
        let frame = match frame.await.map_err(|_| Problem::timeout("the rest of the body did not come"))? {
            Some(frame) => frame.map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, "bad_request", format!("the body cannot be read: {error}"))
            })?,
            None => break,
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        room.take(data.len())?;
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(room.keep_for(if whole.is_empty() { first } else { whole.freeze() }))
}

/// The media type of the request without its parameters, in lower case; empty where there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// 415: this is not what the route reads.
pub fn unsupported(found: &str, expected: &str) -> Problem {
    let found = if found.is_empty() {
        "no content type that can be read".to_owned()
    } else {
        format!("`{}`", super::problem::clip(found, 80))
    };
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the body has {found}; expected {expected}"),
    )
    .field("content-type", format!("expected {expected}"))
}

/// Reads a JSON object; what does not fit names its field: 400 where it is no JSON, else 422.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if is_other_json(bytes) {
        return Err(Problem::invalid("body", "is not a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() { Misfit::new(&path, &inner.to_string()).into() } else { not_json(&inner) }
    })?;
    reader.end().map_err(|e| not_json(&e))?;
    Ok(value)
}

/// JSON, but no object. Serde would read an array as the fields of a struct in their order, which nobody means.
pub fn is_other_json(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    first != Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "syntax", format!("the body is not JSON: {error}"))
        .hint("send one JSON object in UTF-8")
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The code of a problem that has nothing but a status.
pub fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "token_needed",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::CONFLICT => "conflict",
        StatusCode::GONE => "gone",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        s if s.is_server_error() => "internal",
        _ => "bad_request",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        team: String,
        #[serde(default)]
        count: u32,
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_bytes_and_in_time() {
        let pieces = |pieces: &[&'static str]| {
            let pieces: Vec<_> = pieces.iter().map(|p| Ok::<_, std::convert::Infallible>(*p)).collect();
            Body::from_stream(futures::stream::iter(pieces))
        };
        let soon = Duration::from_millis(1);
        assert_eq!(collect(Body::from("abc"), 3, soon).await.unwrap(), "abc");
        assert_eq!(collect(pieces(&["a", "", "bc"]), 3, soon).await.unwrap(), "abc");
        assert_eq!(collect(Body::empty(), 0, soon).await.unwrap(), "");
        for body in [Body::from("abcd"), pieces(&["abc", "d"]), pieces(&["abcd"])] {
            assert_eq!(collect(body, 3, soon).await.unwrap_err().status, 413);
        }
        let stuck = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(collect(stuck, 3, soon).await.unwrap_err().status, 408);
        let broken = futures::stream::iter([Ok("a"), Err(std::io::Error::other("gone"))]);
        assert_eq!(collect(Body::from_stream(broken), 3, soon).await.unwrap_err().status, 400);
    }

    #[test]
    fn misfits_name_their_field() {
        for (text, status, code, field) in [
            (r#"{"inner":[{"count":1}]}"#, 422, "missing", "inner[0].team"),
            (r#"{"inner":[{"team":"a","cuont":1}]}"#, 422, "unknown_key", "inner[0].cuont"),
            (r#"{"inner":[{"team":"a","count":-1}]}"#, 422, "invalid", "inner[0].count"),
            (r#"{"inner":7}"#, 422, "invalid", "inner"),
            (r#"[]"#, 422, "invalid", "body"),
            (r#"[[]]"#, 422, "invalid", "body"),
            (r#""x""#, 422, "invalid", "body"),
        ] {
            let p = from_json::<Outer>(text.as_bytes()).unwrap_err();
            assert_eq!((p.status, p.code.as_ref(), p.errors[0].field.as_str()), (status, code, field), "{text}");
        }
        assert!(from_json::<Outer>(br#"{"inner":[{"team":"a","cuont":1}]}"#).unwrap_err().detail.contains("`count`"));
        for text in ["", "{", "{}x", "nul"] {
            assert_eq!(from_json::<serde_json::Value>(text.as_bytes()).unwrap_err().status, 400, "{text}");
        }
    }
}
