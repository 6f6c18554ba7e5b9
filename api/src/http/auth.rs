//! Who asks: extractors that let in whoever may.

use std::convert::Infallible;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use gravity_events::board::View;

use super::Problem;
use super::tokens::{Principal, Role, Tokens};

const HINT: &str =
    "send `Authorization: Bearer TOKEN`; `gravity up` keeps the administrator's in admin.token in its data folder";

fn holder_of(tokens: &Tokens, parts: &Parts) -> Result<Option<Principal>, Problem> {
    let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let wrong = |detail: String| Problem::new(StatusCode::UNAUTHORIZED, "wrong_token", detail).hint(HINT);
    if given.next().is_some() {
        return Err(wrong("there is more than one Authorization header".into()));
    }
    let bytes = value.as_bytes();
    let (scheme, token) = bytes.split_at(bytes.iter().position(|b| *b == b' ').unwrap_or(bytes.len()));
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(wrong("the Authorization header is not of the scheme Bearer".into()));
    }
    tokens.holder(token.trim_ascii()).map(Some).map_err(|refused| wrong(refused.to_string()))
}

fn not_allowed(principal: &Principal, what: &str) -> Problem {
    let of = match (&principal.event, &principal.tenant) {
        (Some(event), _) => format!("{} of event `{event}`", principal.role.name()),
        (None, Some(tenant)) => format!("{} of tenant `{tenant}`", principal.role.name()),
        (None, None) => principal.role.name().to_owned(),
    };
    Problem::new(StatusCode::FORBIDDEN, "not_allowed", format!("the token's role is {of}; {what}"))
        .hint("ask an administrator for another: `gravity token`")
}

impl<S: Send + Sync> FromRequestParts<S> for Principal
where
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    /// 401 without a valid token.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Principal, Problem> {
        let needed = || Problem::new(StatusCode::UNAUTHORIZED, "token_needed", "this route needs a token").hint(HINT);
        holder_of(&Tokens::from_ref(state), parts)?.ok_or_else(needed)
    }
}

impl Principal {
    /// 403 unless it may see what judges see of that event; without one, of the platform.
    pub fn require_read(&self, event: Option<&str>) -> Result<(), Problem> {
        match (self.may_read(event), event) {
            (true, _) => Ok(()),
            (false, Some(event)) => Err(not_allowed(self, &format!("an analyst of event `{event}` may ask this"))),
            (false, None) => Err(not_allowed(self, "an analyst of all events may ask this")),
        }
    }

    /// 403 unless it may see what that tenant uses and pays.
    pub fn require_tenant(&self, tenant: &str) -> Result<(), Problem> {
        if self.may_read_tenant(tenant) {
            return Ok(());
        }
        Err(not_allowed(self, &format!("an analyst of tenant `{tenant}` may ask this")))
    }

    fn require_role(&self, roles: &[Role], what: &str) -> Result<(), Problem> {
        if roles.contains(&self.role) { Ok(()) } else { Err(not_allowed(self, what)) }
    }

    /// 403 unless it may hand in for that team.
    pub fn require_submit(&self, event: &str, team: &str) -> Result<(), Problem> {
        if self.is_team(event, team) {
            return Ok(());
        }
        let what = format!("team `{team}` of event `{event}`, or a feed, may hand this in");
        self.require_role(&[Role::Admin, Role::Feed], &what)
    }
}

/// An administrator: 401 without a token, 403 with another's.
#[derive(Clone, Copy, Debug)]
pub struct Admin;

impl<S: Send + Sync> FromRequestParts<S> for Admin
where
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Admin, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.require_role(&[Role::Admin], "only an administrator may do this").map(|()| Admin)
    }
}

/// Whoever may append records: 401 without a token, 403 with another's.
#[derive(Clone, Copy, Debug)]
pub struct Feeder;

impl<S: Send + Sync> FromRequestParts<S> for Feeder
where
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Feeder, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.require_role(&[Role::Admin, Role::Feed], "a feed may append records").map(|()| Feeder)
    }
}

/// Anybody: with a valid token, or without any. As an extractor: 401 for a wrong token, so that its holder learns of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Who, where a token was given.
    pub principal: Option<Principal>,
}

impl Viewer {
    /// Whether this viewer may see that view of an event.
    pub fn may_see(&self, view: View, event: &str) -> bool {
        view == View::Public || self.principal.as_ref().is_some_and(|p| p.may_read(Some(event)))
    }

    /// The view, or 401, or 403. Unless it was said which: the one with the most that the viewer may see.
    pub fn require(&self, view: Option<View>, event: &str) -> Result<View, Problem> {
        match view {
            None if self.may_see(View::Jury, event) => Ok(View::Jury),
            None | Some(View::Public) => Ok(View::Public),
            Some(View::Jury) => match &self.principal {
                Some(principal) => principal.require_read(Some(event)).map(|()| View::Jury),
                None => Err(Problem::new(StatusCode::UNAUTHORIZED, "token_needed", "the jury view needs a token")
                    .hint("send `Authorization: Bearer TOKEN`, or ask for view=public")),
            },
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer
where
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Viewer, Problem> {
        Ok(Viewer { principal: holder_of(&Tokens::from_ref(state), parts)? })
    }
}

/// The address of the peer, where the server said so.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Option<std::net::SocketAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Peer, Infallible> {
        let info = parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        Ok(Peer(info.map(|i| i.0)))
    }
}
