//! The limits of the engine, for what comes by PostgreSQL's protocol.

use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion_postgres::DfSessionService;
use datafusion_postgres::pgwire::api::portal::Portal;
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{QueryResponse, Response};
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use futures::{FutureExt, Sink, StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Session;
use super::cancel::Current;
use super::checked::told;
use crate::sql::{Limits, SqlEngine, SqlError};

/// Answers the queries of a connection.
pub(super) struct Queries {
    pub engine: Arc<SqlEngine>,
    pub session: Session,
    pub current: Arc<Current>,
}

/// One query's place among those that are answered.
struct Place(Mutex<Option<OwnedSemaphorePermit>>);

impl Queries {
    fn service(&self) -> Arc<DfSessionService> {
        self.session.read().clone()
    }

    /// Waits for a place: tools ask several things at once.
    async fn place(&self, until: Instant) -> PgWireResult<Arc<Place>> {
        let busy = || told(&SqlError::Busy { limit: self.engine.limits().concurrency });
        let permit = timeout_at(until, self.engine.running().acquire_owned()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let place = Arc::new(Place(Mutex::new(Some(permit))));
        // A client that does not read on keeps its answer, but not its place.
        let held = Arc::downgrade(&place);
        tokio::spawn(async move {
            sleep_until(until).await;
            if let Some(place) = held.upgrade() {
                place.0.lock().take();
            }
        });
        Ok(place)
    }

    fn limit_mb(&self) -> usize {
        self.engine.limits().memory_bytes >> 20
    }

    /// What is asked before there are rows: to the deadline, or until it is cancelled.
    async fn begun<T>(
        &self,
        until: Instant,
        cancelled: &CancellationToken,
        work: impl Future<Output = PgWireResult<T>>,
    ) -> PgWireResult<T> {
        let answered = tokio::select! {
            () = cancelled.cancelled() => return Err(by_request()),
            answered = timeout_at(until, AssertUnwindSafe(work).catch_unwind()) => answered,
        };
        let answered = answered.map_err(|_| told(&SqlError::Time { limit: self.engine.limits().time }))?;
        answered.unwrap_or_else(|_| Err(broken())).map_err(|error| in_words(error, self.limit_mb()))
    }
}

/// Rows until the deadline, until there are too many, or until it is cancelled.
fn limited(
    response: Response,
    limits: &Limits,
    until: Instant,
    cancelled: &CancellationToken,
    place: &Arc<Place>,
) -> Response {
    let Response::Query(QueryResponse { command_tag, row_schema, data_rows, .. }) = response else { return response };
    let limits = limits.clone();
    let all = (data_rows, 0, cancelled.clone(), place.clone());
    let rows = stream::unfold(all, move |(mut rows, told_rows, cancelled, place)| {
        let limits = limits.clone();
        async move {
            // The engine is others' code, which panics now and then: that ends the query, and not the connection.
            let next = tokio::select! {
                biased;
                () = cancelled.cancelled() => Ok(Ok(Some(Err(by_request())))),
                next = timeout_at(until, AssertUnwindSafe(rows.next()).catch_unwind()) => next,
            };
            let row = match next {
                Err(_) => Err(told(&SqlError::Time { limit: limits.time })),
                Ok(Err(_)) => Err(broken()),
                Ok(Ok(None)) => return None,
                Ok(Ok(Some(_))) if told_rows == limits.rows => Err(told(&SqlError::Rows { limit: limits.rows })),
                Ok(Ok(Some(Err(error)))) => Err(in_words(error, limits.memory_bytes >> 20)),
                Ok(Ok(Some(Ok(row)))) => Ok(row),
            };
            Some((row, (rows, told_rows + 1, cancelled, place)))
        }
    });
    let mut limited = QueryResponse::new(row_schema, rows);
    limited.set_command_tag(&command_tag);
    Response::Query(limited)
}

/// As PostgreSQL says it.
fn by_request() -> PgWireError {
    let message = "canceling statement due to user request".to_owned();
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), "57014".to_owned(), message)))
}

fn broken() -> PgWireError {
    told(&crate::sql::engine::broken())
}

/// What the engine says, as it says it by HTTP.
fn in_words(error: PgWireError, limit_mb: usize) -> PgWireError {
    match error {
        PgWireError::ApiError(error) => match error.downcast::<DataFusionError>() {
            Ok(error) => told(&SqlError::running(*error, limit_mb)),
            Err(error) => PgWireError::ApiError(error),
        },
        other => other,
    }
}

#[async_trait]
impl SimpleQueryHandler for Queries {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let until = Instant::now() + self.engine.limits().time;
        let place = self.place(until).await?;
        let service = self.service();
        let cancelled = self.current.begin();
        let work = SimpleQueryHandler::do_query(&*service, client, query);
        let responses = self.begun(until, &cancelled, work).await?;
        let limits = self.engine.limits();
        Ok(responses.into_iter().map(|response| limited(response, limits, until, &cancelled, &place)).collect())
    }
}

#[async_trait]
impl ExtendedQueryHandler for Queries {
    type Statement = <DfSessionService as ExtendedQueryHandler>::Statement;
    type QueryParser = <DfSessionService as ExtendedQueryHandler>::QueryParser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        self.service().query_parser()
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let until = Instant::now() + self.engine.limits().time;
        let place = self.place(until).await?;
        let service = self.service();
        let cancelled = self.current.begin();
        let work = ExtendedQueryHandler::do_query(&*service, client, portal, max_rows);
        let response = self.begun(until, &cancelled, work).await?;
        Ok(limited(response, self.engine.limits(), until, &cancelled, &place))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use datafusion_postgres::pgwire::messages::data::DataRow;

    async fn ends(
        rows: impl futures::Stream<Item = PgWireResult<DataRow>> + Send + 'static,
        cancel: bool,
    ) -> (usize, String) {
        let limits = Limits { rows: 3, time: Duration::from_millis(50), ..Limits::default() };
        let (until, cancelled) = (Instant::now() + limits.time, CancellationToken::new());
        if cancel {
            cancelled.cancel();
        }
        let place = Arc::new(Place(Mutex::new(None)));
        let response = Response::Query(QueryResponse::new(Arc::default(), rows));
        let Response::Query(mut limited) = limited(response, &limits, until, &cancelled, &place) else { panic!() };
        let mut told = 0;
        while let Some(row) = limited.data_rows.next().await {
            match row {
                Ok(_) => told += 1,
                Err(error) => return (told, error.to_string()),
            }
        }
        (told, String::new())
    }

    #[tokio::test]
    async fn an_answer_ends_at_its_limits_and_a_panic_is_an_error() {
        let row = || Ok(DataRow::default());
        assert_eq!(ends(stream::iter((0..3).map(move |_| row())), false).await, (3, String::new()));
        let (told, error) = ends(stream::repeat_with(row), false).await;
        assert!(told == 3 && error.contains("more than 3 rows"), "{error}");
        let (told, error) = ends(stream::pending(), false).await;
        assert!(told == 0 && error.contains("took longer"), "{error}");
        let (told, error) = ends(stream::repeat_with(row), true).await;
        assert!(told == 0 && error.contains("user request"), "{error}");
        let (_, error) = ends(stream::poll_fn(|_| panic!("as engines do")), false).await;
        assert!(error.contains("broke off"), "{error}");
    }
}
