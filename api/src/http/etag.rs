//! Entity tags and conditional requests (RFC 9110, 13.1.2).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::board::View;

/// A strong entity tag of a content.
pub fn content_tag(bytes: &[u8]) -> String {
    format!("\"{}\"", &blake3::hash(bytes).to_hex()[..24])
}

/// How answers of a view may be kept: asked about each time, and the jury's by nobody in between.
pub fn cache_control(view: View) -> &'static str {
    match view {
        View::Public => "no-cache",
        View::Jury => "private, no-cache",
    }
}

/// Whether the caller has this entity already: `If-None-Match` is `*` or lists the tag (weakly compared).
pub fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let bare = |t: &str| t.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|t| t.trim() == "*" || bare(t) == bare(tag))
}

/// The response with its tag, or 304 when the caller has it already.
pub fn conditional(headers: &HeaderMap, tag: &str, cache: &'static str, body: impl FnOnce() -> Response) -> Response {
    let mut response = if matches(headers, tag) { StatusCode::NOT_MODIFIED.into_response() } else { body() };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_weakly_and_in_lists() {
        let with = |v: &str| HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(v).unwrap())]);
        assert!(matches(&with("\"a\", W/\"b\""), "\"b\""));
        assert!(matches(&with("*"), "\"b\""));
        assert!(!matches(&with("\"ab\""), "\"b\""));
        assert!(!matches(&HeaderMap::new(), "\"b\""));
    }
}
