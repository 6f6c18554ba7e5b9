//! Topics that are created, and those that do not fit.

use std::time::Duration;

use futures::executor::block_on;
use gravity_events::Topic;
use gravity_ingest::log::kafka::KafkaLog;
use gravity_ingest::log::{Log, LogError};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::server::KafkaServer;

#[test]
fn missing_topics_are_created_with_their_settings() {
    let mut options = KafkaServer::shared().options();
    options
        .retention
        .insert(Topic::Usage, Duration::from_secs(40 * 24 * 3600));
    let log = KafkaLog::open(options.clone()).unwrap();
    assert_eq!((log.partitions(Topic::Usage), log.partitions(Topic::Reference)), (3, 1));

    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &options.brokers)
        .create()
        .unwrap();
    let setting = |topic: Topic, key: &str| {
        let name = options.topic_name(topic);
        let which = [ResourceSpecifier::Topic(&name)];
        let asked = admin.describe_configs(&which, &AdminOptions::new());
        let answer = block_on(asked).unwrap().remove(0).unwrap();
        answer.get(key).unwrap().value.clone().unwrap()
    };
    assert_eq!(setting(Topic::Reference, "cleanup.policy"), "compact");
    assert_eq!(setting(Topic::Reference, "min.compaction.lag.ms"), "86400000");
    assert_eq!(setting(Topic::Epochs, "cleanup.policy"), "compact");
    assert_eq!(setting(Topic::Epochs, "min.compaction.lag.ms"), "259200000");
    assert_eq!(setting(Topic::Usage, "cleanup.policy"), "delete");
    assert_eq!(setting(Topic::Usage, "retention.ms"), "3456000000");
    assert_eq!(setting(Topic::BoardsJury, "retention.ms"), "-1");
    for topic in Topic::ALL {
        assert_eq!(setting(topic, "message.timestamp.type"), "LogAppendTime");
        assert_eq!(log.range(topic, log.partitions(topic) - 1).unwrap(), (0, 0));
    }
}

#[test]
fn another_number_of_partitions_is_refused_with_the_remedy() {
    let mut options = KafkaServer::shared().options();
    KafkaLog::open(options.clone()).unwrap();
    KafkaLog::open(options.clone()).unwrap();
    options.partitions.insert(Topic::Burn, 5);
    let error = KafkaLog::open(options).map(|_| ()).unwrap_err();
    assert!(
        matches!(
            error,
            LogError::Partitions {
                topic: Topic::Burn,
                stored: 3,
                configured: 5
            }
        ),
        "{error}"
    );
}
