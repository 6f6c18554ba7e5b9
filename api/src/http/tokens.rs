//! Who holds a token, and what its holder may do.
//!
//! The administrator's token is a secret that the server was started with. It buys others: JSON Web Tokens (RFC 7519) that
//! say a role, and of an analyst or a team also which event. They are checked by their signature, kept nowhere, and good
//! until they expire or the server gets another key.

use std::sync::Arc;

use gravity_events::Id;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Append records.
    Feed,
    /// See what judges see, of all events or of one, or what a tenant uses and pays; change nothing.
    Analyst,
    /// One team of one event: hand in, and see why its submissions have the scores that they have.
    Team,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Feed => "feed",
            Role::Analyst => "analyst",
            Role::Team => "team",
        }
    }
}

/// A caller with a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What it may do.
    pub role: Role,
    /// Where; everywhere, when there is none.
    pub event: Option<Id>,
    /// Whose, of an analyst of one tenant.
    pub tenant: Option<Id>,
    /// Who, of a team.
    pub team: Option<Id>,
}

impl Principal {
    /// The administrator.
    pub const ADMIN: Principal = Principal { role: Role::Admin, event: None, tenant: None, team: None };

    /// Whether it may see what judges see of an event; without one, of the platform.
    pub fn may_read(&self, event: Option<&str>) -> bool {
        match self.role {
            Role::Admin => true,
            // Of whom an event is, is not known here: an analyst of a tenant sees that tenant's books, not its juries.
            Role::Analyst => match &self.event {
                Some(own) => event == Some(own),
                None => self.tenant.is_none(),
            },
            Role::Feed | Role::Team => false,
        }
    }

    /// Whether it may see what a tenant uses and pays.
    pub fn may_read_tenant(&self, tenant: &str) -> bool {
        match self.role {
            Role::Admin => true,
            Role::Analyst => self.event.is_none() && self.tenant.as_deref().is_none_or(|own| own == tenant),
            Role::Feed | Role::Team => false,
        }
    }

    /// Whether it is this team of this event.
    pub fn is_team(&self, event: &str, team: &str) -> bool {
        self.role == Role::Team && self.event.as_deref() == Some(event) && self.team.as_deref() == Some(team)
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<Id>,
    iat: u64,
    exp: u64,
}

const ISSUER: &str = "gravity";
const ALGORITHM: Algorithm = Algorithm::HS256;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody here gave it out.
    #[error("the token is not known")]
    Unknown,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
}

/// The tokens that are accepted.
#[derive(Clone)]
pub struct Tokens(Arc<Keys>);

struct Keys {
    /// Of the administrator's token.
    admin: blake3::Hash,
    signs: EncodingKey,
    checks: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Accepts this token as the administrator's, and those that are signed by this key. An empty token is never accepted.
    pub fn new(admin: &str, key: &[u8; 32]) -> Tokens {
        let admin = if admin.is_empty() { blake3::Hash::from_bytes([0; 32]) } else { blake3::hash(admin.as_bytes()) };
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.leeway = 0;
        let (signs, checks) = (EncodingKey::from_secret(key), DecodingKey::from_secret(key));
        Tokens(Arc::new(Keys { admin, signs, checks, validation }))
    }

    /// Who holds a token. The administrator's is compared by hash, and a signature by its code, each in constant time.
    pub fn holder(&self, token: &[u8]) -> Result<Principal, Refused> {
        if blake3::hash(token) == self.0.admin {
            return Ok(Principal::ADMIN);
        }
        match jsonwebtoken::decode::<Claims>(token, &self.0.checks, &self.0.validation) {
            Ok(token) => {
                let Claims { role, event, tenant, team, .. } = token.claims;
                Ok(Principal { role, event, tenant, team })
            }
            Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::ExpiredSignature => Err(Refused::Expired),
            Err(_) => Err(Refused::Unknown),
        }
    }

    /// A token for somebody, good from one second (since 1970) to another.
    pub fn issue(&self, to: &Principal, from_s: u64, until_s: u64) -> String {
        let claims = Claims {
            iss: ISSUER.into(),
            role: to.role,
            event: to.event.clone(),
            tenant: to.tenant.clone(),
            team: to.team.clone(),
            iat: from_s,
            exp: until_s,
        };
        jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &self.0.signs).expect("claims are plain data")
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR_S: u64 = 9_999_999_999;

    #[test]
    fn only_the_token_is_the_token() {
        let t = Tokens::new("s3cret", &[1; 32]);
        assert_eq!(t.holder(b"s3cret"), Ok(Principal::ADMIN));
        for wrong in [&b""[..], b"s3cre", b"s3cret ", b"S3CRET", b"\xff", b"a.b.c"] {
            assert_eq!(t.holder(wrong), Err(Refused::Unknown));
        }
        assert_eq!(Tokens::new("", &[1; 32]).holder(b""), Err(Refused::Unknown));
        assert!(!format!("{t:?}").contains("s3cret"));
    }

    #[test]
    fn what_was_given_out_is_good_until_it_expires_and_cannot_be_changed() {
        let t = Tokens::new("s3cret", &[1; 32]);
        let team = Principal { role: Role::Team, event: Some("cup".into()), tenant: None, team: Some("7".into()) };
        let token = t.issue(&team, 1, FAR_S);
        assert_eq!(t.holder(token.as_bytes()), Ok(team.clone()));
        assert_eq!(t.holder(t.issue(&team, 1, 2).as_bytes()), Err(Refused::Expired));
        assert_eq!(
            Tokens::new("s3cret", &[2; 32]).holder(token.as_bytes()),
            Err(Refused::Unknown),
            "of another server"
        );
        let admin = Tokens::new("s3cret", &[3; 32]).issue(&Principal::ADMIN, 1, FAR_S);
        let (ours, theirs): (Vec<_>, Vec<_>) = (token.split('.').collect(), admin.split('.').collect());
        let none = "eyJhbGciOiJub25lIn0";
        for forged in [[ours[0], theirs[1], ours[2]], [none, theirs[1], ""], [theirs[0], theirs[1], theirs[2]]] {
            assert_eq!(t.holder(forged.join(".").as_bytes()), Err(Refused::Unknown), "{forged:?}");
        }
    }

    #[test]
    fn an_analyst_reads_where_it_may() {
        let of = |event: Option<&str>| Principal {
            role: Role::Analyst,
            event: event.map(Into::into),
            tenant: None,
            team: None,
        };
        assert!(of(None).may_read(Some("cup")) && of(None).may_read(None));
        assert!(of(Some("cup")).may_read(Some("cup")));
        assert!(!of(Some("cup")).may_read(Some("other")) && !of(Some("cup")).may_read(None));
    }

    #[test]
    fn an_analyst_of_a_tenant_reads_its_books_and_nothing_else() {
        let analyst = Principal { role: Role::Analyst, event: None, tenant: Some("acme".into()), team: None };
        assert!(analyst.may_read_tenant("acme") && !analyst.may_read_tenant("other"));
        assert!(!analyst.may_read(None) && !analyst.may_read(Some("cup")));
        let of_all = Principal { tenant: None, ..analyst.clone() };
        assert!(of_all.may_read_tenant("acme") && of_all.may_read(Some("cup")));
        let of_event = Principal { event: Some("cup".into()), ..of_all.clone() };
        assert!(!of_event.may_read_tenant("acme"));
        assert!(!Principal { role: Role::Feed, ..of_all }.may_read_tenant("acme"));
        let t = Tokens::new("s3cret", &[1; 32]);
        assert_eq!(t.holder(t.issue(&analyst, 1, FAR_S).as_bytes()), Ok(analyst));
    }
}
