//! The sequencer: one thread that cuts the log into epochs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use gravity_ingest::log::{Bound, Entry, Limit, Log, Tail};
use gravity_operators::boards::gate::Pace;
use timely::scheduling::SyncActivator;

use super::PipelineError;
use super::clock::Clock;
use super::committer::Begin;
use super::dedupe::claims::Candidates;
use super::definition::FLOOR;
use super::error::guarded;
use super::failpoint::Failpoints;
pub use super::in_flight::InFlight;
use super::supervisor::SharedStatus;
use super::worker::{Command, EpochInput, Message};

/// Waiting for records ends now and then, to look around.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// Bytes of records per row of an epoch's cap: larger records make smaller epochs.
const BYTES_PER_ROW: usize = 384;

/// Epochs that are to be cut exactly so: (clock, bound). After a lost disk they come from the out topics; in tests they
/// make two runs comparable.
#[derive(Clone, Debug, Default)]
pub struct Script {
    epochs: VecDeque<(Option<i64>, Vec<Bound>)>,
}

impl From<Vec<(u64, i64, Vec<Bound>)>> for Script {
    fn from(bindings: Vec<(u64, i64, Vec<Bound>)>) -> Script {
        Script { epochs: bindings.into_iter().map(|(_, now_ms, bound)| (Some(now_ms), bound)).collect() }
    }
}

impl Script {
    /// One epoch per list of bounds; partitions that are not named stay where they are.
    pub fn cuts(cuts: Vec<Vec<Bound>>) -> Script {
        Script { epochs: cuts.into_iter().map(|bound| (None, bound)).collect() }
    }
}

/// Ends a waiting poll of the tail.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The sequencer's parts.
pub struct Sequencer {
    /// The pipeline.
    pub pipeline: &'static str,
    /// The log, for scripted epochs.
    pub log: Arc<dyn Log>,
    /// Follows the input topics from the bound offsets.
    pub tail: Box<dyn Tail>,
    /// What is bound so far, in the order of reading.
    pub bound: Vec<Bound>,
    /// The last epoch.
    pub epoch: u64,
    /// Records at most in an epoch.
    pub row_cap: usize,
    /// From one epoch to the next.
    pub floor: Duration,
    /// To the workers.
    pub workers: Vec<(Sender<Command>, SyncActivator)>,
    /// To the committer.
    pub committer: Sender<Message>,
    /// Backpressure.
    pub in_flight: Arc<InFlight>,
    /// Told what is under way.
    pub status: Arc<SharedStatus>,
    /// The clock.
    pub clock: Clock,
    /// The clock of the last epoch whose clock was not in doubt.
    pub trusted_ms: i64,
    /// Set by who wants a merge: the next epoch is the last one of the base to come.
    pub merge_wanted: Arc<AtomicBool>,
    /// Which epochs are cut without records, too.
    pub pace: Arc<Pace>,
    /// Set to end.
    pub stop: Arc<AtomicBool>,
    /// Epochs to cut before cutting freely.
    pub script: Script,
    /// Whether to end after them.
    pub script_only: bool,
    /// The name under which retention is held back.
    pub holder: String,
    /// Told how to wake the tail.
    pub register_waker: Box<dyn Fn(Waker) + Send>,
    /// For tests.
    pub failpoints: Failpoints,
}

impl Sequencer {
    /// Runs until stopped or the log fails; then closes the workers.
    pub fn run(mut self) {
        let ended = guarded(self.pipeline, "sequencer", || self.cut_epochs());
        self.pace.end_after(self.epoch);
        for (commands, activator) in &self.workers {
            let _ = commands.send(Command::Close);
            let _ = activator.activate();
        }
        let _ = self.committer.send(Message::SequencerEnded(ended));
    }

    fn cut_epochs(&mut self) -> Result<(), PipelineError> {
        self.follow_script()?;
        if self.script_only {
            return Ok(());
        }
        let mut last_cut: Option<Instant> = None;
        let mut held: Option<Instant> = None;
        while !self.stop.load(Ordering::Acquire) {
            let is_wanted = self.is_wanted();
            // Records after a slice go at once, in an epoch without one; the next slice waits for its turn.
            let only_slices = is_wanted && !self.pace.carries_slices(self.epoch);
            let Some(slot) = self.in_flight.slot(self.row_cap, only_slices) else { return Ok(()) };
            let rows = slot.rows;
            let limit = Limit { records: rows, bytes: rows.saturating_mul(BYTES_PER_ROW) };
            let waits = if is_wanted && slot.slices { Duration::ZERO } else { LOOK_AROUND };
            let mut entries = self.tail.poll(limit, waits)?;
            if held.is_none_or(|t| t.elapsed() >= LOOK_AROUND) {
                // One epoch in flight may not be durable yet, and its records would be read again after a crash.
                self.log.hold(&self.holder, &self.in_flight.durable_bound());
                held = Some(Instant::now());
            }
            if entries.is_empty() && !(self.is_wanted() && slot.slices) {
                continue;
            }
            // Under load the last epoch took longer than the floor, and nothing waits here.
            if !self.is_wanted()
                && let Some(wait) = last_cut.and_then(|t| self.floor.checked_sub(t.elapsed()))
            {
                let until = Instant::now() + wait;
                let mut bytes = size(&entries);
                while entries.len() < rows && bytes < limit.bytes {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let room = Limit { records: rows - entries.len(), bytes: limit.bytes - bytes };
                    let more = self.tail.poll(room, left)?;
                    bytes += size(&more);
                    entries.extend(more);
                }
                entries.sort_by_key(|e| e.position.topic);
            }
            last_cut = Some(Instant::now());
            let now_ms = self.clock.now_ms();
            if !self.clock.in_doubt() {
                self.trusted_ms = now_ms;
            }
            self.cut(entries, now_ms)?;
        }
        Ok(())
    }

