//! The output writer: out topics, derived from committed epochs, in order, each whole epoch exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use base64::Engine;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use gravity_events::body::RecordRefused;
use gravity_events::{Body, Record, Topic};
use gravity_ingest::log::{OutputEpoch, Outputs, Produce};
use sha2::{Digest, Sha256};

use super::PipelineError;
use super::accepted;
use super::committer::{Finished, code, told};
use super::definition::{Block, Change, Committed, Definition, Released};
use super::error::guarded;
use super::failpoint::Failpoints;
use super::in_flight::InFlight;
use super::journal::frame::{Reason, load_bounds};
use super::journal::merge::Merger;
use super::journal::{Frame, FramesReader};
use super::supervisor::SharedStatus;
use super::worker::{Message, RefusedRow};

/// Bytes of a refused record that are kept (contracts.md, "Topics").
pub const DEAD_LETTER_BYTES: usize = 512 << 10;

const EPOCHS_AT_ONCE: usize = 32;

/// The output writer's parts.
pub struct Writer<D: Definition> {
    /// The pipeline.
    pub definition: Arc<D>,
    /// The topics.
    pub outputs: Box<dyn Outputs>,
    /// Epochs from the committer.
    pub from_committer: Receiver<Finished<D>>,
    /// Where failures go, and merges.
    pub to_committer: Sender<Message>,
    /// Whether serving hears of epochs from here.
    pub gated: bool,
    /// Merges up to epochs that are published.
    pub merger: Merger,
    /// See [`super::Options`].
    pub merge_bytes: u64,
    /// Tells the sequencer to end the base to come.
    pub merge_wanted: Arc<AtomicBool>,
    /// Backpressure.
    pub in_flight: Arc<InFlight>,
    /// Sizes and epochs.
    pub status: Arc<SharedStatus>,
    /// Set when the pipeline failed: what is queued is left to the next start.
    pub aborted: Arc<AtomicBool>,
    /// For tests.
    pub failpoints: Failpoints,
}

/// What is with the next base.
enum Merging {
    /// It is not wanted yet.
    No,
    /// The sequencer was told to end it.
    Wanted,
    /// It is being written; the epoch.
    Going(u64, JoinHandle<()>),
}

impl<D: Definition> Writer<D> {
    /// Runs until the committer is gone.
    pub fn run(mut self) {
        let mut merging = Merging::No;
        let ended = guarded(self.definition.name(), "output writer", || self.write_all(&mut merging));
        if let Err(e) = ended {
            let _ = self.to_committer.send(Message::Fatal(e));
        }
        // Two merges of one folder would take each other's files away, so this one ends before another run begins.
        self.merger.ending.store(true, Ordering::Release);
        if let Merging::Going(_, thread) = merging {
            let _ = thread.join();
        }
    }

    fn write_all(&mut self, merging: &mut Merging) -> Result<(), PipelineError> {
        while let Ok(first) = self.from_committer.recv() {
            let mut epochs = vec![first];
            epochs.extend(self.from_committer.try_iter().take(EPOCHS_AT_ONCE - 1));
            if self.aborted.load(Ordering::Acquire) {
                return Ok(());
            }
            self.failpoints.pass("outputs.before_publish")?;
            let whole: Vec<_> =
                epochs.iter().map(|f| output_epoch(&*self.definition, &f.committed, &f.dead_letters)).collect();
            self.outputs.publish(&whole)?;
            self.failpoints.pass("outputs.after_publish")?;
            self.in_flight.published(epochs.last().expect("there is a first").committed.epoch);
            let base = epochs.iter().find(|f| f.last_of_base).map(|f| f.committed.epoch);
            if self.gated {
                for f in epochs {
                    self.definition.publish(f.committed);
                }
            }
            self.go_on_merging(merging, base)?;
        }
        Ok(())
    }

