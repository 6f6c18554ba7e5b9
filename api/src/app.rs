//! The whole HTTP interface as one router over shared state.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{FromRef, RawPathParams, Request, State};
use axum::http::{HeaderName, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use gravity_events::board::View;
use gravity_ingest::log::{Log, Produce};
use gravity_storage::sql::SqlEngine;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};

use crate::bulk::Bulk;
use crate::http::idempotency::Idempotency;
use crate::http::{Problem, Tokens, Viewer, edge, health, pages};
use crate::operations::Operations;
use crate::services::billing::budgets::Budgets;
use crate::services::{analytics, auth, billing, contests, events, labs, ops, records};
use crate::serving::analytics::Analytics;
use crate::serving::burn::Burn;
use crate::serving::flags::Flags;
use crate::serving::{Boards, handlers};
use crate::visibility::Visibility;
use crate::{append, metrics, openapi};

/// Milliseconds since 1970 by this server's clock: what a submission's time is stamped with.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What handlers share. Every request clones it, so that it is one pointer.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// The parts of an [`AppState`].
#[derive(Clone)]
pub struct Shared {
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// The serving index.
    pub boards: Arc<Boards>,
    /// What is flagged for a person.
    pub flags: Arc<Flags>,
    /// What is used and charged; None: no pipeline of this process computes it.
    pub burn: Option<Arc<Burn>>,
    /// Meters and views of events; None: no pipeline of this process computes them.
    pub analytics: Option<Arc<Analytics>>,
    /// What may be spent; None: no pipeline of this process says what was.
    pub budgets: Option<Arc<Budgets>>,
    /// Answers SQL; None: this process does not.
    pub sql: Option<Arc<SqlEngine>>,
    /// What the pipelines have committed.
    pub visibility: Arc<Visibility>,
    /// How far the burn pipeline is with reference data, which the boards pipeline reads too.
    pub prices_visibility: Option<Arc<Visibility>>,
    /// The process that hosts this.
    pub operations: Arc<dyn Operations>,
    /// Accepted tokens.
    pub tokens: Tokens,
    /// Signs receipts.
    pub receipt_key: Arc<[u8; 32]>,
    /// Seals tokens of event feeds.
    pub feed_key: Arc<[u8; 32]>,
    /// Event feeds of contests.
    pub feeds: Arc<contests::feed::Hubs>,
    /// Keys of creates.
    pub idempotency: Arc<Idempotency>,
    /// The wall clock.
    pub clock: Clock,
    /// Where large requests are worked on.
    pub bulk: Bulk,
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
        AppState(Arc::new(Shared {
            log,
            boards,
            flags: Arc::default(),
            burn: None,
            budgets: None,
            analytics: None,
            sql: None,
            visibility,
            prices_visibility: None,
            operations,
            tokens: Tokens::new(admin_token, &blake3::derive_key("gravity 2026 access tokens", key)),
            receipt_key: Arc::new(blake3::derive_key("gravity 2026 receipts of submissions", key)),
            feed_key: Arc::new(blake3::derive_key("gravity 2026 tokens of event feeds", key)),
            feeds: Arc::default(),
            idempotency: Arc::default(),
            clock: Arc::new(wall_clock_ms),
            bulk: Bulk::default(),
            shutdown: CancellationToken::new(),
            was_ready: Arc::default(),
        }))
    }

    /// The same, with what the pipelines of labs and similarity publish to.
    pub fn with_flags(self, flags: Arc<Flags>) -> AppState {
        AppState(Arc::new(Shared { flags, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same, with what the burn pipeline publishes to.
    pub fn with_burn(self, burn: Arc<Burn>, prices_visibility: Arc<Visibility>) -> AppState {
        let (burn, prices_visibility) = (Some(burn), Some(prices_visibility));
        AppState(Arc::new(Shared { burn, prices_visibility, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same, with what the analytics pipeline publishes to.
    pub fn with_analytics(self, analytics: Arc<Analytics>) -> AppState {
        AppState(Arc::new(Shared { analytics: Some(analytics), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same, which keeps budgets.
    pub fn with_budgets(self, budgets: Arc<Budgets>) -> AppState {
        AppState(Arc::new(Shared { budgets: Some(budgets), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same, which answers SQL.
    pub fn with_sql(self, sql: Arc<SqlEngine>) -> AppState {
        AppState(Arc::new(Shared { sql: Some(sql), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same, with threads for large requests.
    pub fn with_bulk(self, bulk: Bulk) -> AppState {
        AppState(Arc::new(Shared { bulk, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same with another clock.
    pub fn with_clock(self, clock: Clock) -> AppState {
        AppState(Arc::new(Shared { clock, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// Appends records; goes on to the end even when the caller is gone. 503 at once while the log's broker is lost.
    pub async fn append(&self, records: Vec<Produce>) -> Result<Vec<gravity_events::Position>, Problem> {
        append::append(&*self.log, records).await
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
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
    vec![
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
        (Method::GET, "/api/v1/events/{event}/submissions/{submission}", get(events::score::get)),
        (Method::GET, "/api/v1/events/{event}/similarity", get(events::similarity::get)),
        (Method::GET, "/api/v1/labs", get(labs::list)),
        (Method::POST, "/api/v1/auth/tokens", post(auth::post)),
        (Method::POST, "/api/v1/events/{event}/preview", post(events::preview::post)),
        (Method::POST, "/api/v1/events/{event}/rescore", post(events::preview::rescore)),
        (Method::GET, "/api/v1/events/{event}/board", board(get(handlers::board))),
        (Method::GET, "/api/v1/events/{event}/board/resolver", get(events::resolver::get)),
        (Method::GET, "/api/v1/events/{event}/board/names", board(get(handlers::names))),
        (Method::GET, "/api/v1/events/{event}/board/teams/{team}", board(get(handlers::team))),
        (Method::GET, "/api/v1/events/{event}/board/changes", board(get(handlers::changes))),
        (Method::GET, "/api/v1/events/{event}/board/series", board(get(handlers::series))),
        (Method::GET, "/api/v1/events/{event}/board/stream", board(get(handlers::stream))),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/burn", get(billing::burn::get)),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/burn/stream", get(billing::burn::stream)),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/adjustments", get(billing::adjustments::get)),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/budgets", get(billing::budgets::get)),
        (Method::POST, "/api/v1/billing/usage/{dialect}", post(billing::adapters::post)),
        (Method::POST, "/api/v1/billing/otlp/v1/metrics", post(billing::adapters::post_otlp)),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/invoices", get(billing::invoices::list)),
        (Method::POST, "/api/v1/billing/tenants/{tenant}/invoices", post(billing::invoices::close)),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/invoices/{month}/{number}", get(billing::invoices::get)),
        (Method::POST, "/api/v1/billing/tenants/{tenant}/prices/preview", post(billing::reprice::post)),
        (Method::POST, "/api/v1/billing/reservations", post(billing::reservations::post)),
        (Method::GET, "/api/v1/billing/reservations/{reservation}", get(billing::reservations::get)),
        (Method::POST, "/api/v1/billing/reservations/{reservation}/settle", post(billing::reservations::settle)),
        (Method::POST, "/api/v1/billing/reservations/{reservation}/release", post(billing::reservations::release)),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/meters", get(billing::meters::list)),
        (Method::GET, "/api/v1/billing/tenants/{tenant}/meters/{meter}", get(billing::meters::get)),
        (Method::GET, "/api/v1/analytics/events/{event}/{view}", get(analytics::views::get)),
        (Method::POST, "/api/v1/analytics/sql", post(analytics::sql::post)),
        (Method::GET, "/api/contests", get(contests::list)),
        (Method::GET, "/api/contests/{event}", get(contests::contest)),
        (Method::GET, "/api/contests/{event}/state", get(contests::state)),
        (Method::GET, "/api/contests/{event}/scoreboard", get(contests::scoreboard)),
        (Method::GET, "/api/contests/{event}/awards", get(contests::awards)),
        (Method::GET, "/api/contests/{event}/access", get(contests::access::access)),
        (Method::GET, "/api/contests/{event}/account", get(contests::access::account)),
        (Method::GET, "/api/contests/{event}/event-feed", get(contests::feed::get)),
        (Method::GET, "/api/contests/{event}/{collection}", get(contests::objects::list)),
        (Method::GET, "/api/contests/{event}/{collection}/{id}", get(contests::objects::one)),
        (Method::GET, "/api/v1/ops/status", get(ops::status)),
        (Method::GET, "/api/v1/ops/deadletters", get(ops::dead_letters)),
        (Method::GET, "/api/v1/ops/deadletters/{id}", get(ops::dead_letter)),
        (Method::POST, "/api/v1/ops/deadletters/retry", post(ops::retry)),
        (Method::POST, ops::VERIFY_PATH, post(ops::verify)),
    ]
}

/// How many routes there are, for the test that the document has them all.
pub fn route_count(state: &AppState) -> usize {
    routes(state).len()
}

/// The router of everything. Serve it with [`crate::serve`], or call it in tests.
pub fn router(state: AppState) -> Router {
    metrics::register();
    let router = routes(&state).into_iter().fold(Router::new(), |router, (_, path, route)| router.route(path, route));
    // All layers at once, as one service of known types: axum keeps each layer of its own as a boxed service, which it
    // clones with all that is inside it for every request.
    router.with_state(state).layer((
        // Outermost. Leaves event streams alone: they must not wait in a compressor's buffer.
        CompressionLayer::new(),
        cors(),
        edge::Edge,
    ))
}

/// Other sites may read what is public; tokens stay with this one (no Authorization header is allowed across origins).
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::ACCEPT, header::IF_NONE_MATCH, HeaderName::from_static("last-event-id")])
        .expose_headers([header::ETAG, header::RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(Duration::from_secs(3_600))
        // The answer is the same for every origin.
        .vary([])
}

/// Tells the board handlers what this caller may see.
async fn board_viewer(
    State(_): State<AppState>,
    viewer: Viewer,
    path: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let event = path.iter().find(|(name, _)| *name == "event").map(|(_, event)| event);
    let may_see_jury = event.is_some_and(|event| viewer.may_see(View::Jury, event));
    request.extensions_mut().insert(handlers::Viewer { may_see_jury });
    next.run(request).await
}
