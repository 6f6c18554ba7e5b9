//! Logs of their own on a real broker.

use std::sync::atomic::{AtomicU32, Ordering};

use gravity_events::Topic;
use gravity_ingest::log::kafka::{KafkaLog, KafkaOptions};

pub use crate::kafka_server::KafkaServer;

impl KafkaServer {
    /// Options with topic names that no other test uses, three partitions each but one for reference and epochs.
    pub fn options(&self) -> KafkaOptions {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut options = KafkaOptions::new(self.brokers());
        options.prefix = format!("t{}.", NEXT.fetch_add(1, Ordering::Relaxed));
        let many = Topic::ALL.into_iter().filter(|t| !matches!(t, Topic::Reference | Topic::Epochs));
        options.partitions = many.map(|t| (t, 3)).collect();
        options
    }

    /// A log of its own.
    pub fn log(&self) -> KafkaLog {
        KafkaLog::open(self.options()).unwrap()
    }
}
