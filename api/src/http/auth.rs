//! Who asks: one bearer token for now, whose holder may do everything.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use gravity_events::board::View;

use super::Problem;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Feed records, see the jury view, run the platform.
    Admin,
}

/// The tokens that are accepted. Holds hashes only.
#[derive(Clone)]
pub struct Tokens {
    admin: Arc<blake3::Hash>,
}

impl Tokens {
    /// Accepts this token as the administrator's. An empty token is never accepted.
    pub fn admin(token: &str) -> Tokens {
        Tokens {
            admin: Arc::new(if token.is_empty() {
                blake3::Hash::from_bytes([0; 32])
            } else {
                blake3::hash(token.as_bytes())
            }),
        }
    }

    /// The role of a token's holder. Takes the same time for every wrong token: hashes are compared, and in constant time.
    pub fn role(&self, token: &[u8]) -> Option<Role> {
        (blake3::hash(token) == *self.admin).then_some(Role::Admin)
    }

    fn role_of(&self, parts: &Parts) -> Result<Option<Role>, Problem> {
        let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = given.next() else { return Ok(None) };
        let wrong = |detail: &str| {
            Problem::new(StatusCode::UNAUTHORIZED, "wrong_token", detail)
                .hint("send `Authorization: Bearer TOKEN`; `gravity up` keeps the administrator's in admin.token in its data folder")
        };
        if given.next().is_some() {
            return Err(wrong("there is more than one Authorization header"));
        }
        let bytes = value.as_bytes();
        let (scheme, token) = bytes.split_at(bytes.iter().position(|b| *b == b' ').unwrap_or(bytes.len()));
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Err(wrong("the Authorization header is not of the scheme Bearer"));
        }
        self.role(token.trim_ascii()).map(Some).ok_or_else(|| wrong("the token is not known"))
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// A caller with a valid token. As an extractor: 401 without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What it may do.
    pub role: Role,
}

impl<S: Send + Sync> FromRequestParts<S> for Principal
where
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Principal, Problem> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        viewer.principal.ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "token_needed", "this route needs a token")
                .hint("send `Authorization: Bearer TOKEN`; `gravity up` keeps the administrator's in admin.token in its data folder")
        })
    }
}

/// Anybody: with a valid token, or without any. As an extractor: 401 for a wrong token, so that its holder learns of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Who, where a token was given.
    pub principal: Option<Principal>,
}

impl Viewer {
    /// Whether this viewer may see that view.
    pub fn may_see(&self, view: View) -> bool {
        view == View::Public || self.principal.is_some_and(|p| p.role == Role::Admin)
    }

    /// The view, or 401.
    pub fn require(&self, view: View) -> Result<View, Problem> {
        if self.may_see(view) {
            Ok(view)
        } else {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "token_needed", "the jury view needs a token")
                .hint("send `Authorization: Bearer TOKEN`, or ask for view=public"))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer
where
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Viewer, Problem> {
        let role = Tokens::from_ref(state).role_of(parts)?;
        Ok(Viewer { principal: role.map(|role| Principal { role }) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        let t = Tokens::admin("s3cret");
        assert_eq!(t.role(b"s3cret"), Some(Role::Admin));
        for wrong in [&b""[..], b"s3cre", b"s3cret ", b"S3CRET", b"\xff"] {
            assert_eq!(t.role(wrong), None);
        }
        assert_eq!(Tokens::admin("").role(b""), None);
        assert!(!format!("{t:?}").contains("s3cret"));
    }
}
