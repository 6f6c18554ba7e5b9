//! The whole HTTP interface as one router over shared state.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use gravity_events::board::View;
use gravity_events::codec::MAX_BATCH_BYTES;
use gravity_ingest::log::{Log, LogError, Produce};
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

use crate::http::idempotency::Idempotency;
use crate::http::{Problem, Tokens, Viewer, health, layers, pages};
use crate::operations::Operations;
use crate::services::{contests, events, ops, records};
use crate::serving::{Boards, handlers};
use crate::visibility::Visibility;
use crate::{metrics, openapi};

/// How long a handler may take until its answer begins. Longer than a wait for visibility.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a verification of everything may take.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(3_600);
/// How long a peer may pause within a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Milliseconds since 1970 by this server's clock: what a submission's time is stamped with.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// The serving index.
    pub boards: Arc<Boards>,
    /// What the pipelines have committed.
    pub visibility: Arc<Visibility>,
    /// The process that hosts this.
    pub operations: Arc<dyn Operations>,
    /// Accepted tokens.
    pub tokens: Tokens,
    /// Signs receipts.
    pub receipt_key: Arc<[u8; 32]>,
    /// Keys of creates.
    pub idempotency: Arc<Idempotency>,
    /// The wall clock.
    pub clock: Clock,
    /// Cancelled when a shutdown begins.
    pub shutdown: CancellationToken,
    /// Whether it has been ready once.
    pub was_ready: Arc<AtomicBool>,
}

impl AppState {
    /// State with the system's clock. `key` is secret and kept with the data, so that receipts stay checkable.
    pub fn new(
        log: Arc<dyn Log>,
        boards: Arc<Boards>,
        visibility: Arc<Visibility>,
        operations: Arc<dyn Operations>,
        admin_token: &str,
        key: &[u8; 32],
    ) -> AppState {
        AppState {
            log,
            boards,
            visibility,
            operations,
            tokens: Tokens::admin(admin_token),
            receipt_key: Arc::new(blake3::derive_key("gravity 2026 receipts of submissions", key)),
            idempotency: Arc::default(),
            clock: Arc::new(wall_clock_ms),
            shutdown: CancellationToken::new(),
            was_ready: Arc::default(),
        }
    }

    /// Appends records; goes on to the end even when the caller is gone, so that a client that closes its connection
    /// leaves nothing half written.
    pub async fn append(&self, records: Vec<Produce>) -> Result<Vec<gravity_events::Position>, Problem> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let topics: Vec<_> = records.iter().map(|r| r.topic).collect();
        let positions = tokio::spawn(self.log.append(records)).await.unwrap_or(Err(LogError::Closed))?;
        for topic in topics {
            metrics::RECORDS.with_label_values(&[topic.name(), "accepted"]).inc();
        }
        Ok(positions)
    }
}

fn wall_clock_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

impl FromRef<AppState> for Tokens {
    fn from_ref(state: &AppState) -> Tokens {
        state.tokens.clone()
    }
}

impl FromRef<AppState> for Arc<Boards> {
    fn from_ref(state: &AppState) -> Arc<Boards> {
        state.boards.clone()
    }
}

/// Every route: its method, its path as OpenAPI writes it, its handler. [`crate::openapi`] documents exactly these.
pub(crate) fn routes(state: &AppState) -> Vec<(Method, &'static str, MethodRouter<AppState>)> {
    let board = |route: MethodRouter<AppState>| route.layer(from_fn_with_state(state.clone(), board_viewer));
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_TIMEOUT);
    let long = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, VERIFY_TIMEOUT);
    let mut routes = vec![
        (Method::GET, "/", get(pages::index)),
        (Method::GET, "/events/{event}", get(pages::board)),
        (Method::GET, "/assets/{*path}", get(pages::asset)),
        (Method::GET, "/livez", get(health::livez)),
        (Method::GET, "/readyz", get(health::readyz)),
        (Method::GET, "/startupz", get(health::startupz)),
        (Method::GET, "/metrics", get(health::metrics_text)),
        (Method::GET, "/openapi.json", get(openapi::serve)),
        (Method::POST, "/api/v1/records", post(records::post)),
        (Method::GET, "/api/v1/events", board(get(handlers::events))),
        (Method::POST, "/api/v1/events", post(events::apply::post)),
        (Method::POST, "/api/v1/events/{event}/state", post(events::state::post)),
        (Method::POST, "/api/v1/events/{event}/submissions", post(events::submissions::post)),
        (Method::GET, "/api/v1/events/{event}/board", board(get(handlers::board))),
        (Method::GET, "/api/v1/events/{event}/board/teams/{team}", board(get(handlers::team))),
        (Method::GET, "/api/v1/events/{event}/board/stream", board(get(handlers::stream))),
        (Method::GET, "/api/contests", get(contests::list)),
        (Method::GET, "/api/contests/{event}", get(contests::contest)),
        (Method::GET, "/api/contests/{event}/state", get(contests::state)),
        (Method::GET, "/api/contests/{event}/teams", get(contests::teams)),
        (Method::GET, "/api/contests/{event}/problems", get(contests::problems)),
        (Method::GET, "/api/contests/{event}/scoreboard", get(contests::scoreboard)),
        (Method::GET, "/api/contests/{event}/awards", get(contests::awards)),
        (Method::GET, "/api/v1/ops/status", get(ops::status)),
        (Method::GET, "/api/v1/ops/deadletters", get(ops::dead_letters)),
        (Method::GET, "/api/v1/ops/deadletters/{id}", get(ops::dead_letter)),
        (Method::POST, "/api/v1/ops/deadletters/retry", post(ops::retry)),
    ];
    routes.iter_mut().for_each(|(_, _, route)| *route = std::mem::take(route).layer(timeout));
    routes.push((Method::POST, "/api/v1/ops/verify", post(ops::verify).layer(long)));
    routes
}

/// How many routes there are, for the test that the document has them all.
pub fn route_count(state: &AppState) -> usize {
    routes(state).len()
}

/// The router of everything. Serve it with [`crate::serve`], or call it in tests.
pub fn router(state: AppState) -> Router {
    metrics::register();
    let router = routes(&state).into_iter().fold(Router::new(), |router, (_, path, route)| router.route(path, route));
    // The last layer is the outermost. Errors become problems inside the compression, which only sees final bodies.
    router
        .with_state(state)
        .layer(DefaultBodyLimit::max(MAX_BATCH_BYTES))
        .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
        .layer(from_fn(layers::observe))
        .layer(from_fn(layers::secure))
        .layer(cors())
        // Leaves event streams alone: they must not wait in a compressor's buffer.
        .layer(CompressionLayer::new())
}

/// Other sites may read what is public; tokens stay with this one (no Authorization header is allowed across origins).
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::ACCEPT, header::IF_NONE_MATCH, HeaderName::from_static("last-event-id")])
        .expose_headers([header::ETAG, header::RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(Duration::from_secs(3_600))
}

/// Tells the board handlers what this caller may see.
async fn board_viewer(State(_): State<AppState>, viewer: Viewer, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(handlers::Viewer { may_see_jury: viewer.may_see(View::Jury) });
    next.run(request).await
}
