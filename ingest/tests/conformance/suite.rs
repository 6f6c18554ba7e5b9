//! What every implementation of the log must do. A test binary names its factory:
//!
//! ```ignore
//! #[path = "conformance/suite.rs"]
//! mod conformance;
//! conformance::tests!(|setup| Box::new(MyLog::new(setup)));
//! ```
//! Each test makes its own log. Nothing here knows how a log stores records.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use bytes::Bytes;
use gravity_events::{Position, Topic};
use gravity_ingest::log::{Bound, Entry, Limit, Log, Produce, Tail, scan};

pub mod append;
pub mod outputs;
pub mod read;
pub mod tail;

/// How a log is to be made.
#[derive(Clone, Debug)]
#[allow(dead_code)] // a log whose retention cannot be forced leaves `retain_little` unread
pub struct Setup {
    /// Partitions of every topic but those of reference data, which have 1.
    pub partitions: u32,
    /// Keep little: files as small as possible, and drop all that may be dropped when `retain` is called.
    pub retain_little: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { partitions: 2, retain_little: false }
    }
}

/// A log that a test owns.
pub trait LogUnderTest {
    /// The log, as it is now.
    fn log(&self) -> Arc<dyn Log>;

    /// Closes the log and opens what is durable, as a new process would.
    fn reopen(&mut self);

    /// Drops what retention may drop, and returns whether this log can be made to do so now.
    fn retain(&mut self) -> bool;
}

/// Makes one test of each case.
macro_rules! tests {
    ($make:expr) => {
        $crate::conformance::tests!($make;
            append: positions_are_dense_and_in_order, keys_go_where_kafka_sends_them, a_partition_may_be_named,
                a_key_keeps_its_order, eight_producers_lose_nothing, durable_on_return_and_after_reopening,
                an_empty_append_is_fine, large_records_pass, a_partition_that_is_not_there_is_refused,
                nothing_is_taken_after_close;
            read: a_range_is_what_is_there, limits_hold_and_one_record_always_comes, every_offset_can_be_read_from,
                records_come_back_as_given, a_scan_is_a_stretch, what_retention_dropped_is_gone, a_holder_keeps_what_it_needs;
            tail: a_tail_returns_what_is_there_and_then_waits, a_waiting_tail_wakes_for_a_record,
                a_tail_resumes_where_another_ended, earlier_assignments_come_first, a_waker_ends_a_poll,
                a_waker_ends_the_next_poll_if_none_waits, a_tail_sees_each_record_once_under_load,
                a_tail_goes_on_over_a_reopen, many_partitions_are_followed_at_once;
            outputs: whole_epochs_end_with_a_marker, published_epochs_are_skipped, reopening_finds_the_last_epoch,
                an_epoch_without_records_counts, pipelines_do_not_see_each_other, a_newer_writer_fences_an_older_one;
        );
    };
    ($make:expr; $($module:ident: $($test:ident),+;)+) => {
        $($(
            #[test]
            fn $test() {
                $crate::conformance::$module::$test(&$make);
            }
        )+)+
    };
}
pub(crate) use tests;

/// What a test is given.
pub type Make<'a> = &'a dyn Fn(Setup) -> Box<dyn LogUnderTest>;

/// As much as there is.
pub const ALL: Limit = Limit { records: 1_000_000, bytes: 1 << 30 };
/// Long enough for anything that happens at all.
pub const LONG: Duration = Duration::from_secs(30);
/// No waiting.
pub const NOW: Duration = Duration::ZERO;

/// A record for a topic.
pub fn record(topic: Topic, key: &str, value: impl Into<Bytes>) -> Produce {
    Produce { topic, key: Bytes::copy_from_slice(key.as_bytes()), partition: None, value: value.into() }
}

/// A record for a partition.
pub fn placed(topic: Topic, partition: u32, value: impl Into<Bytes>) -> Produce {
    Produce { topic, key: Bytes::from_static(b"t/k"), partition: Some(partition), value: value.into() }
}

/// Appends and waits until it is durable.
pub fn append(log: &dyn Log, records: Vec<Produce>) -> Vec<Position> {
    block_on(log.append(records)).unwrap()
}

/// All records of a partition.
pub fn all(log: &dyn Log, topic: Topic, partition: u32) -> Vec<Entry> {
    let (first, _) = log.range(topic, partition).unwrap();
    // Not to the end that it says: Kafka moves that a moment after it has committed a transaction.
    scan(log, topic, partition, first, u64::MAX).collect::<Result<_, _>>().unwrap()
}

/// Polls until `count` records have come.
pub fn poll_until(tail: &mut dyn Tail, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while entries.len() < count {
        let more = tail.poll(ALL, LONG).unwrap();
        assert!(!more.is_empty(), "{} of {count} records came", entries.len());
        entries.extend(more);
    }
    entries
}

/// The values, as text.
pub fn values(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|e| String::from_utf8_lossy(&e.value).into_owned()).collect()
}

/// A place to follow from.
pub fn bound(topic: Topic, partition: u32, offset: u64) -> Bound {
    Bound { topic, partition, offset }
}

/// Waits for a future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
