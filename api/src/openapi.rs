//! `GET /openapi.json`: every route, generated from the handlers. A copy is kept in docs/openapi.json.

use std::sync::LazyLock;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::http::etag::{conditional, content_tag};
use crate::http::problem::PROBLEM_JSON;
use crate::http::{Problem, health, pages};
use crate::services::{analytics, auth, billing, contests, events, labs, ops, records};

#[derive(OpenApi)]
#[openapi(
    info(title = "Gravity", description = "Live contest boards: records in, boards out.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags((name = "records", description = "CloudEvents in"), (name = "events", description = "Events and their boards"),
        (name = "contests", description = "CLICS Contest API, read side"), (name = "auth", description = "Tokens"), (name = "analytics", description = "Questions in SQL"), (name = "billing", description = "What is used, and what it costs"), (name = "labs", description = "Labs and their alerts"), (name = "operations", description = "Probes and the operator's work"),
        (name = "pages", description = "For browsers")),
    modifiers(&Shared),
    paths(
        pages::index, pages::board, pages::asset,
        health::livez, health::readyz, health::startupz, health::metrics_text, serve,
        records::post,
        boards::events, events::apply::post, events::state::post, events::submissions::post, events::score::get, events::preview::post, events::resolver::get, events::preview::rescore, events::similarity::get, labs::list,
        analytics::sql::post, analytics::views::get, billing::meters::list, billing::meters::get, billing::burn::get, billing::burn::stream, billing::adjustments::get, billing::budgets::get, billing::reprice::post, billing::invoices::close, billing::invoices::list, billing::invoices::get, billing::adapters::post, billing::adapters::post_otlp,
        billing::reservations::post, billing::reservations::get, billing::reservations::settle, billing::reservations::release,
        boards::board, boards::names, boards::team, boards::changes, boards::series, boards::stream,
        contests::list, contests::contest, contests::state, contests::scoreboard, contests::awards, contests::access::access, contests::access::account, contests::feed::get, contests::objects::list, contests::objects::one,
        auth::post, ops::status, ops::verify, ops::dead_letters, ops::dead_letter, ops::retry,
    )
)]
struct Document;

/// What holds for every route: the token's scheme, and that errors are problems.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
        document.info.version = "v1".into();
        let operations = document.paths.paths.values_mut().flat_map(|p| [&mut p.get, &mut p.post]).flatten();
        for operation in operations {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if status.starts_with(['4', '5'])
                    && let Some(content) = response.content.swap_remove("application/json")
                {
                    response.content.insert(PROBLEM_JSON.into(), content);
                }
                if response.description.is_empty() {
                    response.description = description(status).into();
                }
            }
        }
    }
}

/// What a status means where its route says nothing more.
fn description(status: &str) -> &str {
    match status {
        "200" => "The answer",
        "201" => "Created",
        "304" => "The caller has it already (If-None-Match)",
        "400" => "The request cannot be read",
        "401" => "A token is missing or wrong",
        "403" => "The token is of somebody who may not do this",
        "404" => "There is no such thing",
        "413" => "The body is too large",
        "415" => "The body's media type is not one that the route reads",
        "422" => "A field is missing, unknown or wrong",
        "503" => "Not now; see Retry-After",
        "507" => "The log has no space left",
        _ => "See `code` and `detail`",
    }
}

/// The document as JSON, the same text for the same build.
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().expect("the document is plain data");
    text.push('\n');
    text
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub async fn serve(headers: HeaderMap) -> Response {
    static TEXT: LazyLock<(String, String)> = LazyLock::new(|| {
        let text = document();
        let tag = content_tag(text.as_bytes());
        (text, tag)
    });
    conditional(&headers, &TEXT.1, "no-cache", || {
        ([(header::CONTENT_TYPE, "application/json")], TEXT.0.as_str()).into_response()
    })
}

/// The documents of the board routes, whose handlers are in [`crate::serving::handlers`].
#[allow(dead_code)] // only their attributes count
mod boards {
    use utoipa::IntoParams;

    use super::Problem;

