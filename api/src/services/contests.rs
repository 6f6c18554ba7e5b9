//! The read side of the CLICS Contest API (2023-06), so that ICPC tools work as clients. See <https://ccs-specs.icpc.io>.

mod shapes;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use gravity_events::board::{OVERALL, View};
use gravity_events::natural_cmp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::http::etag::conditional;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Problem, Viewer};
use crate::serving::ServeError;

pub use shapes::{
    Award, Contest, ContestProblem, ContestState, Score, Scoreboard, ScoreboardProblem, ScoreboardRow, Team,
};

impl From<ServeError> for Problem {
    fn from(error: ServeError) -> Problem {
        Problem::new(error.status(), error.code(), error.to_string()).hint(error.hint())
    }
}

/// Whose view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViewName {
    /// Everybody's.
    #[default]
    Public,
    /// The jury's; needs a token.
    Jury,
}

/// Parameters of contest objects.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
pub struct ContestQuery {
    /// `public` (default) or `jury` (with a token).
    #[param(inline)]
    #[serde(default)]
    pub view: ViewName,
    /// A division's board instead of the overall one.
    pub division: Option<String>,
}

impl ContestQuery {
    fn view(&self, viewer: Viewer) -> Result<View, Problem> {
        viewer.require(match self.view {
            ViewName::Public => View::Public,
            ViewName::Jury => View::Jury,
        })
    }

    fn division(&self) -> &str {
        self.division.as_deref().unwrap_or(OVERALL)
    }
}

/// JSON with an entity tag of its content.
fn json<T: Serialize>(headers: &HeaderMap, view: View, value: &T) -> Response {
    let body = serde_json::to_vec(value).expect("an answer is plain data");
    let tag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..24]);
    let cache = if view == View::Jury { "private, no-cache" } else { "no-cache" };
    conditional(headers, &tag, cache, || ([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The contests.
#[utoipa::path(get, path = "/api/contests", tag = "contests", responses((status = 200, body = Vec<Contest>), (status = 304)))]
pub async fn list(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let events = state.boards.events();
    let contests: Vec<Contest> = events
        .iter()
        .filter_map(|e| state.boards.header(&e.event, View::Public))
        .map(|head| Contest::of(&head))
        .collect();
    json(&headers, View::Public, &contests)
}

/// One contest.
#[utoipa::path(get, path = "/api/contests/{event}", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Contest), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn contest(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<ContestQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = query.view(viewer)?;
    let head = state.boards.header(&event, view).ok_or_else(|| Problem::unknown_event(&event))?;
    Ok(json(&headers, view, &Contest::of(&head)))
}

/// When the contest started, froze, ended.
#[utoipa::path(get, path = "/api/contests/{event}/state", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = ContestState), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn state(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<ContestQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = query.view(viewer)?;
    let head = state.boards.header(&event, view).ok_or_else(|| Problem::unknown_event(&event))?;
    Ok(json(&headers, view, &ContestState::of(&head.header)))
}

/// The teams on the boards, by id.
#[utoipa::path(get, path = "/api/contests/{event}/teams", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Vec<Team>), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn teams(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<ContestQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = query.view(viewer)?;
    let (_, _, rows) = state.boards.rows(&event, view, query.division())?;
    let mut teams: Vec<Team> = rows.iter().map(|r| Team::of(&r.row)).collect();
    teams.sort_by(|a, b| natural_cmp(&a.id, &b.id));
    Ok(json(&headers, view, &teams))
}

/// The problems, in the board's order.
#[utoipa::path(get, path = "/api/contests/{event}/problems", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Vec<ContestProblem>), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn problems(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<ContestQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = query.view(viewer)?;
    let head = state.boards.header(&event, view).ok_or_else(|| Problem::unknown_event(&event))?;
    let problems: Vec<ContestProblem> = head.header.problems.iter().enumerate().map(ContestProblem::of).collect();
    Ok(json(&headers, view, &problems))
}

/// The board as a CLICS scoreboard: every problem in each row, hidden teams left out.
#[utoipa::path(get, path = "/api/contests/{event}/scoreboard", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Scoreboard), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn scoreboard(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<ContestQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = query.view(viewer)?;
    let (_, head, rows) = state.boards.rows(&event, view, query.division())?;
    Ok(json(&headers, view, &Scoreboard::of(&head, &rows)))
}

/// The awards as far as this view tells: first solves; the winner once the results are final and nothing is frozen.
#[utoipa::path(get, path = "/api/contests/{event}/awards", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Vec<Award>), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn awards(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<ContestQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = query.view(viewer)?;
    let (_, head, rows) = state.boards.rows(&event, view, query.division())?;
    Ok(json(&headers, view, &shapes::awards(&head, &rows)))
}
