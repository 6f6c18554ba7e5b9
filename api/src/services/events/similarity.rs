//! `GET /api/v1/events/{event}/similarity`: teams whose newest sources are alike. For a person to look at; never a verdict.

use axum::Json;
use axum::extract::State;
use gravity_events::Id;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::header;
use crate::app::AppState;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Principal, Problem};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// Which pairs.
#[derive(Clone, Debug, Deserialize, IntoParams)]
pub struct SimilarityQuery {
    /// Of this problem only.
    pub problem: Option<String>,
    /// At most this many, 100 by default, 1,000 at most.
    pub limit: Option<usize>,
}

/// The most alike first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Similarity {
    /// The event.
    pub event: String,
    /// How many there are, those beyond the limit included.
    pub total: usize,
    /// The pairs.
    pub pairs: Vec<Pair>,
}

/// Two teams.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pair {
    /// For which problem.
    pub problem: String,
    /// Languages of one family are compared: `c-like`, `script-like`.
    pub language: String,
    /// One team and its submission.
    pub left: Side,
    /// The other.
    pub right: Side,
    /// Fingerprints that they share.
    pub shared: u32,
    /// How much of the smaller one is in the other, in basis points.
    pub share_bp: u32,
}

/// A team's source.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Side {
    /// The team.
    pub team: String,
    /// The submission that the source is of.
    pub submission: String,
}

/// Pairs of teams whose newest sources for a problem are alike.
#[utoipa::path(get, path = "/api/v1/events/{event}/similarity", tag = "events", security(("token" = [])),
    params(("event" = String, Path, description = "The event"), SimilarityQuery),
    responses((status = 200, body = Similarity), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<SimilarityQuery>,
) -> Result<Json<Similarity>, Problem> {
    principal.require_read(Some(&event))?;
    let head = header(&state, &event)?;
    let problem = query.problem.as_deref().map(Id::from);
    let found = state.flags.pairs(&head.event, problem.as_ref());
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let side = |alike: &gravity_events::body::Alike| Side {
        team: alike.team.to_string(),
        submission: alike.submission.to_string(),
    };
    let pairs = found.iter().take(limit).map(|pair| Pair {
        problem: pair.problem.to_string(),
        language: pair.language.to_string(),
        left: side(&pair.left),
        right: side(&pair.right),
        shared: pair.shared,
        share_bp: pair.share_bp,
    });
    Ok(Json(Similarity { event, total: found.len(), pairs: pairs.collect() }))
}
