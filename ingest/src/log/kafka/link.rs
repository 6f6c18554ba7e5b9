//! The state of the connection: one line when the broker is lost, one when it is back, and how long calls wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

use super::super::LogError;
use super::signal::Signal;

/// One question to the broker waits this long, so that a closed log is noticed.
const SLICE: Duration = Duration::from_secs(1);
/// One of our topics may be unknown to a broker for as long, before it counts as deleted.
const MISSING_FOR: Duration = Duration::from_secs(20);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Shared by all clients of one log.
pub(super) struct Link {
    brokers: String,
    give_up_after: Option<Duration>,
    suspicions: Mutex<Option<Sender<()>>>,
    lost: AtomicBool,
    closed: Mutex<bool>,
    closing: Condvar,
    waiting: Mutex<Vec<Weak<Signal>>>,
    refused: Mutex<Option<String>>,
    reason: Mutex<String>,
}

impl Link {
    pub(super) fn new(brokers: String, give_up_after: Option<Duration>, suspicions: Sender<()>) -> Arc<Self> {
        Arc::new(Link {
            brokers,
            give_up_after,
            suspicions: Mutex::new(Some(suspicions)),
            lost: AtomicBool::new(false),
            closed: Mutex::new(false),
            closing: Condvar::new(),
            waiting: Mutex::default(),
            refused: Mutex::new(None),
            reason: Mutex::new(String::new()),
        })
    }

    /// From here on every call fails with [`LogError::Closed`].
    pub(super) fn close(&self) {
        *self.closed.lock() = true;
        *self.suspicions.lock() = None;
        self.closing.notify_all();
        self.waiting.lock().iter().filter_map(Weak::upgrade).for_each(|s| s.wake());
    }

    /// Wakes a tail when the log closes.
    pub(super) fn wake_on_close(&self, signal: &Arc<Signal>) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|s| s.strong_count() > 0);
        waiting.push(Arc::downgrade(signal));
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.lock()
    }

    pub(super) fn check_open(&self) -> Result<(), LogError> {
        if self.is_closed() { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Has the watch see whether the broker is there.
    pub(super) fn suspect(&self) {
        if let Some(suspicions) = &*self.suspicions.lock() {
            // A full channel means that it has been told.
            let _ = suspicions.try_send(());
        }
    }

    /// Whether the watch has found the broker lost.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(super) fn set_lost(&self, lost: bool) {
        self.lost.store(lost, Ordering::Release);
    }

    /// What a client last said about the connection.
    pub(super) fn reason(&self) -> String {
        self.reason.lock().clone()
    }

    /// Why the broker turned us away (credentials, certificate), if it did.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().clone()
    }

    /// Waits a little before another try; returns at once when the log is closed.
    pub(super) fn pause(&self) {
        self.rest_until(Instant::now() + PAUSE);
    }

    /// Waits until then, or until the log is closed.
    pub(super) fn rest_until(&self, then: Instant) {
        let mut closed = self.closed.lock();
        while !*closed && !self.closing.wait_until(&mut closed, then).timed_out() {}
    }

    /// A patience that starts now.
    pub(super) fn patience(self: &Arc<Self>) -> Patience {
        let since = Instant::now();
        Patience {
            link: self.clone(),
            since,
            until: self.give_up_after.map(|d| since + d),
        }
    }

    /// Asks until there is an answer, or a refusal that waiting cannot help, or the time to give up.
    pub(super) fn ask<T>(
        self: &Arc<Self>,
        doing: &str,
        mut question: impl FnMut(Duration) -> KafkaResult<T>,
    ) -> Result<T, LogError> {
        let patience = self.patience();
        loop {
            self.check_open()?;
            match question(patience.slice()) {
                Ok(answer) => return Ok(answer),
                Err(e) => patience.bear(doing, &e)?,
            }
        }
    }

    /// The error for what librdkafka said.
    pub(super) fn error(&self, doing: &str, error: &KafkaError) -> LogError {
        let code = code(error);
        let remedy = match code {
            Some(
                Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed,
            ) => {
                "; grant the configured user read, write, create and describe on the topics and groups with the prefix"
            }
            Some(Code::TransactionalIdAuthorizationFailed) => {
                "; grant the configured user the transactional ids with the prefix"
            }
            Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL) => {
                "; check the security settings of the log"
            }
            Some(Code::MessageSizeTooLarge) => "; raise max.message.bytes of the topic, or send smaller records",
            Some(Code::InvalidReplicationFactor) => "; lower the replication of the log to the number of brokers",
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                "; was the topic deleted? A restart creates it again, empty"
            }
            _ => "",
        };
        LogError::Kafka {
            brokers: self.brokers.clone(),
            what: format!("{doing}: {error}{remedy}"),
            retriable: code.is_some_and(is_passing),
        }
    }

    /// An error in our own words.
    pub(super) fn fault(&self, what: impl Into<String>, retriable: bool) -> LogError {
        LogError::Kafka { brokers: self.brokers.clone(), what: what.into(), retriable }
    }

    fn heard(&self, error: &KafkaError, said: &str) {
        match code(error) {
            Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL) => {
                let first = self.refused.lock().replace(said.to_owned()).is_none();
                if first {
                    tracing::error!(brokers = %self.brokers, "Kafka refuses the connection: {said}; check the security settings of the log");
                }
                self.suspect();
            }
            Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve) => {
                if !said.is_empty() {
                    *self.reason.lock() = said.to_owned();
                }
                self.suspect();
            }
            _ => tracing::debug!(target: "librdkafka", "{error}: {said}"),
        }
    }
}

