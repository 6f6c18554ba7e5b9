//! What every question about a contest has in common.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gravity_events::board::{OVERALL, View};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::http::etag::{cache_control, conditional, content_tag};
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Problem, Viewer};
use crate::serving::{Boards, HeaderState, RankedRow};

/// Whose view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViewName {
    /// Everybody's.
    Public,
    /// The jury's; needs a token.
    Jury,
}

impl From<ViewName> for View {
    fn from(name: ViewName) -> View {
        match name {
            ViewName::Public => View::Public,
            ViewName::Jury => View::Jury,
        }
    }
}

/// Parameters of contest objects.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
pub struct ContestQuery {
    /// `public` or `jury`; what the token allows, when left out.
    #[param(inline)]
    pub view: Option<ViewName>,
    /// A division's board instead of the overall one.
    pub division: Option<String>,
}

/// A question about one contest, by somebody who may see this view of it.
pub struct Question {
    boards: Arc<Boards>,
    event: String,
    view: View,
    division: String,
    headers: HeaderMap,
}

impl FromRequestParts<AppState> for Question {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Question, Problem> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        let ApiPath(event) = ApiPath::<String>::from_request_parts(parts, state).await?;
        let ApiQuery(query) = ApiQuery::<ContestQuery>::from_request_parts(parts, state).await?;
        let view = viewer.require(query.view.map(View::from), &event)?;
        let division = query.division.unwrap_or_else(|| OVERALL.to_owned());
        Ok(Question { boards: state.boards.clone(), event, view, division, headers: parts.headers.clone() })
    }
}

impl Question {
    /// Whose view it is.
    pub(super) fn view(&self) -> View {
        self.view
    }

    /// What the contest's boards say besides rows, or 404.
    pub(super) fn header(&self) -> Result<Arc<HeaderState>, Problem> {
        self.boards.header(&self.event, self.view).ok_or_else(|| Problem::unknown_event(&self.event))
    }

    /// The answer, or 304 for whoever has it already.
    pub(super) fn answer<T: Serialize>(&self, value: &T) -> Response {
        answer(&self.headers, self.view, value)
    }

    /// An answer made of the whole board: encoded once per version, whoever asks. `name` tells such answers apart.
    pub(super) fn of_board<T: Serialize>(
        &self,
        name: &'static str,
        make: impl FnOnce(&HeaderState, &[RankedRow]) -> T,
    ) -> Result<Response, Problem> {
        let encode = |head: &HeaderState, rows: &[RankedRow]| encoded(&make(head, rows));
        let (body, tag) = self.boards.whole(&self.event, self.view, &self.division, name, encode)?;
        Ok(tagged(&self.headers, self.view, &tag, body))
    }
}

/// JSON with an entity tag of its content.
pub(super) fn answer<T: Serialize>(headers: &HeaderMap, view: View, value: &T) -> Response {
    let body = encoded(value);
    let tag = content_tag(&body);
    tagged(headers, view, &tag, body.into())
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("an answer is plain data")
}

fn tagged(headers: &HeaderMap, view: View, tag: &str, body: Bytes) -> Response {
    let json = || ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    conditional(headers, tag, cache_control(view), json)
}
