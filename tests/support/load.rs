//! Clients that load a server and know what was promised to them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::contest::attempt;
use super::{Server, post};

/// The contest that is loaded.
pub const TEAMS: u32 = 40;
/// Its problems.
pub const PROBLEMS: u32 = 8;

/// What the clients know: attempts that were acknowledged, and those whose answer was lost.
#[derive(Clone, Default)]
pub struct Ledger {
    pub acknowledged: BTreeSet<u32>,
    pub unknown: BTreeSet<u32>,
}

/// Clients of one contest, over all lives of the server.
#[derive(Clone)]
pub struct Load {
    event: &'static str,
    next: Arc<AtomicU32>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Load {
    pub fn new(event: &'static str) -> Load {
        Load { event, next: Arc::default(), ledger: Arc::default() }
    }

    /// Starts so many clients, which send attempts until the server is gone.
    pub fn start(&self, server: &Server, clients: u32) -> Vec<JoinHandle<()>> {
        let (url, token) = (server.url.clone(), server.token());
        (0..clients).map(|_| tokio::spawn(self.clone().client(url.clone(), token.clone()))).collect()
    }

    async fn client(self, url: String, token: String) {
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let records = self.records(n);
            self.ledger.lock().await.unknown.insert(n);
            let Some(statuses) = post(&url, &token, &records, n.is_multiple_of(7)).await else { return };
            if statuses.iter().all(|s| s == "accepted" || s == "counted" || s == "duplicate") {
                self.acknowledge(n).await;
            }
        }
    }

    /// The records of an attempt.
    pub fn records(&self, n: u32) -> Vec<Vec<u8>> {
        attempt(self.event, n, TEAMS, PROBLEMS)
    }

    /// What the clients know now.
    pub async fn ledger(&self) -> Ledger {
        self.ledger.lock().await.clone()
    }

    /// An attempt was acknowledged.
    pub async fn acknowledge(&self, n: u32) {
        let mut ledger = self.ledger.lock().await;
        ledger.unknown.remove(&n);
        ledger.acknowledged.insert(n);
    }
}