    /// Cuts the scripted epochs, reading exactly up to their bounds, waiting for records that are not there yet.
    fn follow_script(&mut self) -> Result<(), PipelineError> {
        if self.script.epochs.is_empty() {
            return Ok(());
        }
        while let Some((now_ms, until)) = self.script.epochs.pop_front() {
            let mut entries = Vec::new();
            for at in self.bound.clone() {
                let Some(end) =
                    until.iter().find(|b| (b.topic, b.partition) == (at.topic, at.partition)).map(|b| b.offset)
                else {
                    continue;
                };
                let mut next = at.offset;
                while next < end {
                    if self.stop.load(Ordering::Acquire) || self.in_flight.is_closed() {
                        return Ok(());
                    }
                    let read = self.log.read(
                        at.topic,
                        at.partition,
                        next,
                        Limit { records: usize::try_from(end - next).unwrap_or(usize::MAX), bytes: 16 << 20 },
                    )?;
                    match read.last() {
                        Some(last) => next = last.position.offset + 1,
                        // A log with holes (aborted transactions) may end short of the bound.
                        None if self.log.range(at.topic, at.partition)?.1 >= end => next = end,
                        None => self.in_flight.pause(FLOOR),
                    }
                    entries.extend(read.into_iter().filter(|e| e.position.offset < end));
                }
            }
            if self.in_flight.slot(self.row_cap, false).is_none() {
                return Ok(());
            }
            let now_ms = now_ms.unwrap_or_else(|| self.clock.now_ms());
            // A binding does not say whether its clock was in doubt; it hardly ever is.
            self.trusted_ms = now_ms;
            self.cut_at(entries, now_ms, &until)?;
        }
        self.tail = self.log.tail(self.bound.clone())?;
        (self.register_waker)(self.tail.waker());
        Ok(())
    }

    /// Whether the views wait for an epoch.
    fn is_wanted(&self) -> bool {
        self.pace.wants_after(self.epoch)
    }

    fn cut(&mut self, entries: Vec<Entry>, now_ms: i64) -> Result<(), PipelineError> {
        self.cut_at(entries, now_ms, &[])
    }

    /// Cuts an epoch of these records, bound to at least `until`.
    fn cut_at(&mut self, entries: Vec<Entry>, now_ms: i64, until: &[Bound]) -> Result<(), PipelineError> {
        self.epoch += 1;
        let (epoch, trusted_ms) = (self.epoch, self.trusted_ms);
        let candidates = Arc::new(Candidates::among(&entries));
        let mut oldest_ms = i64::MAX;
        let before = self.bound.clone();
        for e in &entries {
            oldest_ms = oldest_ms.min(e.appended_at_ms);
            let of = |b: &&mut Bound| (b.topic, b.partition) == (e.position.topic, e.position.partition);
            let bound = self.bound.iter_mut().find(of).expect("only assigned partitions are read");
            debug_assert!(bound.offset <= e.position.offset, "offsets never go back");
            bound.offset = e.position.offset + 1;
        }
        for b in &mut self.bound {
            let of = |u: &&Bound| (u.topic, u.partition) == (b.topic, b.partition);
            b.offset = until.iter().find(of).map_or(b.offset, |u| u.offset.max(b.offset));
        }
        self.failpoints.pass("sequencer.before_send")?;
        // A base in the middle of a change would do, but the frames before it could not go.
        let last_of_base = !self.is_wanted() && self.merge_wanted.swap(false, Ordering::AcqRel);
        // By the bounds, which a run of the same epochs after an erasure shares.
        self.pace.begin(epoch, self.bound != before);
        let carries_slices = self.pace.wants_after(epoch - 1) && self.pace.carries_slices(epoch);
        self.in_flight.open(epoch, entries.len(), carries_slices, self.bound.clone());
        self.status.cut(epoch);
        let begin = Begin {
            epoch,
            now_ms,
            trusted_ms,
            bound: self.bound.clone(),
            last_of_base,
            records: entries.len(),
            oldest_ms,
        };
        // The committer hears of an epoch before any worker can answer for it.
        let _ = self.committer.send(Message::Begin(begin));
        let share = entries.len().div_ceil(self.workers.len());
        let mut entries = entries.into_iter();
        for (commands, activator) in &self.workers {
            let entries = entries.by_ref().take(share).collect();
            let candidates = candidates.clone();
            let input = EpochInput { epoch, now_ms, trusted_ms, candidates, last_of_base, entries };
            let _ = commands.send(Command::Epoch(input));
            let _ = activator.activate();
        }
        Ok(())
    }
}

fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|e| e.key.len() + e.value.len()).sum()
}
