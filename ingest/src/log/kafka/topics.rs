//! Creates the topics that are missing and refuses those that do not fit the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use gravity_events::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::super::LogError;
use super::KafkaOptions;
use super::link::{Context, Link};
use super::options::MAX_MESSAGE_BYTES;

/// A reference record is compacted away no sooner, so that pipelines that run see each state of an object.
const REFERENCE_KEPT: Duration = Duration::from_secs(24 * 3600);
/// All bindings are kept as long; only a journal restored from an older base would miss one.
const BINDINGS_KEPT: Duration = Duration::from_secs(3 * 24 * 3600);

/// How long the broker may take to create all topics.
const CREATE_WITHIN: Duration = Duration::from_secs(30);

/// The settings of a topic that is created here.
pub fn settings(options: &KafkaOptions, topic: Topic) -> Vec<(&'static str, String)> {
    let kept = options.retention.get(&topic).copied();
    let ms = |d: Duration| d.as_millis().min(i64::MAX as u128).to_string();
    let mut all = vec![
        // Entries carry the time at which the broker took them.
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("max.message.bytes", MAX_MESSAGE_BYTES.to_string()),
        ("min.insync.replicas", if options.replication >= 3 { "2" } else { "1" }.to_owned()),
    ];
    match topic {
        Topic::Reference | Topic::Epochs => {
            let all_kept = if topic == Topic::Epochs { BINDINGS_KEPT } else { REFERENCE_KEPT };
            all.push(("cleanup.policy", "compact".into()));
            all.push(("min.compaction.lag.ms", ms(kept.unwrap_or(all_kept))));
        }
        _ => {
            all.push(("cleanup.policy", "delete".into()));
            all.push(("retention.ms", kept.map_or("-1".into(), ms)));
        }
    }
    all
}

/// Makes sure that every topic is there, with the configured number of partitions and a leader for each.
pub(super) fn ensure(options: &KafkaOptions, link: &Arc<Link>, asker: &BaseConsumer<Context>) -> Result<(), LogError> {
    let mut there = counts(options, link, asker)?;
    if there.len() < Topic::ALL.len() {
        create(options, link, &there)?;
        let patience = link.patience();
        loop {
            there = counts(options, link, asker)?;
            if there.len() == Topic::ALL.len() {
                break;
            }
            patience.bear("waiting for the new topics", &KafkaError::Global(RDKafkaErrorCode::LeaderNotAvailable))?;
        }
    }
    for (topic, found) in there {
        let configured = options.partitions(topic);
        if found != configured {
            // Adding partitions to a topic in use would move keys and break their order.
            return Err(LogError::Partitions { topic, stored: found, configured });
        }
    }
    Ok(())
}

/// Partitions of our topics that exist and have leaders.
fn counts(
    options: &KafkaOptions,
    link: &Arc<Link>,
    asker: &BaseConsumer<Context>,
) -> Result<BTreeMap<Topic, u32>, LogError> {
    let metadata = link.ask("listing topics", |slice| {
        let answer = asker.fetch_metadata(None, slice);
        asker.poll(Duration::ZERO);
        answer
    });
    // The broker's refusal of our credentials says more than the time-out that follows from it.
    let metadata = metadata.map_err(|e| match link.refused() {
        Some(said) => {
            link.fault(format!("the connection is refused: {said}; check the security settings of the log"), false)
        }
        None => e,
    })?;
    let mut found = BTreeMap::new();
    for t in metadata.topics() {
        let led = t.error().is_none() && !t.partitions().is_empty() && t.partitions().iter().all(|p| p.leader() >= 0);
        if let (Some(topic), true) = (options.topic_of(t.name()), led) {
            found.insert(topic, t.partitions().len() as u32);
        }
    }
    Ok(found)
}

fn create(options: &KafkaOptions, link: &Arc<Link>, there: &BTreeMap<Topic, u32>) -> Result<(), LogError> {
    let admin: AdminClient<Context> = options
        .asking("read_committed")
        .create_with_context(Context::new(link))
        .map_err(|e| link.error("creating the admin client", &e))?;
    let missing = Topic::ALL.into_iter().filter(|t| !there.contains_key(t));
    let missing: Vec<_> = missing
        .map(|t| (t, options.topic_name(t), settings(options, t)))
        .collect();
    let made = link.ask("creating topics", |_| {
        let topics: Vec<NewTopic<'_>> = missing
            .iter()
            .map(|(topic, name, settings)| {
                let replication = TopicReplication::Fixed(i32::from(options.replication));
                let new = NewTopic::new(name, options.partitions(*topic) as i32, replication);
                settings.iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let wait = AdminOptions::new()
            .request_timeout(Some(CREATE_WITHIN))
            .operation_timeout(Some(CREATE_WITHIN));
        block_on(admin.create_topics(&topics, &wait))
    })?;
    for result in made {
        match result {
            Ok(name) => tracing::info!(topic = name, "created the topic"),
            // Another process was quicker, or it is there without leaders.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(link.error(&format!("creating topic {name}"), &KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}
