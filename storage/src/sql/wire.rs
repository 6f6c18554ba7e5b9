//! PostgreSQL's wire protocol: psql, drivers, Grafana and notebooks ask as they ask a PostgreSQL server.
//!
//! The password is an access token; what its holder may see is what the session sees. Each connection has a session of its own,
//! in which only what reads is planned: a plan that was checked is the plan that runs.

mod cancel;
mod checked;
mod door;
mod hook;
mod limited;
mod settings;

use std::path::Path;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use datafusion_postgres::pgwire::api::PgWireServerHandlers;
use datafusion_postgres::pgwire::api::auth::StartupHandler;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::tokio::{TlsAcceptor, process_socket};
use datafusion_postgres::{DfSessionService, QueryHook};
use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::hook::Hooked;
use super::engine::CATALOG;
use super::{Scope, SqlEngine, SqlError};

/// Who holds a token: what they see, or why they are not let in.
pub type Doorkeeper = Arc<dyn Fn(&[u8]) -> Result<Scope, String> + Send + Sync>;

/// Connections at once.
const CONNECTIONS: usize = 100;

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM file.
    #[error("cannot read {what} from {path}: {why}")]
    File {
        /// Certificate or key.
        what: &'static str,
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
    /// They do not fit together.
    #[error("the certificate and its key cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
}

/// Certificate and key from PEM files, for clients that ask for TLS.
///
/// # Errors
/// A file cannot be read, or the two do not fit together.
pub fn tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let failed = |what: &'static str, path: &Path, why: rustls::pki_types::pem::Error| TlsError::File {
        what,
        path: path.display().to_string(),
        why: why.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|why| failed("certificates", certificate, why))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|why| failed("a private key", key, why))?;
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Answers clients of PostgreSQL.
pub struct WireServer {
    engine: Arc<SqlEngine>,
    doorkeeper: Doorkeeper,
    tls: Option<TlsAcceptor>,
    cancels: Arc<cancel::Cancels>,
}

impl WireServer {
    /// Answers with `engine` whom `doorkeeper` lets in. Without `tls` only on this machine: tokens would go over the network.
    pub fn new(engine: Arc<SqlEngine>, doorkeeper: Doorkeeper, tls: Option<TlsAcceptor>) -> WireServer {
        WireServer { engine, doorkeeper, tls, cancels: Arc::default() }
    }

    /// Takes connections until it is ended.
    pub async fn serve(self, listener: TcpListener, ends: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = ends.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection of a PostgreSQL client was not taken");
                    // Out of file descriptors, usually: others have to end first.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!(%peer, "{CONNECTIONS} PostgreSQL clients are connected: another is sent away");
                continue;
            };
            let (handlers, tls, ends) = (Arc::new(self.connection()), self.tls.clone(), ends.clone());
            self.engine.threads().spawn(async move {
                tokio::select! {
                    () = ends.cancelled() => {}
                    served = process_socket(socket, tls, handlers) => {
                        if let Err(error) = served {
                            tracing::debug!(%peer, %error, "the connection of a PostgreSQL client ended");
                        }
                    }
                }
                drop(place);
            });
        }
    }

    fn connection(&self) -> Connection {
        // Nobody has said yet who they are: a session that sees nothing.
        let session = Arc::new(RwLock::new(service(SessionContext::new())));
        let current = Arc::<cancel::Current>::default();
        let queries =
            limited::Queries { engine: self.engine.clone(), session: session.clone(), current: current.clone() };
        let door = door::Door::new(&self.engine, &self.doorkeeper, session, current, &self.cancels);
        Connection { queries: Arc::new(queries), door: Arc::new(door), cancels: self.cancels.clone() }
    }
}

/// The session of a connection: another once its holder is known.
type Session = Arc<RwLock<Arc<DfSessionService>>>;

fn service(context: SessionContext) -> Arc<DfSessionService> {
    let hooks: Vec<Arc<dyn QueryHook>> = vec![
        Arc::new(Hooked(settings::Settings)),
        Arc::new(SetShowHook),
        Arc::new(TransactionStatementHook),
        Arc::new(Hooked(checked::OnlyReads)),
    ];
    Arc::new(DfSessionService::new_with_hooks(Arc::new(context), hooks))
}

/// The session of somebody who sees what `scope` sees, with the catalogue that PostgreSQL's clients look into.
fn session(engine: &SqlEngine, scope: &Scope) -> Result<Arc<DfSessionService>, SqlError> {
    let context = engine.session(scope)?;
    setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|error| SqlError::planning(*error))?;
    Ok(service(context))
}

/// What answers one connection.
struct Connection {
    queries: Arc<limited::Queries>,
    door: Arc<door::Door>,
    cancels: Arc<cancel::Cancels>,
}

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        self.queries.clone()
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        self.queries.clone()
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        self.door.clone()
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        self.cancels.clone()
    }
}
