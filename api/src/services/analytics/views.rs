//! `GET /api/v1/analytics/events/{event}/{view}`: how an event goes, for those who run it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gravity_events::analytics::{Minutes, ViewKey, ViewRow, ViewSpec};
use gravity_events::time::format_rfc3339_ms;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::http::extract::ApiPath;
use crate::http::{Principal, Problem};
use crate::services::events::header;
use crate::serving::analytics::Analytics;

/// A view of an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViewAnswer {
    /// The event.
    pub event: String,
    /// The view.
    pub view: String,
    /// What it says.
    pub about: String,
    /// What a row is about comes first, then its numbers; a number that is not known is null.
    #[schema(value_type = Vec<Object>)]
    pub rows: Vec<Value>,
}

/// A view of an event, as it is now: `active`, `funnel`, `languages`, `queue`, `solves`. Nothing of it is hidden in a freeze.
#[utoipa::path(get, path = "/api/v1/analytics/events/{event}/{view}", tag = "analytics", security(("token" = [])),
    params(("event" = String, Path, description = "The event"), ("view" = String, Path, description = "The view")),
    responses((status = 200, body = ViewAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath((event, view)): ApiPath<(String, String)>,
) -> Result<Json<ViewAnswer>, Problem> {
    let may_read = principal.require_read(Some(&event));
    let head = header(&state, &event);
    // An analyst of the tenant may read its events, too; others do not learn which events there are.
    if let Err(refused) = may_read
        && !head.as_ref().is_ok_and(|head| principal.require_tenant(&head.tenant).is_ok())
    {
        return Err(refused);
    }
    let (head, analytics) = (head?, analytics_of(&state)?);
    let spec = analytics.specs().iter().find(|spec| spec.name == view).ok_or_else(|| {
        let known: Vec<&str> = analytics.specs().iter().map(|spec| spec.name).collect();
        Problem::new(StatusCode::NOT_FOUND, "unknown_view", format!("there is no view `{view}`"))
            .hint(format!("there are {}", known.join(", ")))
    })?;
    let rows = analytics.view(&head.tenant, &head.event, spec.name);
    let rows = rows.iter().map(|(key, row)| told(spec, key, row)).collect();
    Ok(Json(ViewAnswer { event, view, about: spec.about.to_owned(), rows }))
}

/// What the analytics pipeline says, or 404.
pub(crate) fn analytics_of(state: &AppState) -> Result<Arc<Analytics>, Problem> {
    state.analytics.clone().ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no_analytics", "this process has no analytics pipeline")
            .hint("start it with the role `analytics`")
    })
}

fn told(spec: &ViewSpec, key: &ViewKey, row: &ViewRow) -> Value {
    let mut told = Map::new();
    match (spec.minutes, key.minute_ms) {
        (Minutes::Clock, Some(ms)) => drop(told.insert("window_start".into(), format_rfc3339_ms(ms).into())),
        (Minutes::Contest, Some(ms)) => drop(told.insert("contest_minute_ms".into(), ms.into())),
        _ => {}
    }
    if let Some(by) = spec.by {
        told.insert(by.into(), json!(key.by));
    }
    if spec.team.is_some() {
        told.insert("team".into(), json!(row.team));
    }
    for ((name, _), number) in spec.numbers.iter().zip(&row.numbers) {
        told.insert((*name).into(), json!(number));
    }
    Value::Object(told)
}
