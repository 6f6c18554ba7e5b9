//! What a session may set: PostgreSQL's own variables, as drivers do when they connect. Not the engine's, which are the operator's.

use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Set, Statement};
use datafusion_postgres::QueryHook;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::results::{Response, Tag};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use futures::future::{BoxFuture, ready};

/// Variables that mean something here: the next hook sets them.
const KNOWN: &[&str] = &[
    "application_name",
    "bytea_output",
    "datestyle",
    "extra_float_digits",
    "intervalstyle",
    "search_path",
    "statement_timeout",
    "timezone",
];

enum Verdict {
    /// It is the next hook's.
    Passed,
    /// It is answered, and changes nothing.
    Ignored,
    Refused(String),
}

fn judged(statement: &Statement) -> Verdict {
    let Statement::Set(set) = statement else { return Verdict::Passed };
    match set {
        Set::SingleAssignment { variable, .. } => {
            let name = variable.to_string().replace('"', "").to_lowercase();
            if KNOWN.contains(&name.as_str()) {
                Verdict::Passed
            } else if name.contains('.') || name.starts_with("datafusion") {
                Verdict::Refused(name)
            } else {
                Verdict::Ignored
            }
        }
        Set::SetTimeZone { .. } => Verdict::Passed,
        Set::SetTransaction { .. } | Set::SetNames { .. } | Set::SetNamesDefault { .. } => Verdict::Ignored,
        other => Verdict::Refused(other.to_string()),
    }
}

fn refused(what: &str) -> PgWireError {
    let message = format!("`{what}` cannot be set here: it is the operator's");
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), "42501".to_owned(), message)))
}

/// Answers what sets something that is not known, before others may.
pub(super) struct Settings;

fn answered(statement: &Statement) -> Option<PgWireResult<Response>> {
    match judged(statement) {
        Verdict::Passed => None,
        Verdict::Ignored => Some(Ok(Response::Execution(Tag::new("SET")))),
        Verdict::Refused(what) => Some(Err(refused(&what))),
    }
}

/// No plan: refused, or to be made by the next one who is asked.
fn no_plan<'a>(refusal: Option<PgWireError>) -> BoxFuture<'a, Option<PgWireResult<LogicalPlan>>> {
    Box::pin(ready(refusal.map(Err)))
}

/// The trait is `#[async_trait]`; why its methods are written out: [`crate::sql`].
impl QueryHook for Settings {
    fn handle_simple_query<'s, 'q, 'c, 'k, 'f>(
        &'s self,
        statement: &'q Statement,
        _: &'c SessionContext,
        _: &'k mut dyn HookClient,
    ) -> BoxFuture<'f, Option<PgWireResult<Response>>>
    where
        's: 'f,
        'q: 'f,
        'c: 'f,
        'k: 'f,
        Self: 'f,
    {
        Box::pin(ready(answered(statement)))
    }

    fn handle_extended_parse_query<'s, 'q, 'c, 'k, 'f>(
        &'s self,
        statement: &'q Statement,
        _: &'c SessionContext,
        _: &'k (dyn ClientInfo + Send + Sync),
    ) -> BoxFuture<'f, Option<PgWireResult<LogicalPlan>>>
    where
        's: 'f,
        'q: 'f,
        'c: 'f,
        'k: 'f,
        Self: 'f,
    {
        no_plan(match judged(statement) {
            Verdict::Passed | Verdict::Ignored => None,
            Verdict::Refused(what) => Some(refused(&what)),
        })
    }

    fn handle_extended_query<'s, 'q, 'l, 'p, 'c, 'k, 'f>(
        &'s self,
        statement: &'q Statement,
        _: &'l LogicalPlan,
        _: &'p ParamValues,
        _: &'c SessionContext,
        _: &'k mut dyn HookClient,
    ) -> BoxFuture<'f, Option<PgWireResult<Response>>>
    where
        's: 'f,
        'q: 'f,
        'l: 'f,
        'p: 'f,
        'c: 'f,
        'k: 'f,
        Self: 'f,
    {
        Box::pin(ready(answered(statement)))
    }
}
