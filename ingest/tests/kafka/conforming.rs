//! The Kafka log does what a log must do.

use std::sync::Arc;

use gravity_events::Topic;
use gravity_ingest::log::Log;
use gravity_ingest::log::kafka::{KafkaLog, KafkaOptions};

use crate::conformance::{self, LogUnderTest, Setup};
use crate::server::KafkaServer;

struct Kafka {
    options: KafkaOptions,
    log: Option<Arc<KafkaLog>>,
}

impl Kafka {
    fn make(setup: Setup) -> Box<dyn LogUnderTest> {
        let mut options = KafkaServer::shared().options();
        let one = [Topic::Reference, Topic::Epochs];
        let many = Topic::ALL.into_iter().filter(|t| !one.contains(t));
        options.partitions = many.map(|t| (t, setup.partitions)).collect();
        let log = Some(Arc::new(KafkaLog::open(options.clone()).unwrap()));
        Box::new(Kafka { options, log })
    }
}

impl LogUnderTest for Kafka {
    fn log(&self) -> Arc<dyn Log> {
        self.log.clone().unwrap()
    }

    fn reopen(&mut self) {
        self.log.take().unwrap().close();
        self.log = Some(Arc::new(KafkaLog::open(self.options.clone()).unwrap()));
    }

    /// Kafka's retention runs when it wants to, and knows no holders.
    fn retain(&mut self) -> bool {
        false
    }
}

conformance::tests!(Kafka::make);
