//! What wraps every route: request ids, a bound on time, problems instead of bare errors, caught panics, metrics, headers.
//!
//! One service, and not one per idea: what a layer costs, it costs every request.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body_util::BodyExt;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use super::Problem;
use super::extract::code_of;
use super::problem::{PROBLEM_JSON, clip};
use crate::metrics;
use crate::services::ops;
use crate::traces::Traced;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Largest error body that is looked into.
const ERROR_BODY_MAX: usize = 64 << 10;

/// The route of what has none.
const UNMATCHED: &str = "unmatched";
/// How long a handler may take until its answer begins. Longer than a wait for visibility.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a verification of everything may take.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Gives the request an id (the caller's, where it has a sane one), a span, a metric and a response that always says
/// what went wrong as a problem, also when a handler panicked or took too long.
#[derive(Clone, Copy, Debug)]
pub struct Edge;

/// A service within the [`Edge`].
#[derive(Clone, Debug)]
pub struct Edged<S>(S);

impl<S> Layer<S> for Edge {
    type Service = Edged<S>;

    fn layer(&self, inner: S) -> Edged<S> {
        Edged(inner)
    }
}

impl<S> Service<Request> for Edged<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let asked = Asked::of(&request);
        let answer = self.0.call(request);
        Box::pin(async move { Ok(asked.answered(answer).await) })
    }
}

/// What is kept of a request until it is answered.
struct Asked {
    id: String,
    route: Option<MatchedPath>,
    traced: Option<Traced>,
    span: Span,
    began_at: Instant,
}

impl Asked {
    fn of(request: &Request) -> Asked {
        let id = request_id(request);
        let route = request.extensions().get::<MatchedPath>().cloned();
        let traced = Traced::begin(request, route.as_ref().map_or(UNMATCHED, MatchedPath::as_str));
        let span = tracing::info_span!(
            "request",
            method = request.method().as_str(),
            route = route.as_ref().map(MatchedPath::as_str),
            path = clip(request.uri().path(), 200),
            request_id = id.as_str(),
            trace_id = tracing::field::Empty
        );
        if let Some(traced) = &traced {
            span.record("trace_id", traced.id());
        }
        Asked { id, route, traced, span, began_at: Instant::now() }
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str)
    }

    async fn answered(self, answer: impl Future<Output = Result<Response, Infallible>>) -> Response {
        let limit = if self.route() == ops::VERIFY_PATH { VERIFY_TIMEOUT } else { ANSWER_TIMEOUT };
        let context = self.traced.as_ref().map(|traced| traced.context.clone());
        let answer = Traced::scope(context, AssertUnwindSafe(answer).catch_unwind());
        let answer = tokio::time::timeout(limit, answer);
        let response = match answer.instrument(self.span.clone()).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(panic)) => {
                self.span.in_scope(|| tracing::error!(panic = panic_text(panic.as_ref()), "a handler panicked"));
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed on this request")
                    .hint("the server's log has the reason, under this request's id")
                    .into_response()
            }
            Err(_) => Problem::timeout("the request took too long").into_response(),
        };
        let mut response = as_problem(response, &self.id).await;
        self.note(response.status());
        if let Some(traced) = self.traced {
            traced.end(response.status());
        }
        secure(&mut response);
        if let Ok(value) = HeaderValue::from_str(&self.id) {
            response.headers_mut().insert(X_REQUEST_ID.clone(), value);
        }
        response
    }

    fn note(&self, status: StatusCode) {
        let took_s = self.began_at.elapsed().as_secs_f64();
        let route = self.route();
        metrics::HTTP_DURATION.with_label_values(&[service(route), route, status.as_str()]).observe(took_s);
        self.span.in_scope(|| {
            if status.is_server_error() {
                tracing::warn!(status = status.as_u16(), took_s, "answered");
            } else {
                tracing::debug!(status = status.as_u16(), took_s, "answered");
            }
        });
    }
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
        (_, "") => status.canonical_reason().unwrap_or("the request failed"),
        (s, _) if s.is_server_error() => "the server failed on this request",
        (_, text) => text,
    };
    let problem = Problem::new(status, code_of(status), detail);
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => problem.hint("GET /openapi.json lists every route"),
        _ => problem,
    }
}

/// Headers that tell browsers to be careful. A response may bring its own Content-Security-Policy (pages do).
fn secure(response: &mut Response) {
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
            .layer(Edge);
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