/// How long one call goes on trying.
pub(super) struct Patience {
    link: Arc<Link>,
    since: Instant,
    until: Option<Instant>,
}

impl Patience {
    /// Pauses when trying again may help; else, or when the time is over, the error.
    pub(super) fn bear(&self, doing: &str, error: &KafkaError) -> Result<(), LogError> {
        let waits = |c| is_passing(c) || (is_missing(c) && self.since.elapsed() < MISSING_FOR);
        if !code(error).is_some_and(waits) {
            return Err(self.link.error(doing, error));
        }
        self.link.suspect();
        self.check(doing)?;
        self.link.pause();
        self.link.check_open()
    }

    /// How long one question may take.
    fn slice(&self) -> Duration {
        let left = self
            .until
            .map_or(SLICE, |u| u.saturating_duration_since(Instant::now()));
        left.clamp(PAUSE, SLICE)
    }

    /// An error when the time is over.
    pub(super) fn check(&self, doing: &str) -> Result<(), LogError> {
        self.link.check_open()?;
        if self.until.is_none_or(|u| Instant::now() < u) {
            return Ok(());
        }
        let reason = self.link.reason();
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        Err(self.link.fault(format!("{doing}: no answer in the time that is waited for a lost broker{reason}; start it, or correct log.brokers"), true))
    }
}

/// What librdkafka or the broker said; the binding gives none for administration.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// Whether waiting may help.
pub(super) fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut
            | Code::Resolve
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::BrokerNotAvailable
            | Code::NetworkException
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::OffsetNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::KafkaStorageError
            | Code::ConcurrentTransactions
            | Code::NotController
            | Code::Retry
            | Code::QueueFull
            | Code::DestroyBroker
            | Code::BrokerDestroy
    )
}

/// Whether a topic or partition was not found. A broker that has just started may not know ours for a moment.
pub(super) fn is_missing(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId
    )
}

/// The callbacks of one client.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) link: Arc<Link>,
    /// Counts what librdkafka put into the client's queue and the binding ate: to tell an eaten entry from an empty queue.
    pub(super) eaten: Arc<AtomicU64>,
}

impl Context {
    pub(super) fn new(link: &Arc<Link>) -> Self {
        Context { link: link.clone(), eaten: Arc::default() }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.eaten.fetch_add(1, Ordering::Relaxed);
        // The watch says what operators need; each client's own view of a lost broker would drown it.
        tracing::debug!(target: "librdkafka", ?level, "{fac} {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.eaten.fetch_add(1, Ordering::Relaxed);
        self.link.heard(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, _: KafkaResult<()>, _: &rdkafka::TopicPartitionList) {
        self.eaten.fetch_add(1, Ordering::Relaxed);
    }
}