    /// `base`: the epoch of the base to come, when it has just been published.
    fn go_on_merging(&self, merging: &mut Merging, base: Option<u64>) -> Result<(), PipelineError> {
        match (&*merging, base) {
            (Merging::Wanted, Some(upto)) => *merging = Merging::Going(upto, self.merge_up_to(upto)?),
            // The committer drops the frames, and then the sizes are right again.
            (Merging::Going(upto, _), _) if self.status.base_epoch() >= Some(*upto) => *merging = Merging::No,
            _ => {}
        }
        if matches!(merging, Merging::No) && self.status.wants_merge(self.merge_bytes) {
            self.merge_wanted.store(true, Ordering::Release);
            *merging = Merging::Wanted;
        }
        Ok(())
    }

    fn merge_up_to(&self, upto: u64) -> Result<JoinHandle<()>, PipelineError> {
        let (merger, done, name) = (self.merger.clone(), self.to_committer.clone(), self.definition.name());
        let work = move || {
            let message = match guarded(name, "merge", || merger.merge(upto)) {
                Ok(Some(merged)) => Message::Merged(merged.epoch, merged.bytes),
                Ok(None) => return,
                Err(e) => Message::Fatal(e),
            };
            let _ = done.send(message);
        };
        std::thread::Builder::new()
            .name(format!("{name}-merge"))
            .spawn(work)
            .map_err(|e| PipelineError::Start { pipeline: name, what: e.to_string() })
    }
}

/// Publishes the frames that the topics lack, before a restarted pipeline goes on. `published`: the last epoch that they
/// hold. Frames are dropped only after their outputs are published, so none of these can be gone, unless the topics are
/// older than the journal.
pub fn catch_up<D: Definition>(
    definition: &D,
    outputs: &mut dyn Outputs,
    published: u64,
    frames: &FramesReader,
) -> Result<(), PipelineError> {
    let first = frames.first_epoch();
    if published + 1 < first {
        return Err(PipelineError::OutputsLost { pipeline: definition.name(), published, first });
    }
    let mut behind = Behind::default();
    let mut all_known = published + 1 == first;
    for frame in frames.after(published) {
        let frame = frame?;
        if !all_known && !frame.gates.released.is_empty() {
            // What a gate lets out stands in the frames since it opened, which may be published already.
            behind = Behind::until(frames, frame.epoch)?;
            all_known = true;
        }
        publish_frame(definition, outputs, frame, &mut behind)?;
    }
    Ok(())
}

/// Rows behind open gates, as frames tell of them.
#[derive(Default)]
pub struct Behind(BTreeMap<u128, StagedRows>);

/// The newest value of each row; None: it goes.
type StagedRows = BTreeMap<Bytes, Option<Bytes>>;

impl Behind {
    /// What is behind gates before an epoch. Frames are kept while a gate that opened in them is open.
    fn until(frames: &FramesReader, epoch: u64) -> Result<Behind, PipelineError> {
        let mut behind = Behind::default();
        for frame in frames.after(frames.first_epoch().saturating_sub(1)) {
            let frame = frame?;
            if frame.epoch >= epoch {
                break;
            }
            behind.pass(&frame);
        }
        Ok(behind)
    }

    /// Takes in what a frame says of gates; gives what is let out: rows, and fold rows that explain them.
    fn pass(&mut self, frame: &Frame) -> Vec<(u128, StagedRows, Vec<Block>)> {
        for group in &frame.gates.opened {
            self.0.entry(*group).or_default();
        }
        for (group, key, value) in &frame.gates.staged {
            self.0.entry(*group).or_default().insert(key.clone(), value.clone());
        }
        if frame.reason == Reason::BuildChanged {
            // Its rows are the parts as they are, what was behind gates included.
            self.0.clear();
        }
        let released = frame.gates.released.iter();
        released.map(|(group, blocks)| (*group, self.0.remove(group).unwrap_or_default(), blocks.clone())).collect()
    }
}

/// Publishes the epoch of a frame.
pub fn publish_frame<D: Definition>(
    definition: &D,
    outputs: &mut dyn Outputs,
    frame: Frame,
    behind: &mut Behind,
) -> Result<(), PipelineError> {
    let dead_letters: Vec<_> = frame.refused.iter().filter(|r| r.raw.is_some()).cloned().collect();
    let committed = from_frame(definition, frame, behind)?;
    Ok(outputs.publish(&[output_epoch(definition, &committed, &dead_letters)])?)
}

