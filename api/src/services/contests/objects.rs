//! Objects of the Contest API that are no part of a board: made of the latest records of an event.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gravity_events::board::View;
use gravity_events::query::Object;
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Id};
use serde_json::{Map, Value, json};

use super::question::ViewName;
use crate::app::AppState;
use crate::http::etag::cache_control;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Problem, Viewer};
use crate::services::events::duration::format_reltime;
use crate::serving::HeaderState;

/// Collections, by their names in the Contest API.
const COLLECTIONS: [&str; 8] =
    ["problems", "groups", "organizations", "teams", "languages", "judgement-types", "submissions", "judgements"];

/// An object's collection, id and JSON.
pub(super) fn object(object: &Object, head: &HeaderState) -> Option<(&'static str, Id, Value)> {
    let begin_ms = head.header.started_at_ms.or(head.header.start_at_ms);
    // Times of the clock follow from contest times, which is what counts.
    let times = |name: &str, contest_ms: Option<i64>, clock_ms: Option<i64>| {
        let clock = clock_ms.or_else(|| Some(begin_ms? + contest_ms?));
        let contest = contest_ms.or_else(|| Some(clock_ms? - begin_ms?));
        let contest_name =
            if name == "time" { "contest_time".to_owned() } else { name.replace("_time", "_contest_time") };
        [(name.to_owned(), json!(clock.map(format_rfc3339_ms))), (contest_name, json!(contest.map(format_reltime)))]
    };
    let (collection, id, value) = match &object.body {
        Body::ProblemPublished(p) => {
            let ordinal = head.header.problems.iter().position(|b| b.problem == p.problem);
            let value = json!({"label": p.label, "name": p.name, "ordinal": ordinal, "rgb": p.rgb});
            ("problems", &p.problem, value)
        }
        Body::GroupRegistered(g) => ("groups", &g.group, json!({"name": g.name, "hidden": g.hidden.then_some(true)})),
        Body::OrganizationRegistered(o) => {
            let value = json!({"name": o.name, "formal_name": o.formal_name, "country": o.country});
            ("organizations", &o.organization, value)
        }
        Body::TeamRegistered(t) => {
            let value = json!({
                "name": t.name,
                "display_name": t.display_name.as_ref().unwrap_or(&t.name),
                "organization_id": t.organization,
                "group_ids": t.groups,
                "hidden": t.hidden.then_some(true),
            });
            ("teams", &t.team, value)
        }
        Body::LanguagePublished(l) => ("languages", &l.language, json!({"name": l.name})),
        Body::JudgementTypePublished(t) => {
            let solved = t.solved.unwrap_or(false);
            let value = json!({"name": t.name, "solved": solved, "penalty": t.penalty.unwrap_or(!solved)});
            ("judgement-types", &t.judgement_type, value)
        }
        Body::SubmissionReceived(s) => {
            let mut value = json!({"team_id": s.team, "problem_id": s.problem, "language_id": s.language});
            let fields = times("time", s.contest_time_ms, object.time_ms);
            value.as_object_mut().into_iter().for_each(|map| map.extend(fields.clone()));
            ("submissions", &s.submission, value)
        }
        Body::JudgementRecorded(j) => {
            let mut value = json!({
                "submission_id": j.submission,
                "judgement_type_id": j.judgement_type,
                "current": j.current.unwrap_or(true),
            });
            let start = j.start_contest_time_ms.or(j.end_contest_time_ms);
            let fields = [times("start_time", start, None), times("end_time", j.end_contest_time_ms, None)];
            value.as_object_mut().into_iter().for_each(|map| map.extend(fields.clone().into_iter().flatten()));
            ("judgements", &j.judgement, value)
        }
        _ => return None,
    };
    let Value::Object(fields) = value else { return None };
    let mut whole = Map::from_iter([("id".to_owned(), json!(id))]);
    // What is not known is left out, except where the specification wants a null.
    whole.extend(
        fields.into_iter().filter(|(name, v)| !v.is_null() || name.starts_with("end_") || name == "judgement_type_id"),
    );
    Some((collection, id.clone(), Value::Object(whole)))
}

/// Parameters of objects.
#[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
pub struct ObjectsQuery {
    /// `public` or `jury`; what the token allows, when left out.
    #[param(inline)]
    pub view: Option<ViewName>,
}

async fn all(
    state: &AppState,
    viewer: Viewer,
    query: &ObjectsQuery,
    event: &str,
    collection: &str,
) -> Result<(View, Vec<(Id, Value)>), Problem> {
    let view = viewer.require(query.view.map(View::from), event)?;
    let head = state.boards.header(event, view).ok_or_else(|| Problem::unknown_event(event))?;
    if !COLLECTIONS.contains(&collection) {
        let problem = Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "unknown_collection",
            format!("a contest has no `{collection}`"),
        );
        return Err(problem.hint(format!("it has {}", COLLECTIONS.join(", "))));
    }
    let event = head.event.clone();
    let objects = state.boards.ask(move |queries| queries.objects(&event, view == View::Public)).await?;
    let mut of_collection: Vec<(Id, Value)> = objects
        .objects
        .iter()
        .filter_map(|o| object(o, &head))
        .filter(|(of, ..)| *of == collection)
        .map(|(_, id, value)| (id, value))
        .collect();
    of_collection.sort_by(|a, b| gravity_events::natural_cmp(&a.0, &b.0));
    Ok((view, of_collection))
}

/// The objects of a collection: problems, groups, organizations, teams, languages, judgement-types, submissions or
/// judgements. The public sees no hidden team, and no judgement of what was handed in after the freeze.
#[utoipa::path(get, path = "/api/contests/{event}/{collection}", tag = "contests",
    params(("event" = String, Path, description = "Contest"), ("collection" = String, Path, description = "Collection"), ObjectsQuery),
    responses((status = 200, body = Vec<serde_json::Value>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn list(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath((event, collection)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<ObjectsQuery>,
) -> Result<Response, Problem> {
    let (view, objects) = all(&state, viewer, &query, &event, &collection).await?;
    let values: Vec<Value> = objects.into_iter().map(|(_, value)| value).collect();
    Ok(([(header::CACHE_CONTROL, cache_control(view))], Json(values)).into_response())
}

/// One object of a collection.
#[utoipa::path(get, path = "/api/contests/{event}/{collection}/{id}", tag = "contests",
    params(("event" = String, Path, description = "Contest"), ("collection" = String, Path, description = "Collection"),
        ("id" = String, Path, description = "Its id"), ObjectsQuery),
    responses((status = 200, body = serde_json::Value), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn one(
    State(state): State<AppState>,
    viewer: Viewer,
    ApiPath((event, collection, id)): ApiPath<(String, String, String)>,
    ApiQuery(query): ApiQuery<ObjectsQuery>,
) -> Result<Response, Problem> {
    let (view, objects) = all(&state, viewer, &query, &event, &collection).await?;
    let found = objects.into_iter().find(|(of, _)| *of == id).ok_or_else(|| {
        Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "unknown_object",
            format!("there is no `{id}` among the {collection}"),
        )
        .hint(format!("GET /api/contests/{event}/{collection} lists them"))
    })?;
    Ok(([(header::CACHE_CONTROL, cache_control(view))], Json(found.1)).into_response())
}
