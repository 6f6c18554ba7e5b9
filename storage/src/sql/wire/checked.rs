//! Only what reads is planned, and what was checked is what runs: text that was read once is never read again by another parser.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::arrow_pg::datatypes::df::encode_dataframe;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::Response;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::hook::{Answer, Hook};
use crate::sql::SqlError;

/// An error as PostgreSQL's clients know it. The codes are PostgreSQL's (appendix A of its manual).
pub(super) fn told(error: &SqlError) -> PgWireError {
    let code = match error {
        SqlError::Query(_) => "42000",
        SqlError::Memory { .. } => "53200",
        SqlError::Time { .. } => "57014",
        SqlError::Rows { .. } => "54000",
        SqlError::Busy { .. } => "53300",
        SqlError::Failed(_) => "58000",
    };
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), error.to_string())))
}

fn planning(error: DataFusionError) -> PgWireError {
    told(&SqlError::planning(error))
}

/// Refuses whatever does not read.
pub(super) struct OnlyReads;

async fn plan(statement: &Statement, context: &SessionContext) -> PgWireResult<LogicalPlan> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let plan = context.state().statement_to_plan(Parsed::Statement(Box::new(statement.clone()))).await;
    let plan = plan.map_err(planning)?;
    options.verify_plan(&plan).map_err(planning)?;
    Ok(plan)
}

impl Hook for OnlyReads {
    fn simple<'a>(
        &'a self,
        statement: &'a Statement,
        context: &'a SessionContext,
        options: Arc<FormatOptions>,
    ) -> Answer<'a, Response> {
        let answer = async move {
            let plan = plan(statement, context).await?;
            let frame = context.execute_logical_plan(plan).await.map_err(planning)?;
            Ok(Response::Query(encode_dataframe(frame, &Format::UnifiedText, Some(options)).await?))
        };
        Box::pin(async move { Some(answer.await) })
    }

    // The plan was checked when it was made: to run it is left to the library.
    fn plan<'a>(&'a self, statement: &'a Statement, context: &'a SessionContext) -> Answer<'a, LogicalPlan> {
        Box::pin(async move { Some(plan(statement, context).await) })
    }
}