/// The epoch that a frame tells of.
fn from_frame<D: Definition>(definition: &D, frame: Frame, behind: &mut Behind) -> Result<Committed<D>, PipelineError> {
    let broken = |what: &str| PipelineError::Journal {
        pipeline: definition.name(),
        what: format!("frame {}: {what}", frame.epoch),
    };
    let released = behind.pass(&frame).into_iter().map(|(group, rows, blocks)| {
        let changes = changes::<D>(definition, frame.epoch, rows.iter());
        Released { group, changes, blocks }
    });
    let released = released.collect();
    let version = |(scope, version, _): &(Bytes, u64, u64)| {
        let scope = postcard::from_bytes(scope).map_err(|e| broken(&format!("a scope cannot be decoded: {e}")))?;
        Ok((scope, *version))
    };
    Ok(Committed {
        epoch: frame.epoch,
        now_ms: frame.now_ms,
        bound: load_bounds(&frame.bound).ok_or_else(|| broken("it is bound to an unknown topic"))?,
        changes: changes::<D>(definition, frame.epoch, frame.outputs.iter().map(|(key, value)| (key, value))),
        staged: Vec::new(),
        released,
        versions: frame.versions.iter().map(version).collect::<Result<_, PipelineError>>()?,
        refused: frame.refused.iter().map(told).collect(),
        blocks: frame.blocks,
        snapshot: false,
    })
}

/// Output rows as they stand in a frame. Its checksum was right, so that where they cannot be read another build wrote it. This
/// build computes other views then, and publishes all that differs as its first epoch: nothing of this one would be left.
fn changes<'a, D: Definition>(
    definition: &D,
    epoch: u64,
    rows: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
) -> Vec<Change<D::Key, D::Value>> {
    let change = |(key, value): (&Bytes, &Option<Bytes>)| {
        let value = value.as_ref().map(|v| postcard::from_bytes(v)).transpose()?;
        Ok(Change { key: postcard::from_bytes(key)?, value })
    };
    rows.map(change).collect::<Result<_, postcard::Error>>().unwrap_or_else(|e| {
        let pipeline = definition.name();
        tracing::warn!(pipeline, epoch, error = %e, "the rows of an epoch of another build are left to the next epoch");
        Vec::new()
    })
}

fn output_epoch<D: Definition>(definition: &D, committed: &Committed<D>, dead_letters: &[RefusedRow]) -> OutputEpoch {
    let mut records = definition.output_records(committed);
    if definition.inputs().iter().any(|topic| definition.refuses(*topic)) {
        let judged: Vec<_> = committed.bound.iter().filter(|b| definition.refuses(b.topic)).copied().collect();
        records.extend(accepted::records(definition.name(), committed.epoch, &judged, &committed.refused));
    }
    records.extend(dead_letters.iter().map(|r| dead_letter(definition.name(), r)));
    OutputEpoch { epoch: committed.epoch, now_ms: committed.now_ms, bound: committed.bound.clone(), records }
}

/// A refused record as it stands on the dead-letter topic.
fn dead_letter(pipeline: &str, row: &RefusedRow) -> Produce {
    let raw = row.raw.clone().unwrap_or_default();
    let kept = &raw[..raw.len().min(DEAD_LETTER_BYTES)];
    let position = row.position;
    let id = format!("{}/{}/{}", position.topic, position.partition, position.offset);
    let body = RecordRefused {
        data_base64: base64::engine::general_purpose::STANDARD.encode(kept),
        length: raw.len() as u64,
        sha256: Sha256::digest(&raw).iter().map(|b| format!("{b:02x}")).collect(),
        topic: position.topic.name().into(),
        partition: position.partition,
        offset: position.offset,
        code: code(&row.code).into(),
        detail: row.detail.clone(),
    };
    let record = Record {
        id: id.as_str().into(),
        source: format!("pipeline:{pipeline}").into(),
        tenant: "-".into(),
        event: None,
        subject: None,
        time_ms: None,
        backfill: false,
        body: Body::RecordRefused(body),
    };
    let value = gravity_events::codec::encode(&record).into();
    Produce { topic: Topic::DeadLetter, key: id.into(), partition: None, value }
}
