//! Ctrl-C: a request to cancel comes by a connection of its own, with the secret of the one whose query is to end.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::messages::cancel::CancelRequest;
use datafusion_postgres::pgwire::messages::startup::SecretKey;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The query that a connection answers: another each time.
#[derive(Default)]
pub(super) struct Current(Mutex<CancellationToken>);

impl Current {
    /// Begins another; the one before, if it still runs, can no longer be cancelled.
    pub(super) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.0.lock() = token.clone();
        token
    }
}

type Key = (i32, Bytes);

/// The connections of a server by what a request has to know.
#[derive(Default)]
pub(super) struct Cancels(Mutex<BTreeMap<Key, Weak<Current>>>);

/// A connection that can be cancelled, until this is dropped.
pub(super) struct Registered {
    cancels: Arc<Cancels>,
    key: Key,
}

impl Cancels {
    pub(super) fn register(self: &Arc<Self>, pid: i32, secret: &SecretKey, current: &Arc<Current>) -> Registered {
        let key = (pid, secret.to_bytes());
        self.0.lock().insert(key.clone(), Arc::downgrade(current));
        Registered { cancels: self.clone(), key }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.cancels.0.lock().remove(&self.key);
    }
}

#[async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let current = self.0.lock().get(&(request.pid, request.secret_key.to_bytes())).and_then(Weak::upgrade);
        if let Some(current) = current {
            current.0.lock().cancel();
        }
    }
}
