//! What a session may set: PostgreSQL's own variables, as drivers do when they connect. Not the engine's, which are the operator's.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Set, Statement};
use datafusion_postgres::pgwire::api::results::{Response, Tag};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::hook::{Answer, Hook, at_once};

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

impl Hook for Settings {
    fn simple<'a>(
        &'a self,
        statement: &'a Statement,
        _: &'a SessionContext,
        _: Arc<FormatOptions>,
    ) -> Answer<'a, Response> {
        at_once(answered(statement))
    }

    fn plan<'a>(&'a self, statement: &'a Statement, _: &'a SessionContext) -> Answer<'a, LogicalPlan> {
        at_once(match judged(statement) {
            // What is ignored is answered once it has a plan.
            Verdict::Passed | Verdict::Ignored => None,
            Verdict::Refused(what) => Some(Err(refused(&what))),
        })
    }

    fn run(&self, statement: &Statement) -> Option<PgWireResult<Response>> {
        answered(statement)
    }
}
