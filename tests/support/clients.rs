//! Clients that send a contest's attempts and remember which were acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gravity_events::Body;
use gravity_events::body::{EventConfigured, Scoring};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::contest::{attempt_of, bytes, reference_of, rules};
use super::{Server, post};

/// What the clients know: attempts that were acknowledged, and those whose answer was lost.
#[derive(Clone, Default)]
pub struct Ledger {
    pub acknowledged: BTreeSet<u32>,
    pub unknown: BTreeSet<u32>,
    pub checked: BTreeSet<u32>,
}

/// A contest under load.
#[derive(Clone)]
pub struct Load {
    pub event: &'static str,
    pub teams: u32,
    pub problems: u32,
    pub scoring: Scoring,
    /// Every such attempt comes with other rules for the whole event; 0: none does.
    rules_every: u32,
    next: Arc<AtomicU32>,
    pub ledger: Arc<Mutex<Ledger>>,
}

/// Clients at work.
pub struct Clients {
    tasks: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Clients {
    /// Waits until each has its last answer, or has lost its server.
    pub async fn finish(self) {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.expect("clients survive");
        }
    }
}

impl Load {
    pub fn new(event: &'static str, teams: u32, problems: u32) -> Load {
        let (next, ledger) = (Arc::default(), Arc::default());
        Load { event, teams, problems, scoring: Scoring::Icpc, rules_every: 0, next, ledger }
    }

    /// The same, in which the rules of the event change every so many attempts.
    pub fn with_rules(self, rules_every: u32) -> Load {
        Load { rules_every, ..self }
    }

    /// The same with a board of another kind.
    pub fn of_kind(self, scoring: Scoring) -> Load {
        Load { scoring, ..self }
    }

    pub fn attempt(&self, n: u32) -> Vec<Vec<u8>> {
        let mut records = attempt_of(self.scoring, self.event, n, self.teams, self.problems);
        if self.rules_every > 0 && n % self.rules_every == self.rules_every - 1 {
            records.push(rules(self.scoring, self.event, n));
        }
        records
    }

    /// An attempt was acknowledged.
    pub async fn acknowledge(&self, n: u32) {
        let mut ledger = self.ledger.lock().await;
        ledger.unknown.remove(&n);
        ledger.acknowledged.insert(n);
    }

    pub async fn set_up(&self, server: &Server) {
        let statuses = server.send(&reference_of(self.scoring, self.event, self.teams, self.problems), true).await;
        assert!(statuses.iter().all(|s| s == "counted"), "{statuses:?}");
        // Another event of the same tenant: whatever is told of one must not be taken for the other's.
        let other = EventConfigured { name: "other".into(), ..Default::default() };
        let other =
            bytes(&format!("{}-other", self.event), format!("other-{}", self.event), Body::EventConfigured(other));
        assert_eq!(server.send(&[other], true).await, ["counted"]);
    }

    /// Clients that send until told to stop. One whose server does not answer ends, and leaves its attempt unknown; a
    /// persistent one sends the attempt again.
    pub fn start(&self, server: &Server, clients: usize, persistent: bool) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let (load, url, token, stop) = (self.clone(), server.url.clone(), server.token(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let n = load.next.fetch_add(1, Ordering::Relaxed);
                    load.ledger.lock().await.unknown.insert(n);
                    loop {
                        let answer = post(&url, &token, &load.attempt(n), n.is_multiple_of(7)).await;
                        let known = |s: &String| ["accepted", "counted", "duplicate"].contains(&s.as_str());
                        if answer.is_some_and(|statuses| statuses.iter().all(known)) {
                            break;
                        }
                        if !persistent || stop.load(Ordering::Acquire) {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    load.acknowledge(n).await;
                }
            })
        };
        Clients { tasks: (0..clients).map(client).collect(), stop: stop.clone() }
    }

    /// Has that many more attempts acknowledged, then stops.
    pub async fn run(&self, server: &Server, attempts: usize) {
        let clients = self.start(server, 4, false);
        self.acknowledged_more(attempts).await;
        clients.finish().await;
    }

    /// Waits until that many more attempts are acknowledged.
    pub async fn acknowledged_more(&self, attempts: usize) {
        let wanted = self.ledger.lock().await.acknowledged.len() + attempts;
        let until = Instant::now() + Duration::from_secs(60);
        while self.ledger.lock().await.acknowledged.len() < wanted {
            assert!(Instant::now() < until, "{attempts} attempts were not acknowledged in a minute");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What was acknowledged since the last check is there: sent again, all of it is a duplicate. What was not answered
    /// is sent again, as clients do.
    pub async fn settle(&self, server: &Server) {
        let mut ledger = self.ledger.lock().await;
        let new: Vec<u32> = ledger.acknowledged.difference(&ledger.checked).copied().collect();
        for part in new.chunks(100) {
            let records: Vec<_> = part.iter().flat_map(|n| self.attempt(*n)).collect();
            let statuses = server.send(&records, true).await;
            let lost: Vec<_> = statuses.iter().filter(|s| *s != "duplicate").collect();
            assert!(lost.is_empty(), "acknowledged records are gone: {lost:?}; the log:\n{}", server.log());
        }
        ledger.checked.extend(new);
        for n in std::mem::take(&mut ledger.unknown) {
            let statuses = server.send(&self.attempt(n), true).await;
            assert!(statuses.iter().all(|s| s == "counted" || s == "duplicate"), "{statuses:?}");
            ledger.acknowledged.insert(n);
            ledger.checked.insert(n);
        }
    }
}
