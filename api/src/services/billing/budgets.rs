//! `GET /api/v1/billing/tenants/{tenant}/budgets`: what is left of each budget, and for how long.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::burn::MINUTE_MS;
use gravity_events::publish::Pricing;
use gravity_events::time::format_rfc3339_ms;
use serde::Serialize;
use utoipa::ToSchema;

use super::ledger::{Applier, Ledger, Standing};
use crate::app::AppState;
use crate::http::extract::ApiPath;
use crate::http::{Principal, Problem};
use crate::serving::burn::Burn;

/// The burn rate is that of so many whole minutes before this one.
const RATE_MINUTES: i64 = 60;

/// What budgets are made of.
pub struct Budgets {
    /// Books what the stream says.
    pub applier: Arc<Applier>,
    /// What things cost.
    pub pricing: Arc<dyn Pricing>,
    /// What was used.
    pub burn: Arc<Burn>,
}

impl Budgets {
    /// Of this process, or 404.
    pub(super) fn of(state: &AppState) -> Result<Arc<Budgets>, Problem> {
        state.budgets.clone().ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, "no_burn", "this process keeps no budgets")
                .hint("start it with the role `burn`")
        })
    }

    /// The ledger.
    pub(super) fn ledger(&self) -> &Ledger {
        self.applier.ledger()
    }
}

/// Budgets of a tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BudgetsAnswer {
    /// Who pays.
    pub tenant: String,
    /// By event and name: the tenant's own first.
    pub budgets: Vec<BudgetRow>,
}

/// A budget. available = limit - settled - reserved - unreserved.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BudgetRow {
    /// Its name.
    pub budget: String,
    /// The event that it is of; null: the tenant.
    pub event: Option<String>,
    /// The team that it is of; null: the whole event, or the tenant.
    pub team: Option<String>,
    /// In micro-units of the currency.
    pub limit_micro: i64,
    /// Of all amounts (ISO 4217).
    pub currency: String,
    /// Reservations are let in beyond the limit: only alerts are sent.
    pub soft: bool,
    /// What reservations were settled with.
    pub settled_micro: i64,
    /// The most that open reservations may cost.
    pub reserved_micro: i64,
    /// What was used without a reservation.
    pub unreserved_micro: i64,
    /// What can still be reserved; below zero: more was spent.
    pub available_micro: i64,
    /// What the last hour cost.
    pub rate_micro_per_hour: i64,
    /// When it is used up at that rate (RFC 3339); null: never, or it is already.
    pub exhausted_at: Option<String>,
}

/// The budgets of a tenant, its events and their teams, with what counts against them.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/budgets", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays")),
    responses((status = 200, body = BudgetsAnswer), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No budgets here", body = Problem), (status = 503, body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(tenant): ApiPath<String>,
) -> Result<Response, Problem> {
    principal.require_tenant(&tenant)?;
    let budgets = Budgets::of(&state)?;
    let standings = budgets.ledger().standings(&tenant).await?;
    let now_ms = (state.clock)();
    let this_minute = now_ms.div_euclid(MINUTE_MS);
    let rows = standings.into_iter().map(|standing| {
        let minutes = this_minute - RATE_MINUTES..this_minute;
        let rate_micro = budgets.burn.spent(&standing.account, minutes);
        row(standing, rate_micro, now_ms)
    });
    let answer = BudgetsAnswer { tenant: tenant.clone(), budgets: rows.collect() };
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(answer)).into_response())
}

fn row(of: Standing, rate_micro_per_hour: i64, now_ms: i64) -> BudgetRow {
    let available_micro = of.available_micro();
    BudgetRow {
        available_micro,
        exhausted_at: exhausted_at_ms(available_micro, rate_micro_per_hour, now_ms).map(format_rfc3339_ms),
        rate_micro_per_hour,
        budget: of.budget.to_string(),
        event: of.account.event.map(|id| id.to_string()),
        team: of.account.team.map(|id| id.to_string()),
        limit_micro: of.limit_micro,
        currency: of.currency.to_string(),
        soft: of.soft,
        settled_micro: of.settled_micro,
        reserved_micro: of.reserved_micro,
        unreserved_micro: of.unreserved_micro,
    }
}

/// When so much is used up, if the next hours cost what the last one did. None: never, or farther than times are written.
fn exhausted_at_ms(available_micro: i64, rate_micro_per_hour: i64, now_ms: i64) -> Option<i64> {
    /// 9999-12-31
    const LAST_MS: i128 = 253_402_214_400_000;
    if available_micro <= 0 || rate_micro_per_hour <= 0 {
        return None;
    }
    let left_ms = i128::from(available_micro) * 3_600_000 / i128::from(rate_micro_per_hour);
    i64::try_from((i128::from(now_ms) + left_ms).min(LAST_MS)).ok().filter(|at_ms| i128::from(*at_ms) < LAST_MS)
}

#[cfg(test)]
mod tests {
    use super::exhausted_at_ms;

    #[test]
    fn the_last_hour_says_when_it_is_used_up() {
        assert_eq!(exhausted_at_ms(500, 1_000, 10), Some(1_800_010));
        assert_eq!(exhausted_at_ms(0, 1_000, 10), None);
        assert_eq!(exhausted_at_ms(500, 0, 10), None);
        assert_eq!(exhausted_at_ms(i64::MAX, 1, 10), None);
    }
}
