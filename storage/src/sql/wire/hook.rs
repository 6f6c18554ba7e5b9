//! What of a statement's way our hooks decide, and the library's trait made of it, once.

use std::sync::Arc;

use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::QueryHook;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::results::Response;
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::future::{BoxFuture, ready};

/// What a hook makes of a statement; none: it is the next hook's, and in the end the library's.
pub(super) type Answer<'a, T> = BoxFuture<'a, Option<PgWireResult<T>>>;

/// Nothing to say, or what is known at once.
pub(super) fn at_once<'a, T: Send + 'a>(answer: Option<PgWireResult<T>>) -> Answer<'a, T> {
    Box::pin(ready(answer))
}

/// One of the hooks that a statement goes past, in order.
pub(super) trait Hook: Send + Sync {
    /// A statement in the simple protocol, which is to be run.
    fn simple<'a>(
        &'a self,
        statement: &'a Statement,
        context: &'a SessionContext,
        options: Arc<FormatOptions>,
    ) -> Answer<'a, Response>;

    /// A statement in the extended protocol, which is to be planned.
    fn plan<'a>(&'a self, statement: &'a Statement, context: &'a SessionContext) -> Answer<'a, LogicalPlan>;

    /// The same, planned, which is to be run.
    fn run(&self, _: &Statement) -> Option<PgWireResult<Response>> {
        None
    }
}

/// A hook as the library calls it.
pub(super) struct Hooked<H>(pub(super) H);

/// The trait is `#[async_trait]`; why its methods are written out: [`crate::sql`].
impl<H: Hook> QueryHook for Hooked<H> {
    fn handle_simple_query<'s, 'q, 'c, 'k, 'f>(
        &'s self,
        statement: &'q Statement,
        context: &'c SessionContext,
        client: &'k mut dyn HookClient,
    ) -> Answer<'f, Response>
    where
        's: 'f,
        'q: 'f,
        'c: 'f,
        'k: 'f,
        Self: 'f,
    {
        self.0.simple(statement, context, Arc::new(FormatOptions::from_client_metadata(client.metadata())))
    }

    fn handle_extended_parse_query<'s, 'q, 'c, 'k, 'f>(
        &'s self,
        statement: &'q Statement,
        context: &'c SessionContext,
        _: &'k (dyn ClientInfo + Send + Sync),
    ) -> Answer<'f, LogicalPlan>
    where
        's: 'f,
        'q: 'f,
        'c: 'f,
        'k: 'f,
        Self: 'f,
    {
        self.0.plan(statement, context)
    }

    fn handle_extended_query<'s, 'q, 'l, 'p, 'c, 'k, 'f>(
        &'s self,
        statement: &'q Statement,
        _: &'l LogicalPlan,
        _: &'p ParamValues,
        _: &'c SessionContext,
        _: &'k mut dyn HookClient,
    ) -> Answer<'f, Response>
    where
        's: 'f,
        'q: 'f,
        'l: 'f,
        'p: 'f,
        'c: 'f,
        'k: 'f,
        Self: 'f,
    {
        at_once(self.0.run(statement))
    }
}
