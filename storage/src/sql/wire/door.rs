//! Who is let in: whoever has an access token, which is sent as the password.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::cleartext::CleartextPasswordAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, StartupHandler,
};
use datafusion_postgres::pgwire::api::{ClientInfo, PgWireConnectionState};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::{Password as Given, PasswordMessageFamily};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::Sink;
use parking_lot::Mutex;

use super::cancel::{Cancels, Current, Registered};
use super::{Doorkeeper, Session, session};
use crate::sql::SqlEngine;

/// The token that was let in. What speaks the protocol compares what was sent with it.
#[derive(Clone, Default)]
struct LetIn(Arc<Mutex<Option<String>>>);

impl Debug for LetIn {
    /// Tokens are not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LetIn")
    }
}

#[async_trait]
impl AuthSource for LetIn {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let token = self.0.lock().take();
        let refused = || PgWireError::InvalidPassword(login.user().unwrap_or_default().to_owned());
        Ok(Password::new(None, token.ok_or_else(refused)?.into_bytes()))
    }
}

/// The door of one connection.
pub(super) struct Door {
    engine: Arc<SqlEngine>,
    doorkeeper: Doorkeeper,
    session: Session,
    current: Arc<Current>,
    cancels: Arc<Cancels>,
    registered: OnceLock<Registered>,
    let_in: LetIn,
    protocol: CleartextPasswordAuthStartupHandler<LetIn, DefaultServerParameterProvider>,
}

fn refused(code: &str, message: String) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message)))
}

impl Door {
    pub(super) fn new(
        engine: &Arc<SqlEngine>,
        doorkeeper: &Doorkeeper,
        session: Session,
        current: Arc<Current>,
        cancels: &Arc<Cancels>,
    ) -> Door {
        let let_in = LetIn::default();
        let mut parameters = DefaultServerParameterProvider::default();
        parameters.search_path = "lake".to_owned();
        (parameters.is_superuser, parameters.default_transaction_read_only) = (false, true);
        Door {
            engine: engine.clone(),
            doorkeeper: doorkeeper.clone(),
            session,
            current,
            cancels: cancels.clone(),
            registered: OnceLock::new(),
            let_in: let_in.clone(),
            protocol: CleartextPasswordAuthStartupHandler::new(let_in, parameters),
        }
    }
}

#[async_trait]
impl StartupHandler for Door {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let message = match message {
            PgWireFrontendMessage::Startup(_) if !client.is_secure() && !client.socket_addr().ip().is_loopback() => {
                let why = "a token is not sent over a network without TLS: connect with sslmode=require".to_owned();
                return Err(refused("28000", why));
            }
            PgWireFrontendMessage::PasswordMessageFamily(given) => {
                let given = given.into_password()?;
                let scope = (self.doorkeeper)(given.password.as_bytes())
                    .map_err(|why| refused("28P01", format!("{why}; the password is an access token")))?;
                let session = session(&self.engine, &scope).map_err(|error| super::checked::told(&error))?;
                *self.session.write() = session;
                *self.let_in.0.lock() = Some(given.password.clone());
                PgWireFrontendMessage::PasswordMessageFamily(PasswordMessageFamily::Password(Given::new(
                    given.password,
                )))
            }
            other => other,
        };
        self.protocol.on_startup(client, message).await?;
        if matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            let (pid, secret) = client.pid_and_secret_key();
            self.registered.get_or_init(|| self.cancels.register(pid, &secret, &self.current));
        }
        Ok(())
    }
}
