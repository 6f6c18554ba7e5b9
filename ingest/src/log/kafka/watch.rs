//! Watches a lost broker: one line when it is lost, one when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use gravity_events::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::KafkaOptions;
use super::link::{Context, Link};

/// How long the broker may give no answer, or one without itself in it, before it counts as lost. One that has just started shows
/// and hides itself again, and one that collects its garbage, or that has a busy machine, is silent for a second or two.
const LOST_AFTER: Duration = Duration::from_secs(3);

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
            let answer = self.asker.fetch_metadata(Some(&topic), LOST_AFTER);
            self.asker.poll(Duration::ZERO);
            let usable = answer.is_ok_and(|m| !m.brokers().is_empty());
            match (usable, self.link.is_lost()) {
                (true, true) => {
                    self.link.set_lost(false);
                    tracing::warn!(%brokers, "Kafka is back after {:.1} s", since.elapsed().as_secs_f64());
                    return;
                }
                (true, false) => return,
                (false, false) if since.elapsed() >= LOST_AFTER => {
                    self.link.set_lost(true);
                    let reason = self.link.reason();
                    tracing::warn!(%brokers, reason, "Kafka is lost: waiting for it; what was accepted is kept");
                }
                (false, _) => {}
            }
            self.link.pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    /// A real broker cannot be told how slow it is to be.
    #[test]
    fn a_slow_broker_is_not_lost_and_one_that_is_gone_is() {
        let cluster = MockCluster::new(1).expect("a mock broker");
        let options = Arc::new(KafkaOptions::new(cluster.bootstrap_servers()));
        let (suspicions, suspected) = crossbeam_channel::bounded(1);
        let link = Link::new(options.brokers.clone(), None, suspicions);
        let asker: BaseConsumer<Context> =
            options.asking("read_committed").create_with_context(Context::new(&link)).expect("a client");
        // Connected: what follows takes one round trip.
        asker.fetch_metadata(None, Duration::from_secs(30)).expect("the mock broker answers");
        let watch = Watch { options, link: link.clone(), suspected, asker: Arc::new(asker) };

        cluster.broker_round_trip_time(1, LOST_AFTER * 2 / 5).expect("a slow broker");
        watch.look();
        assert!(!link.is_lost(), "it has answered in time");
        cluster.broker_round_trip_time(1, Duration::ZERO).expect("a quick broker");

        let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE; 3];
        cluster.request_errors(RDKafkaApiKey::Metadata, &refusals);
        watch.look();
        assert!(!link.is_lost(), "it has come about");

        cluster.broker_down(1).expect("no broker");
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| watch.look());
            while !link.is_lost() {
                assert!(!looking.is_finished(), "there is nothing to find");
                std::thread::park_timeout(Duration::from_millis(10));
            }
            cluster.broker_up(1).expect("a broker");
        });
        assert!(!link.is_lost(), "it is back");
    }
}
