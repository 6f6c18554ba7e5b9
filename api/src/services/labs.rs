//! `GET /api/v1/labs`: labs that report, when they were last heard of, and their alerts.

use axum::Json;
use axum::extract::State;
use gravity_events::Id;
use gravity_events::publish::LabKey;
use gravity_events::time::format_rfc3339_ms;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::http::extract::ApiQuery;
use crate::http::{Principal, Problem};
use crate::serving::flags::LabShown;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// A lab that nothing was heard of for so long is silent. Silence is not health.
const SILENT_AFTER_MS: i64 = 10 * 60_000;

/// Which labs.
#[derive(Clone, Debug, Deserialize, IntoParams)]
pub struct LabsQuery {
    /// Of this tenant only.
    pub tenant: Option<String>,
    /// Only those with an alert.
    #[serde(default)]
    pub alerts: bool,
    /// At most this many, 100 by default, 1,000 at most.
    pub limit: Option<usize>,
    /// Only those after this one: `tenant/lab`, as `next` says.
    pub after: Option<String>,
}

/// A page of labs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Labs {
    /// In the order of tenant and id.
    pub labs: Vec<Lab>,
    /// Give it as `after` for the next page; null at the end.
    pub next: Option<String>,
}

/// A lab.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Lab {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub lab: String,
    /// Where it is in its life: `requested`, `provisioning`, `ready`, `failed`; `unknown` if only measurements came.
    pub state: &'static str,
    /// The minute of its newest measurement; null while there is none.
    pub seen_at: Option<String>,
    /// Nothing came for ten minutes, by this server's clock.
    pub silent: bool,
    /// Measurements that came after a later one of their metric, or had no time: not judged.
    pub late: u64,
    /// Measurements of metrics beyond the 16 that are watched.
    pub unwatched: u64,
    /// What is unusual.
    pub alert: Option<Alert>,
}

/// An alert: an incident that shows in several metrics is one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Alert {
    /// The metric that was unusual first.
    pub metric: String,
    /// Since when.
    pub since: String,
    /// The greatest evidence since, in nats: e to this power to one, roughly, that it is no chance.
    pub evidence_nats: u32,
    /// Other metrics that are unusual.
    pub others: Vec<String>,
}

/// Labs that report, when they were last heard of, and what is unusual about them.
#[utoipa::path(get, path = "/api/v1/labs", tag = "labs", security(("token" = [])), params(LabsQuery),
    responses((status = 200, body = Labs), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    ApiQuery(query): ApiQuery<LabsQuery>,
) -> Result<Json<Labs>, Problem> {
    principal.require_read(None)?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let tenant = query.tenant.as_deref().map(Id::from);
    let after = query.after.as_deref().map(parse).transpose()?;
    let mut found = state.flags.labs(tenant.as_ref(), query.alerts, after.as_ref(), limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|lab| format!("{}/{}", lab.lab.tenant, lab.lab.lab));
    let now_ms = (state.clock)();
    Ok(Json(Labs { labs: found.into_iter().map(|lab| shown(lab, now_ms)).collect(), next }))
}

/// A tenant's id has no slash in an address; a lab's may.
fn parse(after: &str) -> Result<LabKey, Problem> {
    let (tenant, lab) =
        after.split_once('/').ok_or_else(|| Problem::invalid("after", "is not `tenant/lab` as `next` says it"))?;
    Ok(LabKey { tenant: tenant.into(), lab: lab.into() })
}

fn shown(lab: LabShown, now_ms: i64) -> Lab {
    Lab {
        tenant: lab.lab.tenant.to_string(),
        lab: lab.lab.lab.to_string(),
        state: lab.seen.phase.name(),
        seen_at: lab.seen.seen_at_ms.map(format_rfc3339_ms),
        silent: lab.seen.seen_at_ms.is_some_and(|seen_at_ms| now_ms.saturating_sub(seen_at_ms) > SILENT_AFTER_MS),
        late: lab.seen.late,
        unwatched: lab.seen.unwatched,
        alert: lab.alert.map(|(key, alert)| Alert {
            metric: key.metric.to_string(),
            since: format_rfc3339_ms(key.since_ms),
            evidence_nats: alert.evidence_nats,
            others: alert.others.iter().map(ToString::to_string).collect(),
        }),
    }
}
