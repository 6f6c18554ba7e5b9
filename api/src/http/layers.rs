//! What wraps every route: request ids, problems instead of bare errors, caught panics, metrics, headers.

use std::any::Any;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body_util::BodyExt;
use tracing::Instrument;

use super::Problem;
use super::extract::code_of;
use super::problem::{PROBLEM_JSON, clip};
use crate::metrics;

/// The request's id, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Largest error body that is looked into.
const ERROR_BODY_MAX: usize = 64 << 10;

/// Gives the request an id (the caller's, where it has a sane one), a span, a metric and a response that always says
/// what went wrong as a problem, also when a handler panicked.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let (method, began_at) = (request.method().clone(), Instant::now());
    request.extensions_mut().insert(RequestId(id.clone()));
    let path = request.uri().path();
    let span =
        tracing::info_span!("request", %method, route = route.as_deref(), path = clip(path, 200), request_id = %id);
    let result = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let response = match result {
        Ok(response) => response,
        Err(panic) => {
            span.in_scope(|| tracing::error!(panic = panic_text(panic.as_ref()), "a handler panicked"));
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed on this request")
                .hint("the server's log has the reason, under this request's id")
                .into_response()
        }
    };
    let mut response = as_problem(response, &id).await;
    let status = response.status();
    let route = route.as_deref().unwrap_or("unmatched");
    let took_s = began_at.elapsed().as_secs_f64();
    metrics::HTTP_DURATION.with_label_values(&[service(route), route, status.as_str()]).observe(took_s);
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), took_s, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), took_s, "answered");
        }
    });
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID.clone(), value);
    }
    response
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}

/// The caller's id if it is short and plain (it goes into logs), else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(&X_REQUEST_ID).and_then(|v| v.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    given.filter(plain).map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned)
}

/// The service of a route template, as a metric's label.
fn service(route: &str) -> &str {
    let mut parts = route.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("api"), Some("v1"), Some(service)) => service,
        (Some("api"), Some(service), _) => service,
        (Some("" | "events" | "assets"), ..) => "pages",
        _ => "operations",
    }
}

/// Completes an error response: problems get the request's id, anything else becomes a problem.
async fn as_problem(response: Response, request_id: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let bytes =
        http_body_util::Limited::new(body, ERROR_BODY_MAX).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let is_problem = head.headers.get(header::CONTENT_TYPE).is_some_and(|v| v == PROBLEM_JSON);
    let fields = if is_problem { serde_json::from_slice(&bytes).ok() } else { None };
    let mut fields: serde_json::Map<String, serde_json::Value> = fields.unwrap_or_else(|| {
        let problem = bare_problem(status, std::str::from_utf8(&bytes).unwrap_or(""));
        match serde_json::to_value(problem) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        }
    });
    let code = fields.get("code").and_then(|c| c.as_str()).unwrap_or("internal").to_owned();
    if fields.get("type").is_none_or(|t| t == "about:blank") {
        fields.insert("type".into(), format!("urn:gravity:problem:{code}").into());
    }
    fields.insert("request_id".into(), request_id.into());
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response::from_parts(head, Body::from(serde_json::Value::Object(fields).to_string()))
}

/// The problem for an error that a layer or axum itself answered with a status and perhaps a line of text.
fn bare_problem(status: StatusCode, text: &str) -> Problem {
    let detail = match (status, text.trim()) {
        (StatusCode::NOT_FOUND, "") => "there is no such route",
        (StatusCode::METHOD_NOT_ALLOWED, "") => "the route does not know this method; `Allow` lists those that it does",
        (StatusCode::REQUEST_TIMEOUT, "") => "the request took too long",
        (_, "") => status.canonical_reason().unwrap_or("the request failed"),
        (s, _) if s.is_server_error() => "the server failed on this request",
        (_, text) => text,
    };
    let problem = Problem::new(status, code_of(status), detail);
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => problem.hint("GET /openapi.json lists every route"),
        StatusCode::REQUEST_TIMEOUT => problem.hint("send it again; a record counts once however often it is sent"),
        _ => problem,
    }
}

/// Headers that tell browsers to be careful. A response may bring its own Content-Security-Policy (pages do).
pub async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_routes() {
        for (route, name) in [
            ("/api/v1/events/{event}/board", "events"),
            ("/api/v1/records", "records"),
            ("/api/contests/{event}/teams", "contests"),
            ("/", "pages"),
            ("/assets/{*path}", "pages"),
            ("/readyz", "operations"),
            ("unmatched", "operations"),
        ] {
            assert_eq!(service(route), name, "{route}");
        }
    }

    #[test]
    fn a_callers_id_is_taken_only_when_plain() {
        let with = |v: &str| Request::builder().header("x-request-id", v).body(Body::empty()).unwrap();
        assert_eq!(request_id(&with("abc-1.2:3_4")), "abc-1.2:3_4");
        for hostile in ["", "a b", "x\"y", &"a".repeat(65)] {
            assert_eq!(request_id(&with(hostile)).len(), 32);
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_and_nothing_more() {
        async fn panics() {
            panic!("secret of the inside");
        }
        let router = axum::Router::new()
            .route("/panics", axum::routing::get(panics))
            .route(
                "/bare",
                axum::routing::get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "secret of the inside") }),
            )
            .layer(axum::middleware::from_fn(observe));
        for path in ["/panics", "/bare"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
            assert_eq!(
                (response.status().as_u16(), &response.headers()[header::CONTENT_TYPE]),
                (500, &HeaderValue::from_static(PROBLEM_JSON))
            );
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let text = std::str::from_utf8(&bytes).unwrap();
            assert!(
                text.contains("\"code\":\"internal\"") && text.contains("request_id") && !text.contains("secret"),
                "{text}"
            );
        }
    }
}
