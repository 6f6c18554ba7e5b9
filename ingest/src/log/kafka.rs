//! The log on Kafka (or what speaks its protocol): for more than one machine.
//!
//! Appends go through one idempotent producer with `acks=all`. Reads and tails see committed records only and join no
//! group. A pipeline's outputs are transactions. A lost broker is waited for: one line in the log when it is lost, one
//! when it is back.
//!
//! Offsets have holes here (markers of transactions, aborted and compacted records). So "is there more?" is a matter of
//! whether [`Log::read`] returns something, not of `offset < range.1`: an empty read means that nothing is between
//! the offset asked for and the end.
//!
//! What this log cannot do: Kafka's retention knows no bounds. [`Log::hold`] shows them to lag tools as offsets of a
//! consumer group per holder; the retention must be long enough, and a bound that was dropped all the same is an error.

mod append;
mod binding;
mod keeper;
mod link;
mod marker;
mod options;
mod outputs;
pub mod partitioner;
mod read;
mod signal;
mod tail;
mod topics;

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use gravity_events::Topic;
use parking_lot::Mutex;
use rdkafka::consumer::BaseConsumer;

use super::{Appended, Bound, Entry, Limit, Log, LogError, Outputs, Produce, Tail};
use append::Appender;
use keeper::{Call, Holds, Keeper};
use link::{Context, Link};
use outputs::KafkaOutputs;
use read::Readers;
use tail::KafkaTail;

pub use options::{KafkaOptions, MAX_MESSAGE_BYTES};
pub use topics::settings as topic_settings;

/// A log on Kafka.
pub struct KafkaLog {
    options: Arc<KafkaOptions>,
    link: Arc<Link>,
    appender: Arc<Appender>,
    readers: Arc<Readers>,
    holds: Arc<Holds>,
    calls: Sender<Call>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl KafkaLog {
    /// Connects, creates the topics that are missing and checks the others. Blocks, up to `give_up_after`.
    ///
    /// # Errors
    /// [`LogError::Kafka`]: an unknown setting, a broker that cannot be reached in time or turns us away, a topic whose
    /// number of partitions is not the configured one.
    pub fn open(options: KafkaOptions) -> Result<KafkaLog, LogError> {
        let options = Arc::new(options);
        let (calls, answering) = crossbeam_channel::bounded(16);
        let link = Link::new(options.brokers.clone(), options.give_up_after, calls.clone());
        let asker: BaseConsumer<Context> = options
            .asking("read_committed")
            .create_with_context(Context::new(&link))
            .map_err(|e| link.error("creating a client", &e))?;
        let asker = Arc::new(asker);
        let holds = Arc::new(Holds::default());
        let keeper = Keeper {
            options: options.clone(),
            link: link.clone(),
            holds: holds.clone(),
            calls: answering,
            asker: asker.clone(),
        };
        let keeper = std::thread::Builder::new()
            .name("kafka-keeper".into())
            .spawn(move || keeper.run())
            .map_err(|e| link.fault(format!("starting a thread: {e}"), true))?;
        let made = topics::ensure(&options, &link, &asker).and_then(|()| Appender::new(&options, &link));
        let appender = match made {
            Ok(a) => a,
            Err(e) => {
                link.close();
                let _ = calls.send(Call::Close);
                let _ = keeper.join();
                return Err(e);
            }
        };
        let readers = Arc::new(Readers::new(&options, &link, asker));
        Ok(KafkaLog {
            options,
            link,
            appender,
            readers,
            holds,
            calls,
            keeper: Mutex::new(Some(keeper)),
        })
    }

    /// What it was opened with.
    pub fn options(&self) -> &KafkaOptions {
        &self.options
    }
}

impl Log for KafkaLog {
    fn partitions(&self, topic: Topic) -> u32 {
        self.options.partitions(topic)
    }

    fn append(&self, records: Vec<Produce>) -> Appended {
        self.appender.append(records)
    }

    fn read(&self, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        self.readers.read(topic, partition, from, limit)
    }

    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        self.readers.range(topic, partition)
    }

    fn tail(&self, from: Vec<Bound>) -> Result<Box<dyn Tail>, LogError> {
        for b in &from {
            self.readers.check(b.topic, b.partition)?;
        }
        Ok(Box::new(KafkaTail::new(
            &self.options,
            &self.link,
            &self.readers,
            from,
        )?))
    }

    fn hold(&self, holder: &str, bounds: &[Bound]) {
        if !self.link.is_closed() && self.holds.note(holder, bounds, true) {
            // A full channel holds a call already.
            let _ = self.calls.try_send(Call::Held);
        }
    }

    fn outputs(&self, pipeline: &str) -> Result<Box<dyn Outputs>, LogError> {
        self.link.check_open()?;
        Ok(Box::new(KafkaOutputs::new(
            &self.options,
            &self.link,
            &self.readers,
            &self.holds,
            pipeline,
        )?))
    }

    fn close(&self) {
        if self.link.is_closed() {
            return;
        }
        self.appender.close();
        self.link.close();
        self.readers.close();
        if let Some(keeper) = self.keeper.lock().take() {
            // The keeper always comes back to its channel, so room comes.
            let _ = self.calls.send(Call::Close);
            if keeper.join().is_err() {
                tracing::error!("the thread that watches Kafka has panicked");
            }
        }
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.close();
    }
}
