//! `POST /api/v1/billing/tenants/{tenant}/prices/preview`: what a price list would change, before it is published.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::body::PricePublished;
use gravity_events::body::Span;
use gravity_events::burn::{Charged, MINUTE_MS};
use gravity_events::calendar::window_start;
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Id, Record, codec};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::budgets::Budgets;
use crate::app::AppState;
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::{Principal, Problem};

/// Of which usage the list is.
#[derive(Clone, Debug, Deserialize, IntoParams)]
pub struct RepriceQuery {
    /// The event whose usage it is for; by default all others'.
    #[param(value_type = Option<String>)]
    pub event: Option<Id>,
}

/// What would change.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RepriceAnswer {
    /// Who pays.
    pub tenant: String,
    /// In which it would pay (ISO 4217).
    pub currency: Option<String>,
    /// Months (UTC), items and versions whose cost would be another, in order.
    pub changes: Vec<RepriceRow>,
    /// All costs as they are, in micro-units.
    pub cost_micro: i64,
    /// All costs as they would be.
    pub new_cost_micro: i64,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RepriceRow {
    /// Start of the month (RFC 3339, UTC).
    pub month: String,
    /// The model or machine type.
    pub item: String,
    /// What it costs now, in micro-units.
    pub cost_micro: i64,
    /// What it would cost.
    pub new_cost_micro: i64,
    /// Records whose cost may be another.
    pub records: i64,
}

/// Says what a version of a price list would change of what was used so far, and changes nothing. The body is the data of a
/// `price.published` record.
#[utoipa::path(post, path = "/api/v1/billing/tenants/{tenant}/prices/preview", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays"), RepriceQuery),
    request_body(content = serde_json::Value, description = "The data of a `price.published` record"),
    responses((status = 200, body = RepriceAnswer), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No budgets here", body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(tenant): ApiPath<String>,
    ApiQuery(query): ApiQuery<RepriceQuery>,
    ApiJson { value: list, .. }: ApiJson<PricePublished>,
) -> Result<Response, Problem> {
    principal.require_tenant(&tenant)?;
    let budgets = Budgets::of(&state)?;
    let tenant = Id::from(tenant);
    checked(&tenant, query.event.as_ref(), &list)?;
    // Rating a long history anew takes a while, in which others are served.
    let rated = tokio::task::spawn_blocking(move || {
        let cells = budgets.burn.cells(&tenant);
        let usage = cells.iter().map(|(cell, charged)| (cell.clone(), charged.usage)).collect();
        let (currency, new) = budgets.pricing.preview(&tenant, query.event.as_ref(), &list, usage);
        let answer = changes(&cells, &new);
        RepriceAnswer { tenant: tenant.to_string(), currency: currency.map(|id| id.to_string()), ..answer }
    });
    let answer = rated.await.map_err(|error| {
        tracing::error!(%error, "a preview of prices failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "preview_failed", "the preview failed")
    })?;
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(answer)).into_response())
}

/// As strict as the route of records: what is previewed can be published.
fn checked(tenant: &Id, event: Option<&Id>, list: &PricePublished) -> Result<(), Problem> {
    let record = Record {
        id: "preview".into(),
        source: "preview".into(),
        tenant: tenant.clone(),
        event: event.cloned(),
        subject: None,
        time_ms: None,
        backfill: false,
        body: Body::PricePublished(list.clone()),
    };
    codec::decode(&codec::encode(&record))?;
    Ok(())
}

type Cells = BTreeMap<gravity_events::burn::Cell, Charged>;

fn changes(old: &Cells, new: &Cells) -> RepriceAnswer {
    let mut rows: BTreeMap<(i64, Id), RepriceRow> = BTreeMap::new();
    let (mut cost_micro, mut new_cost_micro) = (0_i64, 0_i64);
    for (cell, charged) in old {
        let would = new.get(cell).map_or(0, |charged| charged.cost_micro);
        cost_micro = cost_micro.saturating_add(charged.cost_micro);
        new_cost_micro = new_cost_micro.saturating_add(would);
        if would == charged.cost_micro {
            continue;
        }
        let month = window_start(cell.minute, Span::Month, chrono_tz::UTC);
        let row = rows.entry((month, cell.item.name().clone())).or_insert_with(|| RepriceRow {
            month: format_rfc3339_ms(month.saturating_mul(MINUTE_MS)),
            item: cell.item.name().to_string(),
            cost_micro: 0,
            new_cost_micro: 0,
            records: 0,
        });
        row.cost_micro = row.cost_micro.saturating_add(charged.cost_micro);
        row.new_cost_micro = row.new_cost_micro.saturating_add(would);
        row.records = row.records.saturating_add(charged.usage.records);
    }
    let changes = rows.into_values().collect();
    RepriceAnswer { tenant: String::new(), currency: None, changes, cost_micro, new_cost_micro }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gravity_events::burn::{Cell, Item, Usage};

    #[test]
    fn only_what_changes_is_told() {
        let cell = |minute, model: &str| Cell::first_of(&"t".into(), &Item::Model(model.into()), minute);
        let cost =
            |cost_micro| Charged { usage: Usage { records: 2, ..Usage::default() }, cost_micro, ..Charged::default() };
        let february = 31 * 1_440;
        let old: Cells = [(cell(0, "a"), cost(10)), (cell(1, "a"), cost(5)), (cell(february, "b"), cost(7))].into();
        let new: Cells = [(cell(0, "a"), cost(4)), (cell(1, "a"), cost(5)), (cell(february, "b"), cost(9))].into();
        let answer = changes(&old, &new);
        assert_eq!((answer.cost_micro, answer.new_cost_micro), (22, 18));
        let told: Vec<_> = answer
            .changes
            .iter()
            .map(|r| (r.month.as_str(), r.item.as_str(), r.cost_micro, r.new_cost_micro, r.records))
            .collect();
        assert_eq!(told, [("1970-01-01T00:00:00.000Z", "a", 10, 4, 2), ("1970-02-01T00:00:00.000Z", "b", 7, 9, 2)]);
    }
}
