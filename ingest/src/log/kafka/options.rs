//! What a Kafka log is configured with, and the librdkafka settings that follow from it.

use std::collections::BTreeMap;
use std::time::Duration;

use gravity_events::Topic;
use rdkafka::ClientConfig;

/// Largest message that clients and topics accept, in bytes: a record of 1 MiB fits with room for its envelope.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// How long the broker keeps a transaction open whose writer is gone; readers of its partitions wait as long.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of a [`KafkaLog`](super::KafkaLog).
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Put before every topic name, transactional id and consumer group, so that installations can share a cluster.
    pub prefix: String,
    /// Partitions of each topic; a topic that is not named has one.
    pub partitions: BTreeMap<Topic, u32>,
    /// Copies of each partition, for topics that are created here.
    pub replication: u16,
    /// How long each topic keeps its records, for topics that are created here; one that is not named keeps them for
    /// ever. The reference topic keeps the newest record of each key for ever. The epochs topic keeps the newest
    /// binding of each pipeline for ever and all of them for this time (three days when not named).
    pub retention: BTreeMap<Topic, Duration>,
    /// librdkafka settings handed through, most of all TLS and SASL (`security.protocol`, `sasl.username`, ..). Those
    /// that durability and isolation rest on cannot be changed by it.
    pub security: BTreeMap<String, String>,
    /// How long a lost broker is waited for before calls fail (retriable); `None`: for as long as it takes.
    pub give_up_after: Option<Duration>,
}

impl KafkaOptions {
    /// One partition per topic, one copy, everything kept, waiting for the broker as long as it takes.
    pub fn new(brokers: impl Into<String>) -> Self {
        KafkaOptions {
            brokers: brokers.into(),
            prefix: String::new(),
            partitions: BTreeMap::new(),
            replication: 1,
            retention: BTreeMap::new(),
            security: BTreeMap::new(),
            give_up_after: None,
        }
    }

    /// The configured number of partitions, at least one.
    pub fn partitions(&self, topic: Topic) -> u32 {
        self.partitions.get(&topic).copied().unwrap_or(1).max(1)
    }

    /// The topic's name on the broker.
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name())
    }

    /// The topic of a name on the broker.
    pub(super) fn topic_of(&self, name: &str) -> Option<Topic> {
        name.strip_prefix(self.prefix.as_str()).and_then(Topic::from_name)
    }

    /// The consumer group that shows the bounds of a holder, and the transactional id of a pipeline.
    pub fn group_name(&self, holder: &str) -> String {
        format!("{}{holder}", self.prefix)
    }

    fn client(&self, fixed: &[(&str, String)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in [
            ("client.id", "gravity"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
            ("socket.keepalive.enable", "true"),
            // A broker that comes back is heard of within a second, not after the default of five minutes.
            ("topic.metadata.refresh.interval.ms", "60000"),
            ("topic.metadata.refresh.fast.interval.ms", "100"),
            ("allow.auto.create.topics", "false"),
        ] {
            config.set(key, value);
        }
        for (key, value) in &self.security {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        for (key, value) in fixed {
            config.set(*key, value);
        }
        config
    }

    /// A client that only asks (metadata, watermarks) or administers.
    pub(super) fn asking(&self, isolation: &str) -> ClientConfig {
        self.client(&[("isolation.level", isolation.into())])
    }

    /// A client that reads partitions assigned by hand. The group is never joined; librdkafka wants one all the same.
    pub(super) fn reading(&self, end_of_partition: bool) -> ClientConfig {
        let mut config = self.committing("reader");
        for (key, value) in [
            ("enable.partition.eof", if end_of_partition { "true" } else { "false" }),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "error"),
            ("check.crcs", "true"),
            // A reader that turns to another partition first waits for its last fetch; a tail never turns.
            ("fetch.wait.max.ms", if end_of_partition { "50" } else { "500" }),
            ("queued.max.messages.kbytes", "16384"),
            // With the default, a full local queue pauses the partition for a whole second.
            ("fetch.queue.backoff.ms", "5"),
            ("fetch.error.backoff.ms", "50"),
        ] {
            config.set(key, value);
        }
        config
    }

    /// A client that commits offsets of a holder's group without being a member of it.
    pub(super) fn committing(&self, holder: &str) -> ClientConfig {
        self.client(&[
            ("group.id", self.group_name(holder)),
            ("enable.auto.commit", "false".into()),
            ("enable.auto.offset.store", "false".into()),
            // How long a commit waits for a lost coordinator.
            ("session.timeout.ms", "6000".into()),
        ])
    }

    fn producing(&self, fixed: &[(&str, String)]) -> ClientConfig {
        let mut all = vec![
            ("enable.idempotence", "true".to_owned()),
            ("acks", "all".into()),
            ("partitioner", "murmur2_random".into()),
            ("linger.ms", self.security.get("linger.ms").cloned().unwrap_or_else(|| "1".into())),
            ("message.max.bytes", MAX_MESSAGE_BYTES.to_string()),
            // Our own bound is lower (see append.rs), so that this one is never hit.
            ("queue.buffering.max.messages", "1000000".into()),
            ("queue.buffering.max.kbytes", "1048576".into()),
        ];
        all.extend_from_slice(fixed);
        self.client(&all)
    }

    /// The producer of appends. Without a time to give up, it retries for ever.
    pub(super) fn appending(&self) -> ClientConfig {
        let timeout_ms = self.give_up_after.map_or(0, |d| d.as_millis().clamp(1, i32::MAX as u128));
        self.producing(&[("message.timeout.ms", timeout_ms.to_string())])
    }

    /// The transactional producer of a pipeline's outputs.
    pub(super) fn transacting(&self, pipeline: &str) -> ClientConfig {
        let timeout_ms = TRANSACTION_TIMEOUT.as_millis().to_string();
        self.producing(&[
            ("transactional.id", self.group_name(pipeline)),
            ("transaction.timeout.ms", timeout_ms.clone()),
            // The broker turns a transaction away while it finishes the one before.
            ("retry.backoff.ms", "10".into()),
            ("message.timeout.ms", timeout_ms),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_handed_through_cannot_weaken_durability() {
        let mut options = KafkaOptions::new("127.0.0.1:1");
        options.prefix = "p.".into();
        for (key, value) in [("acks", "0"), ("enable.idempotence", "false"), ("security.protocol", "ssl")] {
            options.security.insert(key.into(), value.into());
        }
        let config = options.appending();
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("enable.idempotence"), Some("true"));
        assert_eq!(config.get("security.protocol"), Some("ssl"));
        assert_eq!(config.get("message.timeout.ms"), Some("0"));
        assert_eq!(options.transacting("boards").get("transactional.id"), Some("p.boards"));
        assert_eq!(options.topic_of("p.gravity.usage.v1"), Some(Topic::Usage));
        assert_eq!(options.topic_of("gravity.usage.v1"), None);
    }
}
