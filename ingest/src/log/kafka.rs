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
mod batch;
mod binding;
mod holds;
mod link;
mod options;
mod outputs;
mod read;
mod signal;
mod tail;
mod topics;
mod watch;

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use gravity_events::Topic;
use parking_lot::Mutex;
use rdkafka::consumer::BaseConsumer;

use super::{Appended, Bound, Entry, Limit, Log, LogError, Outputs, Produce, Tail};
use append::Appender;
use holds::{Holds, Mirror};
use link::{Context, Link};
use outputs::KafkaOutputs;
use read::Readers;
use tail::KafkaTail;
use watch::Watch;

pub use options::{KafkaOptions, MAX_MESSAGE_BYTES};
pub use topics::settings as topic_settings;

/// A log on Kafka.
pub struct KafkaLog {
    options: Arc<KafkaOptions>,
    link: Arc<Link>,
    appender: Arc<Appender>,
    readers: Arc<Readers>,
    holds: Arc<Holds>,
    /// Tells the mirror that a holder has moved; gone when closed.
    moved: Mutex<Option<Sender<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl KafkaLog {
    /// Connects, creates the topics that are missing and checks the others. Blocks, up to `give_up_after`.
    ///
    /// # Errors
    /// [`LogError::Kafka`]: an unknown setting, a broker that cannot be reached in time or turns us away, a topic whose
    /// number of partitions is not the configured one.
    pub fn open(options: KafkaOptions) -> Result<KafkaLog, LogError> {
        let options = Arc::new(options);
        let (suspicions, suspected) = crossbeam_channel::bounded(1);
        let (moving, moved) = crossbeam_channel::bounded(1);
        let link = Link::new(options.brokers.clone(), options.give_up_after, suspicions);
        let asker: BaseConsumer<Context> = options
            .asking("read_committed")
            .create_with_context(Context::new(&link))
            .map_err(|e| link.error("creating a client", &e))?;
        let asker = Arc::new(asker);
        let readers = Arc::new(Readers::new(&options, &link, asker.clone()));
        let holds = Arc::new(Holds::default());
        let log = KafkaLog {
            appender: Appender::new(&options, &link, &readers)?,
            readers,
            holds: holds.clone(),
            moved: Mutex::new(Some(moving)),
            threads: Mutex::default(),
            options: options.clone(),
            link: link.clone(),
        };
        let watch = Watch { options: options.clone(), link: link.clone(), suspected, asker: asker.clone() };
        log.spawn("kafka-watch", move || watch.run())?;
        let mirror = Mirror { options: options.clone(), link: link.clone(), holds, moved };
        log.spawn("kafka-bounds", move || mirror.run())?;
        topics::ensure(&options, &link, &asker)?;
        Ok(log)
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
        let started = std::thread::Builder::new().name(name.into()).spawn(run);
        let thread = started.map_err(|e| self.link.fault(format!("starting a thread: {e}"), true))?;
        self.threads.lock().push(thread);
        Ok(())
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
        Ok(Box::new(KafkaTail::new(&self.options, &self.link, &self.readers, from)?))
    }

    fn hold(&self, holder: &str, bounds: &[Bound]) {
        // A pipeline's outputs commit to the group of its name: there is one group per pipeline.
        let holder = holder.strip_prefix("pipeline-").unwrap_or(holder);
        if !self.link.is_closed()
            && self.holds.note(holder, bounds, true)
            && let Some(moved) = &*self.moved.lock()
        {
            // A full channel means that the mirror has been told.
            let _ = moved.try_send(());
        }
    }

    fn outputs(&self, pipeline: &str) -> Result<Box<dyn Outputs>, LogError> {
        self.link.check_open()?;
        Ok(Box::new(KafkaOutputs::new(&self.options, &self.link, &self.readers, &self.holds, pipeline)?))
    }

    fn health(&self) -> Result<(), LogError> {
        if self.link.is_lost() {
            return Err(self.link.fault(format!("the broker is lost: {}", self.link.reason()), true));
        }
        self.link.check_open()
    }

    fn close(&self) {
        if self.link.is_closed() {
            return;
        }
        self.appender.close();
        self.link.close();
        self.readers.close();
        *self.moved.lock() = None;
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the Kafka log has panicked");
            }
        }
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.close();
    }
}
