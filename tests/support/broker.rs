//! A real Kafka for tests, and its clients that know nothing of the platform.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

pub use super::kafka_server::KafkaServer;

/// Partitions of every topic but the reference.
pub const PARTITIONS: i32 = 2;
/// Long enough that a test which has to wait for it has failed.
const LONG: Duration = Duration::from_secs(30);

impl KafkaServer {
    /// Topics of their own on this node.
    pub fn topics(&self, name: &str) -> Topics {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Topics { brokers: self.brokers(), prefix: format!("{name}{n}.") }
    }
}

/// A record as a plain consumer sees it.
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// The topics of one installation.
#[derive(Clone, Debug)]
pub struct Topics {
    pub brokers: String,
    pub prefix: String,
}

impl Topics {
    /// The environment of a server that works on them.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("GRAVITY_LOG__KIND", "kafka".to_owned()),
            ("GRAVITY_LOG__BROKERS", self.brokers.clone()),
            ("GRAVITY_LOG__PREFIX", self.prefix.clone()),
            ("GRAVITY_LOG__PARTITIONS", PARTITIONS.to_string()),
        ]
    }

    fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .create()
            .expect("a consumer")
    }

    /// Every committed record of a topic, each partition in its order, to the end.
    pub fn read(&self, topic: &str) -> Vec<Seen> {
        let (consumer, name) = (self.consumer("independent"), self.name(topic));
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(&name, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("an assignment");
        let (mut seen, mut open, until) = (Vec::new(), PARTITIONS, Instant::now() + LONG);
        while open > 0 {
            assert!(Instant::now() < until, "{name} has no end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(m)) => seen.push(Seen {
                    partition: m.partition(),
                    offset: m.offset(),
                    key: m.key().unwrap_or_default().to_vec(),
                    value: m.payload().unwrap_or_default().to_vec(),
                }),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(e)) => panic!("{name}: {e}"),
                None => {}
            }
        }
        seen
    }

    /// First offset kept, and the end.
    pub fn range(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.consumer("independent").fetch_watermarks(&self.name(topic), partition, LONG).expect("watermarks")
    }

    /// Drops the records of a topic that are there now, as retention does.
    pub async fn drop_records(&self, topic: &str) {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let (_, end) = self.range(topic, partition);
            list.add_partition_offset(&self.name(topic), partition, Offset::Offset(end)).expect("an offset");
        }
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("a client");
        admin.delete_records(&list, &AdminOptions::new()).await.expect("records are deleted");
        for partition in 0..PARTITIONS {
            let (first, end) = self.range(topic, partition);
            assert_eq!(first, end, "partition {partition} is empty");
        }
    }

    /// Appends records past the platform.
    pub fn append(&self, topic: &str, key: &[u8], values: &[Vec<u8>]) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("a producer");
        let name = self.name(topic);
        for value in values {
            producer.send(BaseRecord::to(&name).key(key).payload(value)).map_err(|(e, _)| e).expect("it is queued");
        }
        producer.flush(LONG).expect("they are written");
    }

    /// The committed offsets of a consumer group, by (topic without prefix, partition).
    pub fn committed(&self, group: &str, topics: &[&str]) -> Vec<((String, i32), Option<i64>)> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..if topic.contains("reference") { 1 } else { PARTITIONS } {
                list.add_partition(&self.name(topic), partition);
            }
        }
        let consumer = self.consumer(&self.name(group));
        let found = consumer.committed_offsets(list, LONG).expect("offsets");
        let plain = |t: &str| t.strip_prefix(&self.prefix).expect("it is ours").to_owned();
        let offset = |o: Offset| if let Offset::Offset(at) = o { Some(at) } else { None };
        found.elements().iter().map(|e| ((plain(e.topic()), e.partition()), offset(e.offset()))).collect()
    }

    /// Consumer groups of this installation.
    pub fn groups(&self) -> Vec<String> {
        let all = self.consumer("independent").fetch_group_list(None, LONG).expect("groups");
        let mut ours: Vec<_> =
            all.groups().iter().filter_map(|g| g.name().strip_prefix(&self.prefix).map(str::to_owned)).collect();
        ours.sort();
        ours
    }
}
