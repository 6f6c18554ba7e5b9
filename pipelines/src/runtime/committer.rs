//! The committer: one frame per epoch, fsynced; then, and only then, the epoch is published.

mod diffs;
mod gates;
mod hydrate;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use gravity_events::Id;
use gravity_events::publish::Refused;
use gravity_ingest::log::Bound;

use super::clock::wall_ms;
use super::definition::{Change, Committed, Definition};
use super::failpoint::Failpoints;
use super::folds::Block;
use super::in_flight::InFlight;
use super::journal::frame::{Reason, store_bounds};
use super::journal::{Frame, Journal};
use super::supervisor::SharedStatus;
use super::versions::Versions;
use super::worker::{Message, RefusedRow};
use super::{PipelineError, metrics};
use diffs::{Encoded, Row, paired};
use gates::Gates;
pub use hydrate::{Hydrated, OpenGate, Restored};

/// Epochs at most that become durable with the next one.
const SILENT_MAX: usize = 64;

/// The sequencer opened an epoch.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// What it is bound to.
    pub bound: Vec<Bound>,
    /// What expiry goes by, see [`Frame`].
    pub trusted_ms: i64,
    /// Whether the next base is that of this epoch.
    pub last_of_base: bool,
    /// How many records it has.
    pub records: usize,
    /// When the log took its oldest record.
    pub oldest_ms: i64,
}

struct Pending<D: Definition> {
    begin: Option<(Begin, Instant)>,
    claims: Vec<(Id, Id)>,
    blocks: Vec<Block>,
    identities: Vec<(u8, Bytes)>,
    refused: Vec<RefusedRow>,
    /// As they came; moved together once, when all are here.
    outputs: Vec<Vec<Row<D>>>,
}

impl<D: Definition> Default for Pending<D> {
    fn default() -> Self {
        Pending {
            begin: None,
            claims: Vec::new(),
            blocks: Vec::new(),
            identities: Vec::new(),
            refused: Vec::new(),
            outputs: Vec::new(),
        }
    }
}

/// A committed epoch with what the out topics need of it.
pub struct Finished<D: Definition> {
    /// The epoch.
    pub committed: Arc<Committed<D>>,
    /// Dead letters.
    pub dead_letters: Vec<RefusedRow>,
    /// Whether the next base is that of this epoch.
    pub last_of_base: bool,
}

/// The committer's parts.
pub struct Committer<D: Definition> {
    definition: Arc<D>,
    journal: Journal,
    from_all: Receiver<Message>,
    /// Epochs for the out topics. Bounded: slow topics hold the pipeline back.
    to_outputs: Sender<Finished<D>>,
    in_flight: Arc<InFlight>,
    status: Arc<SharedStatus>,
    /// Whether serving hears of epochs from the output writer, after its transaction, instead of from here.
    gated: bool,
    versions: Versions<D>,
    gates: Gates<D>,
    /// Ends the sequencer's waiting for records.
    wake: Box<dyn Fn() + Send>,
    pending: BTreeMap<u64, Pending<D>>,
    /// Per worker: everything before this epoch is done (u64::MAX: everything).
    done_before: Vec<u64>,
    committed: u64,
    /// Epochs that are not durable by themselves, which the topics have not heard of.
    silent: Vec<Finished<D>>,
    genesis: u64,
    failpoints: Failpoints,
}

/// How to make a [`Committer`].
pub struct Parts<D: Definition> {
    /// The pipeline.
    pub definition: Arc<D>,
    /// Its journal, open.
    pub journal: Journal,
    /// Messages of sequencer and workers.
    pub from_all: Receiver<Message>,
    /// To the output writer.
    pub to_outputs: Sender<Finished<D>>,
    /// Backpressure.
    pub in_flight: Arc<InFlight>,
    /// For operators of the platform.
    pub status: Arc<SharedStatus>,
    /// See [`Committer`].
    pub gated: bool,
    /// Number of workers.
    pub workers: usize,
    /// See [`Frame`].
    pub genesis: u64,
    /// Ends the sequencer's waiting for records.
    pub wake: Box<dyn Fn() + Send>,
    /// For tests.
    pub failpoints: Failpoints,
}

impl<D: Definition> Committer<D> {
    /// Puts it together.
    pub fn new(parts: Parts<D>) -> Committer<D> {
        let Parts { definition, journal, from_all, to_outputs, in_flight, status, gated, workers, .. } = parts;
        Committer {
            definition,
            journal,
            from_all,
            to_outputs,
            in_flight,
            status,
            gated,
            versions: Versions::new(parts.genesis),
            gates: Gates::default(),
            wake: parts.wake,
            pending: BTreeMap::new(),
            done_before: vec![0; workers],
            committed: 0,
            silent: Vec::new(),
            genesis: parts.genesis,
            failpoints: parts.failpoints,
        }
    }

