//! The read side of the CLICS Contest API (2023-06), so that ICPC tools work as clients. See <https://ccs-specs.icpc.io>.

pub mod access;
pub mod feed;
pub mod objects;
mod question;
mod shapes;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use gravity_events::board::View;

use crate::app::AppState;
use crate::http::Problem;

pub use question::{ContestQuery, Question, ViewName};
pub use shapes::{Award, Contest, ContestState, Score, Scoreboard, ScoreboardProblem, ScoreboardRow};

/// The contests.
#[utoipa::path(get, path = "/api/contests", tag = "contests", responses((status = 200, body = Vec<Contest>), (status = 304)))]
pub async fn list(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let events = state.boards.events();
    let contests: Vec<Contest> = events
        .iter()
        .filter_map(|e| state.boards.header(&e.event, View::Public))
        .map(|head| Contest::of(&head))
        .collect();
    question::answer(&headers, View::Public, &contests)
}

/// One contest.
#[utoipa::path(get, path = "/api/contests/{event}", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Contest), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn contest(question: Question) -> Result<Response, Problem> {
    let head = question.header()?;
    Ok(question.answer(&Contest::of(&head)))
}

/// When the contest started, froze, ended.
#[utoipa::path(get, path = "/api/contests/{event}/state", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = ContestState), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn state(question: Question) -> Result<Response, Problem> {
    let head = question.header()?;
    Ok(question.answer(&ContestState::of(&head.header)))
}

/// The board as a CLICS scoreboard: every problem in each row, hidden teams left out.
#[utoipa::path(get, path = "/api/contests/{event}/scoreboard", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Scoreboard), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn scoreboard(question: Question) -> Result<Response, Problem> {
    question.of_board("scoreboard", Scoreboard::of)
}

/// The awards as far as this view tells: first solves; the winner once the results are final and nothing is frozen.
#[utoipa::path(get, path = "/api/contests/{event}/awards", tag = "contests", params(("event" = String, Path, description = "Contest"), ContestQuery),
    responses((status = 200, body = Vec<Award>), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn awards(question: Question) -> Result<Response, Problem> {
    question.of_board("awards", shapes::awards)
}