    /// Which board.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    struct Board {
        /// `public` (default) or `jury` (with a token).
        view: Option<String>,
        /// A division; all teams when absent.
        division: Option<String>,
    }

    /// Which part of it.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    struct Page {
        /// Rows at most: 100 by default, 1,000 at most.
        limit: Option<u32>,
        /// Index of the first row.
        from: Option<u64>,
        /// `next_cursor` of the page before; excludes `from` and `at`.
        cursor: Option<String>,
        /// A version that is still kept, or an instant.
        at: Option<String>,
        /// `true`: a version that is no longer kept is read back from the topics, which takes longer.
        old: Option<bool>,
    }

    /// Which names.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    struct Names {
        /// Names at most: 5,000, which is also the default.
        limit: Option<u32>,
        /// Index of the first row.
        from: Option<u64>,
        /// A version that is still kept, or an instant.
        at: Option<String>,
        /// `true`: a version that is no longer kept is read back from the topics, which takes longer.
        old: Option<bool>,
    }

    /// Which part is followed.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    struct Stream {
        /// Rows at most: 100 by default, 1,000 at most.
        limit: Option<u32>,
        /// Also tell of this team's place.
        team: Option<String>,
        /// Like the header `Last-Event-ID`, which goes before it.
        last_event_id: Option<String>,
    }

    #[doc = "The events with a public board."]
    #[utoipa::path(get, path = "/api/v1/events", tag = "events", responses((status = 200, body = serde_json::Value)))]
    fn events() {}

    #[doc = "A page of a board. The ETag changes with the board's version only."]
    #[utoipa::path(get, path = "/api/v1/events/{event}/board", tag = "events", security((), ("token" = [])),
        params(("event" = String, Path, description = "Event"), Board, Page),
        responses((status = 200, body = serde_json::Value), (status = 304), (status = 400, body = Problem), (status = 401, body = Problem),
            (status = 404, body = Problem), (status = 410, description = "The version is no longer kept", body = Problem)))]
    fn board() {}

    #[doc = "Team, name and organization of a board's rows, in its order: what a search by name needs."]
    #[utoipa::path(get, path = "/api/v1/events/{event}/board/names", tag = "events", security((), ("token" = [])),
        params(("event" = String, Path, description = "Event"), Board, Names),
        responses((status = 200, body = serde_json::Value), (status = 304), (status = 400, body = Problem), (status = 401, body = Problem),
            (status = 404, body = Problem), (status = 410, description = "The version is no longer kept", body = Problem)))]
    fn names() {}

    #[doc = "A team's row, rank and neighbours."]
    #[utoipa::path(get, path = "/api/v1/events/{event}/board/teams/{team}", tag = "events", security((), ("token" = [])),
        params(("event" = String, Path, description = "Event"), ("team" = String, Path, description = "Team"), Board),
        responses((status = 200, body = serde_json::Value), (status = 304), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem)))]
    fn team() {}

    /// Why rows moved other than by submissions and their verdicts, the newest change first.
    #[utoipa::path(get, path = "/api/v1/events/{event}/board/changes", tag = "events",
        params(("event" = String, Path, description = "The event"), Board, ("limit" = Option<u32>, Query, description = "Changes at most")),
        responses((status = 200, description = "`changes`: version, at, causes (kind, what, why, actor), rows that moved", body = serde_json::Value),
            (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem)))]
    fn changes() {}

    /// Scores over time of the first teams of a board, and of others that are named.
    #[utoipa::path(get, path = "/api/v1/events/{event}/board/series", tag = "events", security((), ("token" = [])),
        params(("event" = String, Path, description = "Event"), Board, ("top" = Option<u32>, Query, description = "Teams from the top, 10 by default, 100 at most"),
            ("teams" = Option<String>, Query, description = "Others, joined by commas")),
        responses((status = 200, description = "`teams`: rank, team, name, `points` as [milliseconds since 1970, score from then on]", body = serde_json::Value),
            (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
    fn series() {}

    #[doc = "A board as Server-Sent Events: a snapshot, then deltas; `id` is the version."]
    #[utoipa::path(get, path = "/api/v1/events/{event}/board/stream", tag = "events", security((), ("token" = [])),
        params(("event" = String, Path, description = "Event"), Board, Stream),
        responses((status = 200, content_type = "text/event-stream", body = String), (status = 400, body = Problem), (status = 401, body = Problem),
            (status = 404, body = Problem), (status = 503, description = "Too many streams", body = Problem)))]
    fn stream() {}
}
