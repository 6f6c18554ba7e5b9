//! The board's pages and their assets, embedded in the binary.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Problem;
use super::etag::{conditional, content_tag};
use super::extract::ApiPath;

/// Name below `static/` and content.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

static TAGS: LazyLock<BTreeMap<&str, (&[u8], String)>> =
    LazyLock::new(|| FILES.iter().map(|(name, bytes)| (*name, (*bytes, content_tag(bytes)))).collect());

/// What a page may load: its own server's files, and nothing else.
const PAGE_POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The page that lists events.
#[utoipa::path(get, path = "/", tag = "pages", responses((status = 200, description = "HTML", content_type = "text/html", body = String)))]
pub async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    file("index.html", &headers)
}

/// The page of an event's board.
#[utoipa::path(get, path = "/events/{event}", tag = "pages", params(("event" = String, Path, description = "Event")),
    responses((status = 200, description = "HTML", content_type = "text/html", body = String)))]
pub async fn board(ApiPath(_event): ApiPath<String>, headers: HeaderMap) -> Result<Response, Problem> {
    file("board.html", &headers)
}

/// A script, style or image of the pages.
#[utoipa::path(get, path = "/assets/{path}", tag = "pages", params(("path" = String, Path, description = "File")),
    responses((status = 200, description = "The file", content_type = "application/octet-stream", body = String), (status = 404, body = Problem)))]
pub async fn asset(ApiPath(path): ApiPath<String>, headers: HeaderMap) -> Result<Response, Problem> {
    file(&path, &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let (bytes, tag) =
        TAGS.get(name).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such file"))?;
    // The names carry no hash, so a browser asks each time, and mostly gets 304.
    let mut response =
        conditional(headers, tag, "no-cache", || ([(header::CONTENT_TYPE, media_type(name))], *bytes).into_response());
    if name.ends_with(".html") {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(PAGE_POLICY));
    }
    Ok(response)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
