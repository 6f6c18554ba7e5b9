//! `GET /api/v1/billing/tenants/{tenant}/meters`: what a tenant measures of its usage, and what it comes to.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono_tz::Tz;
use gravity_events::Id;
use gravity_events::analytics::MeterWindow;
use gravity_events::body::{Aggregation, METER_DIMENSIONS, MeterDefined};
use gravity_events::burn::MINUTE_MS;
use gravity_events::time::format_rfc3339_ms;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::windows::{at, minute_of};
use crate::app::AppState;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Principal, Problem};
use crate::services::analytics::views::analytics_of;
use crate::serving::analytics::WindowShown;

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 100_000;

/// The meters of a tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Meters {
    /// Whose.
    pub tenant: String,
    /// As `meter.defined` records define them, by name.
    #[schema(value_type = Vec<Object>)]
    pub meters: Vec<Value>,
}

/// Which windows.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
pub struct MeterQuery {
    /// Windows that begin at this minute (RFC 3339) or later.
    pub from: Option<String>,
    /// Windows that begin before this minute.
    pub to: Option<String>,
    /// About so many rows, 1,000 by default, 100,000 at most; the groups of a window stay together.
    pub limit: Option<usize>,
    /// Only of this event, where the meter is grouped by events; so for the others. Empty: only of usage that names none.
    pub event: Option<String>,
    /// Only of this team.
    pub team: Option<String>,
    /// Only of this participant.
    pub participant: Option<String>,
    /// Only of this model or machine type.
    pub model: Option<String>,
    /// Only of this lab.
    pub lab: Option<String>,
}

/// Windows of a meter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MeterAnswer {
    /// Whose.
    pub tenant: String,
    /// Its definition.
    #[schema(value_type = Object)]
    pub meter: Value,
    /// By window, then group. Windows without usage are left out.
    pub windows: Vec<MeterRow>,
    /// Where the rest begins: give it as `from`. Null: this is all.
    pub next: Option<String>,
}

/// A window.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MeterRow {
    /// Its start, in the meter's time zone.
    pub window_start: String,
    /// The first moment after it.
    pub window_end: String,
    /// What it is of: one value for each of `group_by`; null: of usage that does not say.
    #[schema(value_type = Object)]
    pub group: Value,
    /// The number; of `avg` with a fraction.
    #[schema(value_type = f64)]
    pub value: Value,
    /// Records in it.
    pub records: i64,
    /// When usage that came after its end changed it last, as far as this process knows; null: it did not.
    pub corrected_at: Option<String>,
}

/// The meters of a tenant.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/meters", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays")),
    responses((status = 200, body = Meters), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No analytics pipeline here", body = Problem)))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(tenant): ApiPath<String>,
) -> Result<Json<Meters>, Problem> {
    principal.require_tenant(&tenant)?;
    let meters = analytics_of(&state)?.meters(&Id::from(tenant.as_str()));
    Ok(Json(Meters { tenant, meters: meters.iter().map(|meter| json!(meter)).collect() }))
}

/// Windows of a meter, in the order of time.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/meters/{meter}", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays"), ("meter" = String, Path, description = "The meter"), MeterQuery),
    responses((status = 200, body = MeterAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, description = "No such meter", body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath((tenant, meter)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<MeterQuery>,
) -> Result<Json<MeterAnswer>, Problem> {
    principal.require_tenant(&tenant)?;
    let analytics = analytics_of(&state)?;
    let (of, name) = (Id::from(tenant.as_str()), Id::from(meter.as_str()));
    let defined = analytics.meter(&of, &name).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "unknown_meter", format!("tenant `{tenant}` has no meter `{meter}`"))
            .hint("define it with a `meter.defined` record")
    })?;
    let wanted = wanted(&query, &defined)?;
    let minute = |field, text: &Option<String>| minute_of(field, text.as_deref());
    let from = minute("from", &query.from)?.map_or(i64::MIN, |at| at.saturating_mul(MINUTE_MS));
    let to = minute("to", &query.to)?.map_or(i64::MAX, |at| at.saturating_mul(MINUTE_MS));
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let is_wanted = |group: &[(Id, Option<Id>)]| {
        wanted.iter().all(|(by, of)| group.iter().any(|(name, value)| *name == **by && *value == *of))
    };
    let (windows, next) = analytics.windows(&of, &name, from..to, is_wanted, limit);
    let zone: Tz = defined.time_zone.as_ref().and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
    let windows = windows.iter().map(|(window, shown)| row(&defined, zone, window, shown)).collect();
    Ok(Json(MeterAnswer { tenant, meter: json!(defined), windows, next: next.map(format_rfc3339_ms) }))
}

/// What windows have to be of. A meter that is not grouped by it cannot tell.
fn wanted(query: &MeterQuery, defined: &MeterDefined) -> Result<Vec<(&'static str, Option<Id>)>, Problem> {
    let of = [&query.event, &query.team, &query.participant, &query.model, &query.lab];
    let asked = METER_DIMENSIONS.into_iter().zip(of).filter_map(|(by, of)| Some((by, of.as_ref()?)));
    asked
        .map(|(by, of)| {
            if !defined.group_by.iter().any(|grouped| grouped == by) {
                return Err(Problem::invalid(
                    by,
                    format!("is given, but meter `{}` is not grouped by it", defined.meter),
                ));
            }
            Ok((by, Some(Id::from(of.as_str())).filter(|of| !of.is_empty())))
        })
        .collect()
}

fn row(defined: &MeterDefined, zone: Tz, window: &MeterWindow, shown: &WindowShown) -> MeterRow {
    let WindowShown { value, corrected_at_ms } = shown;
    let group: Map<String, Value> = window.group.iter().map(|(by, of)| (by.to_string(), json!(of))).collect();
    let number = match defined.aggregation {
        Aggregation::Avg => json!(value.value as f64 / value.records.max(1) as f64),
        _ => json!(value.value),
    };
    MeterRow {
        window_start: at(window.start_ms.div_euclid(MINUTE_MS), zone),
        window_end: at(window.end_ms.div_euclid(MINUTE_MS), zone),
        group: Value::Object(group),
        value: number,
        records: value.records,
        corrected_at: corrected_at_ms.map(format_rfc3339_ms),
    }
}