    /// Commits epochs until the pipeline is closed or fails.
    pub fn run(&mut self) -> Result<(), PipelineError> {
        let mut ended = None;
        loop {
            let Ok(message) = self.from_all.recv() else { return Err(self.gone()) };
            match message {
                Message::SequencerEnded(how) => ended = Some(how),
                message => self.take(message)?,
            }
            let done_before = self.done_before.iter().copied().min().unwrap_or(u64::MAX);
            while let Some(entry) = self.pending.first_entry()
                && *entry.key() < done_before
            {
                let (epoch, pending) = entry.remove_entry();
                self.commit(epoch, pending)?;
            }
            if done_before == u64::MAX
                && let Some(how) = ended.take()
            {
                self.journal.sync()?;
                self.tell_outputs()?;
                return how;
            }
        }
    }

    /// Why nobody listens any more: what a thread said before it ended, where it said something.
    fn gone(&self) -> PipelineError {
        let why = self.from_all.try_iter().find_map(|m| match m {
            Message::Fatal(error) => Some(error),
            _ => None,
        });
        why.unwrap_or(PipelineError::Gone { pipeline: self.definition.name() })
    }

    fn take(&mut self, message: Message) -> Result<(), PipelineError> {
        match message {
            Message::Begin(begin) => {
                let epoch = begin.epoch;
                self.pending.entry(epoch).or_default().begin = Some((begin, Instant::now()));
            }
            Message::Claims(epoch, claims) => self.pending.entry(epoch).or_default().claims = claims,
            Message::Rows(epoch, blocks) => self.pending.entry(epoch).or_default().blocks.extend(blocks),
            Message::Ids(epoch, shard, packed) => {
                self.pending.entry(epoch).or_default().identities.push((shard, packed.into()))
            }
            Message::Refused(epoch, rows) => {
                let ours = rows.into_iter().filter(|row| self.definition.refuses(row.position.topic));
                self.pending.entry(epoch).or_default().refused.extend(ours)
            }
            Message::Outputs(rows) => {
                let rows = rows.downcast::<Vec<Row<D>>>().expect("workers send the outputs of their own pipeline");
                let Some(epoch) = rows.first().map(|row| row.1) else { return Ok(()) };
                if rows.iter().all(|row| row.1 == epoch) {
                    self.pending.entry(epoch).or_default().outputs.push(*rows);
                } else {
                    for row in *rows {
                        self.pending.entry(row.1).or_default().outputs.push(vec![row]);
                    }
                }
            }
            Message::Frontier(worker, frontier) => self.done_before[worker] = frontier.unwrap_or(u64::MAX),
            Message::Failed(worker, what) => {
                return Err(PipelineError::Worker { pipeline: self.definition.name(), worker, what });
            }
            Message::Fatal(error) => return Err(error),
            Message::Merged(epoch, bytes) => {
                self.journal.drop_before(self.gates.keep_from(epoch))?;
                self.status.merged(epoch, bytes, self.journal.bytes());
                self.failpoints.pass("merge.after_drop")?;
            }
            Message::SequencerEnded(how) => how?,
        }
        Ok(())
    }

