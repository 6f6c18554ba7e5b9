//! `/api/v1/billing/tenants/{tenant}/invoices`: closed months as documents that never change.

mod document;
mod page;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::Id;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;

use super::budgets::Budgets;
use super::ledger::{Ledger, LedgerError};
use crate::app::AppState;
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::{Admin, Principal, Problem};

pub use document::{Document, Kind, Line};
use document::{Month, credit_note, invoice};

/// After its end a month stays open so long: usage may come five minutes late of clocks and broken connections.
const GRACE_MS: i64 = 15 * 60_000;

/// Which month to close.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseRequest {
    /// `YYYY-MM`, UTC.
    pub month: String,
}

/// The documents of a tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Documents {
    /// By month, the invoice before its credit notes.
    pub documents: Vec<Document>,
}

impl Ledger {
    /// The documents of a tenant, of one month or of all, as they were made: month, number and text.
    async fn documents(&self, tenant: &str, month: Option<&str>) -> Result<Vec<(i64, String)>, LedgerError> {
        const SQL: &str = "SELECT number, document FROM invoices WHERE tenant = $1 AND ($2 = '' OR month = $2) \
             ORDER BY month, number";
        let rows = sqlx::query(SQL).bind(tenant).bind(month.unwrap_or("")).fetch_all(self.pool().await?).await?;
        Ok(rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Keeps a document; false: one of its number is there.
    async fn keep(&self, of: &Document, number: i64, now_ms: i64) -> Result<bool, LedgerError> {
        const SQL: &str = "INSERT INTO invoices (tenant, month, number, document, created_at_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (tenant, month, number) DO NOTHING";
        let query = sqlx::query(SQL).bind(of.tenant.as_str()).bind(of.month.as_str()).bind(number);
        Ok(query.bind(of.text()).bind(now_ms).execute(self.pool().await?).await?.rows_affected() == 1)
    }
}

fn read(documents: Vec<(i64, String)>) -> Result<Vec<Document>, Problem> {
    let read = |(_, text): (i64, String)| serde_json::from_str(&text);
    documents.into_iter().map(read).collect::<Result<_, _>>().map_err(|error| {
        tracing::error!(%error, "an invoice cannot be read");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "invoice_unreadable",
            "an invoice of another build cannot be read",
        )
    })
}

/// Closes a month: its usage and costs become an invoice. Closing it again makes a credit note of what has changed since, or
/// changes nothing.
#[utoipa::path(post, path = "/api/v1/billing/tenants/{tenant}/invoices", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays")), request_body = CloseRequest,
    responses((status = 201, description = "A document was made", body = Document),
        (status = 200, description = "Nothing has changed: the last document", body = Document), (status = 400, body = Problem),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, description = "No budgets here", body = Problem),
        (status = 409, description = "The month is not over", body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn close(
    State(state): State<AppState>,
    _admin: Admin,
    ApiPath(tenant): ApiPath<String>,
    ApiJson { value: request, .. }: ApiJson<CloseRequest>,
) -> Result<Response, Problem> {
    let budgets = Budgets::of(&state)?;
    let month = Month::parse(&request.month)
        .ok_or_else(|| Problem::invalid("month", format!("is `{}`, expected YYYY-MM", request.month)))?;
    let now_ms = (state.clock)();
    if now_ms < month.end_ms().saturating_add(GRACE_MS) {
        return Err(Problem::new(StatusCode::CONFLICT, "month_open", format!("{} is not over", request.month))
            .hint("a month is closed a quarter of an hour after its end (UTC) at the earliest"));
    }
    // Each round of the loop has seen one document more: another process closes the same month.
    loop {
        let earlier = budgets.ledger().documents(&tenant, Some(&request.month)).await?;
        let number = i64::try_from(earlier.len()).unwrap_or(i64::MAX);
        let earlier = read(earlier)?;
        let now = invoice(&Id::from(tenant.as_str()), &month, &budgets.burn);
        let (made, fresh) = match earlier.last() {
            None => (now, true),
            Some(last) => match credit_note(&now, &earlier) {
                Some(note) => (note, true),
                None => (last.clone(), false),
            },
        };
        if !fresh {
            return Ok(answer(StatusCode::OK, &made));
        }
        if budgets.ledger().keep(&made, number, now_ms).await? {
            return Ok(answer(StatusCode::CREATED, &made));
        }
    }
}

/// As it is kept, to the byte.
fn answer(status: StatusCode, document: &Document) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-store")];
    (status, headers, document.text()).into_response()
}

/// The invoices and credit notes of a tenant.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/invoices", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays")),
    responses((status = 200, body = Documents), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No budgets here", body = Problem), (status = 503, body = Problem)))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(tenant): ApiPath<String>,
) -> Result<Response, Problem> {
    principal.require_tenant(&tenant)?;
    let documents = read(Budgets::of(&state)?.ledger().documents(&tenant, None).await?)?;
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(Documents { documents })).into_response())
}

/// One document, as JSON or, for people (`Accept: text/html`), as a page that can be printed. 0: the invoice; from 1 on: credit
/// notes.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/invoices/{month}/{number}", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays"), ("month" = String, Path, description = "YYYY-MM"),
        ("number" = i64, Path, description = "0: the invoice; from 1 on: credit notes")),
    responses((status = 200, content((Document = "application/json"), (String = "text/html"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath((tenant, month, number)): ApiPath<(String, String, i64)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    principal.require_tenant(&tenant)?;
    let mut documents = Budgets::of(&state)?.ledger().documents(&tenant, Some(&month)).await?;
    documents.retain(|(of, _)| *of == number);
    let mut documents = read(documents)?;
    let document = documents.pop().ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "unknown_invoice", format!("there is no document {number} of {month}"))
            .hint("GET .../invoices lists them; POST closes a month")
    })?;
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "private, no-store"),
            // Names are a tenant's own words.
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        ];
        return Ok((headers, page::html(&document)).into_response());
    }
    Ok(answer(StatusCode::OK, &document))
}
