//! `GET /api/v1/events/{event}/submissions/{submission}`: what has become of a submission, and why.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gravity_events::Id;
use gravity_events::board::View;
use gravity_events::query::Asker;

use crate::app::AppState;
use crate::http::extract::ApiPath;
use crate::http::{Principal, Problem, Viewer};

/// A submission's state, verdict and score. Everybody learns what the public board tells; its team also the verdict in a
/// freeze, and how each dimension came to its score, step by step; a judge everything.
#[utoipa::path(get, path = "/api/v1/events/{event}/submissions/{submission}", tag = "events",
    params(("event" = String, Path, description = "The event"), ("submission" = String, Path, description = "The submission")),
    responses((status = 200, description = "`state` is pending, hidden, counts or does_not_count; `why` says it in words", body = serde_json::Value),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath((event, submission)): ApiPath<(String, String)>,
) -> Result<Response, Problem> {
    let asker = match &viewer.principal {
        _ if viewer.may_see(View::Jury, &event) => Asker::Jury,
        Some(Principal { event: Some(of), team: Some(team), .. }) if *of == *event => Asker::Team(team.clone()),
        _ => Asker::Everybody,
    };
    let (event, submission) = (Id::from(event.as_str()), Id::from(submission.as_str()));
    let explained = state.boards.ask(move |queries| queries.explain(&event, &submission, &asker)).await?;
    Ok(Json(explained).into_response())
}
