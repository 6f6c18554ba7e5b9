//! `GET /api/v1/events/{event}/board/resolver`: the steps of the ceremony that reveals a frozen board.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gravity_events::Id;
use gravity_events::board::View;

use super::header;
use crate::app::AppState;
use crate::http::extract::ApiPath;
use crate::http::{Problem, Viewer};
use crate::serving::name_key;

/// The steps that reveal the frozen board from the bottom, one cell each. For judges; for everybody once it is thawed.
#[utoipa::path(get, path = "/api/v1/events/{event}/board/resolver", tag = "events", security(("token" = [])),
    params(("event" = String, Path, description = "The event")),
    responses((status = 200, description = "`start` (teams of the frozen board), `steps`, `end` (teams of the jury's board)", body = serde_json::Value),
        (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "Something is not judged, or the board is of a kind that cannot be revealed so", body = Problem),
        (status = 503, body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath(event): ApiPath<String>,
) -> Result<Response, Problem> {
    let head = state.boards.header(&event, View::Public).ok_or_else(|| Problem::unknown_event(&event));
    let thawed = head.is_ok_and(|h| h.header.thawed_at_ms.is_some());
    if !thawed {
        viewer.require(Some(View::Jury), &event)?;
        header(&state, &event)?;
    }
    let event = Id::from(event.as_str());
    let resolution = state.boards.ask(move |queries| queries.resolve(&event, &name_key)).await?;
    Ok(Json(resolution).into_response())
}
