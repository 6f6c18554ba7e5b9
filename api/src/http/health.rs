//! Probes and metrics.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Peer;
use super::{Problem, Viewer};
use crate::app::AppState;
use crate::metrics;

/// A probe's good answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Probe {
    /// `ok`.
    pub status: &'static str,
}

const OK: Json<Probe> = Json(Probe { status: "ok" });

/// The process answers.
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, body = Probe)))]
pub async fn livez() -> Json<Probe> {
    OK
}

/// Traffic may come: every role has started, serving has caught up, and no shutdown has begun.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, body = Probe), (status = 503, description = "Not ready, with the reason", body = Problem)))]
pub async fn readyz(State(state): State<AppState>) -> Result<Json<Probe>, Problem> {
    if state.shutdown.is_cancelled() {
        return Err(not_ready("stopping", "the server is stopping"));
    }
    match state.operations.ready() {
        Ok(()) => {
            state.was_ready.store(true, Ordering::Relaxed);
            Ok(OK)
        }
        Err(reason) => Err(not_ready("not_ready", &reason)),
    }
}

/// The start is over: it was ready once.
#[utoipa::path(get, path = "/startupz", tag = "operations", responses(
    (status = 200, body = Probe), (status = 503, description = "Still starting, with the reason", body = Problem)))]
pub async fn startupz(State(state): State<AppState>) -> Result<Json<Probe>, Problem> {
    if state.was_ready.load(Ordering::Relaxed) {
        return Ok(OK);
    }
    match state.operations.ready() {
        Ok(()) => {
            state.was_ready.store(true, Ordering::Relaxed);
            Ok(OK)
        }
        Err(reason) => Err(not_ready("starting", &reason)),
    }
}

fn not_ready(code: &'static str, reason: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, reason).retry_after(1)
}

/// Headers by which a proxy says that the request is another's.
const FORWARDED: [&str; 8] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
];

/// Metrics in Prometheus' text format. Needs a token, or a caller on this machine that no proxy stands for: metrics
/// tell of hidden work.
#[utoipa::path(get, path = "/metrics", tag = "operations", security((), ("token" = [])), responses(
    (status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"),
    (status = 401, body = Problem)))]
pub async fn metrics_text(
    State(state): State<AppState>,
    viewer: Viewer,
    Peer(peer): Peer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
    let local = peer.is_some_and(|p| p.ip().to_canonical().is_loopback()) && !forwarded;
    if !viewer.principal.is_some_and(|p| p.may_read(None)) && !local {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "token_needed",
            "metrics need a token, or a caller on the server's own machine",
        )
        .hint("send `Authorization: Bearer TOKEN`"));
    }
    metrics::STREAM_SUBSCRIBERS.set(i64::try_from(state.boards.subscribers()).unwrap_or(i64::MAX));
    let text = metrics::text().map_err(|e| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("the metrics cannot be printed: {e}"))
    })?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")],
        text,
    )
        .into_response())
}