    fn commit(&mut self, epoch: u64, pending: Pending<D>) -> Result<(), PipelineError> {
        let Pending { begin, claims, mut blocks, mut identities, mut refused, outputs } = pending;
        let (begin, opened_at) = begin.expect("an epoch is announced before any worker has it");
        debug_assert_eq!(epoch, self.committed + 1, "epochs are dense");
        // Which worker was faster must not show in the frame.
        blocks.sort_by_key(|b| (b.fold, b.shard));
        identities.sort_by_key(|i| i.0);
        refused.sort_by_key(|r| r.position);
        let mut diffs = paired::<D>(self.definition.name(), outputs)?;
        let passed = self.gates.pass(&*self.definition, epoch, &mut diffs, &blocks, &mut self.versions);
        let mut versions = self.versions.apply(&*self.definition, &diffs);
        if !passed.versions.is_empty() {
            versions.extend(passed.versions);
            versions.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let frame = Frame {
            epoch,
            now_ms: begin.now_ms,
            trusted_ms: begin.trusted_ms,
            genesis: self.genesis,
            reason: Reason::Records,
            bound: store_bounds(&begin.bound),
            claims,
            blocks,
            identities,
            refused,
            outputs: diffs.iter().map(|d| (d.key_bytes.clone(), d.new_bytes.clone())).collect(),
            versions: self.encode_versions(&versions)?,
            gates: passed.frame,
        };
        self.in_flight.prepared(epoch);
        if self.gates.any_open() {
            // The next slice needs an epoch, also when no records come.
            (self.wake)();
        }
        // A slice that nothing else is in shows nothing: it becomes durable with the next epoch that does, and until then
        // the topics do not hear of it. After a loss of power its change is computed again.
        let is_silent = !self.gated
            && begin.records == 0
            && !begin.last_of_base
            && self.gates.any_open()
            && frame.outputs.is_empty()
            && frame.versions.is_empty()
            && self.silent.len() < SILENT_MAX;
        self.write(&frame, !is_silent)?;
        if begin.last_of_base {
            self.status.base_ends();
        }
        self.committed = epoch;
        let changes = diffs.into_iter().map(|d| Change { key: d.key, value: d.new }).collect();
        let versions = versions.into_iter().map(|(s, v, _)| (s, v)).collect();
        let refused = frame.refused.iter().map(told).collect();
        let committed = Arc::new(Committed {
            epoch,
            now_ms: begin.now_ms,
            bound: begin.bound.clone(),
            changes,
            staged: passed.staged,
            released: passed.released,
            versions,
            refused,
            blocks: frame.blocks.clone(),
            snapshot: false,
        });
        if !self.gated {
            self.definition.publish(committed.clone());
        }
        self.failpoints.pass("commit.after_publish")?;
        self.observe(&begin, opened_at, &frame.refused, &committed);
        let dead_letters = frame.refused.into_iter().filter(|r| r.raw.is_some()).collect();
        let finished = Finished { committed, dead_letters, last_of_base: begin.last_of_base };
        self.silent.push(finished);
        if !is_silent {
            self.tell_outputs()?;
        }
        self.in_flight.committed(epoch);
        Ok(())
    }

    /// All that was committed is durable: the topics may hear of it.
    fn tell_outputs(&mut self) -> Result<(), PipelineError> {
        for finished in std::mem::take(&mut self.silent) {
            self.to_outputs.send(finished).map_err(|_| self.gone())?;
        }
        Ok(())
    }

    fn write(&mut self, frame: &Frame, sync: bool) -> Result<(), PipelineError> {
        let _timer = metrics::COMMIT_DURATION.with_label_values(&[self.definition.name()]).start_timer();
        self.failpoints.pass("commit.before_append")?;
        let bytes = self.journal.append(frame)?;
        self.failpoints.pass("commit.after_append")?;
        if sync {
            self.journal.sync()?;
        }
        self.failpoints.pass("commit.after_sync")?;
        self.status.frame_written(bytes, self.journal.bytes());
        Ok(())
    }

    fn observe(&self, begin: &Begin, opened_at: Instant, refused: &[RefusedRow], committed: &Committed<D>) {
        let name = [self.definition.name()];
        metrics::EPOCH.with_label_values(&name).set(i64::try_from(begin.epoch).unwrap_or(i64::MAX));
        metrics::EPOCH_DURATION.with_label_values(&name).observe(opened_at.elapsed().as_secs_f64());
        if begin.oldest_ms != i64::MAX {
            let waited_ms = (wall_ms() - begin.oldest_ms).max(0);
            metrics::FRESHNESS.with_label_values(&name).observe(waited_ms as f64 / 1e3);
        }
        for r in refused {
            let topic = r.position.topic.name();
            match r.raw {
                None => metrics::DUPLICATES.with_label_values(&[topic]).inc(),
                Some(_) => metrics::DEAD_LETTERS.with_label_values(&[topic, &r.code]).inc(),
            }
        }
        metrics::observe_operators();
        self.status.committed(committed, begin.records as u64, refused.len() as u64, opened_at.elapsed());
    }

    fn encode_versions(&self, versions: &[(D::Scope, u64, u64)]) -> Result<Vec<(Bytes, u64, u64)>, PipelineError> {
        let mut encoded = Encoded::new(self.definition.name());
        versions.iter().map(|(s, v, d)| Ok((encoded.add(s)?, *v, *d))).collect()
    }
}

/// A refused record as it is told.
pub(super) fn told(row: &RefusedRow) -> Refused {
    Refused { position: row.position, code: code(&row.code), detail: row.detail.clone() }
}

/// Codes are a closed set; a frame of another version may hold one that this build does not know.
pub(super) fn code(text: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        "duplicate",
        "conflict",
        "wrong_tenant",
        "wrong_topic",
        "too_late",
        "too_early",
        "too_large",
        "syntax",
        "missing",
        "invalid",
        "unknown_type",
    ];
    KNOWN.iter().find(|k| **k == text).copied().unwrap_or("refused")
}
