//! Watches a lost broker: one line when it is lost, one when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use gravity_events::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::KafkaOptions;
use super::link::{Context, Link};

/// How long the broker may take to answer before it counts as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The thread that watches. Clients tell it that their connection broke; it looks for itself, so that many clients of one
/// lost broker, or one idle connection that the broker closed, make no noise.
pub(super) struct Watch {
    pub(super) options: Arc<KafkaOptions>,
    pub(super) link: Arc<Link>,
    /// A message: a client lost its connection. Its end: the log closes.
    pub(super) suspected: Receiver<()>,
    pub(super) asker: Arc<BaseConsumer<Context>>,
}

impl Watch {
    pub(super) fn run(self) {
        while self.suspected.recv().is_ok() {
            self.look();
        }
    }

    fn look(&self) {
        let topic = self.options.topic_name(Topic::Reference);
        let since = Instant::now();
        let brokers = &self.options.brokers;
        while !self.link.is_closed() {
            let answer = self.asker.fetch_metadata(Some(&topic), ANSWER_WITHIN);
            self.asker.poll(Duration::ZERO);
            let usable = answer.is_ok_and(|m| !m.brokers().is_empty());
            match (usable, self.link.is_lost()) {
                (true, true) => {
                    self.link.set_lost(false);
                    tracing::warn!(%brokers, "Kafka is back after {:.1} s", since.elapsed().as_secs_f64());
                    return;
                }
                (true, false) => return,
                (false, true) => {}
                (false, false) => {
                    self.link.set_lost(true);
                    let reason = self.link.reason();
                    tracing::warn!(%brokers, reason, "Kafka is lost: waiting for it; what was accepted is kept");
                }
            }
            self.link.pause();
        }
    }
}
