//! The output writer: out topics, derived from committed epochs, in order, each whole epoch exactly once.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use gravity_events::body::RecordRefused;
use gravity_events::{Body, Record, Topic};
use gravity_ingest::log::{OutputEpoch, Outputs, Produce};
use gravity_ingest::segment::SyncMode;
use sha2::{Digest, Sha256};

use super::committer::{Finished, code};
use super::definition::{Change, Committed, Definition};
use super::journal::frame::load_bounds;
use super::journal::merge::merge;
use super::journal::{Frame, FramesReader};
use super::supervisor::SharedStatus;
use super::worker::{Message, RefusedRow};
use super::{PipelineError, failpoint};

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
    /// For merges.
    pub frames: FramesReader,
    /// The pipeline's folder.
    pub dir: PathBuf,
    /// See [`super::Options`].
    pub merge_bytes: u64,
    /// How merges sync.
    pub sync: SyncMode,
    /// Sizes and epochs.
    pub status: Arc<SharedStatus>,
}

impl<D: Definition> Writer<D> {
    /// Runs until the committer is gone.
    pub fn run(mut self) {
        if let Err(e) = self.write_all() {
            let _ = self.to_committer.send(Message::Fatal(e));
        }
    }

    fn write_all(&mut self) -> Result<(), PipelineError> {
        let mut merging: Option<std::thread::JoinHandle<Result<(), PipelineError>>> = None;
        while let Ok(first) = self.from_committer.recv() {
            let mut epochs = vec![first];
            epochs.extend(self.from_committer.try_iter().take(EPOCHS_AT_ONCE - 1));
            failpoint::pass("outputs.before_publish")?;
            let whole: Vec<_> =
                epochs.iter().map(|f| output_epoch(&*self.definition, &f.committed, &f.dead_letters)).collect();
            self.outputs.publish(&whole)?;
            failpoint::pass("outputs.after_publish")?;
            let last = epochs.last().expect("there is a first").committed.epoch;
            if self.gated {
                for f in epochs {
                    self.definition.publish(f.committed);
                }
            }
            if merging.as_ref().is_some_and(|m| m.is_finished())
                && let Some(done) = merging.take()
            {
                done.join().unwrap_or(Ok(()))?;
            }
            if merging.is_none() && self.status.wants_merge(self.merge_bytes) {
                merging = Some(self.merge_up_to(last)?);
            }
        }
        merging.map_or(Ok(()), |m| m.join().unwrap_or(Ok(())))
    }

    fn merge_up_to(&self, upto: u64) -> Result<std::thread::JoinHandle<Result<(), PipelineError>>, PipelineError> {
        let (dir, frames, sync, done) = (self.dir.clone(), self.frames.clone(), self.sync, self.to_committer.clone());
        let name = self.definition.name();
        let work = move || {
            if let Some(merged) = merge(&dir, name, &frames, upto, sync)? {
                let _ = done.send(Message::Merged(merged.epoch, merged.bytes));
            }
            Ok(())
        };
        std::thread::Builder::new()
            .name(format!("{name}-merge"))
            .spawn(work)
            .map_err(|e| PipelineError::Start { pipeline: name, what: e.to_string() })
    }
}

/// Publishes the frames that the topics lack, before a restarted pipeline goes on.
pub fn catch_up<D: Definition>(
    definition: &D,
    outputs: &mut dyn Outputs,
    frames: &FramesReader,
) -> Result<(), PipelineError> {
    let published = outputs.last_epoch()?.unwrap_or(0);
    for frame in frames.after(published) {
        let frame = frame?;
        let dead_letters: Vec<_> = frame.refused.iter().filter(|r| r.raw.is_some()).cloned().collect();
        let committed = from_frame(definition, frame)?;
        outputs.publish(&[output_epoch(definition, &committed, &dead_letters)])?;
    }
    Ok(())
}

/// The epoch that a frame tells of.
fn from_frame<D: Definition>(definition: &D, frame: Frame) -> Result<Committed<D>, PipelineError> {
    let broken = |what: &str| PipelineError::Journal {
        pipeline: definition.name(),
        what: format!("frame {}: {what}", frame.epoch),
    };
    let change = |(key, value): &(Bytes, Option<Bytes>)| {
        let key = postcard::from_bytes(key).map_err(|e| broken(&format!("an output key cannot be decoded: {e}")))?;
        let value = value.as_ref().map(|v| postcard::from_bytes(v)).transpose();
        Ok(Change { key, value: value.map_err(|e| broken(&format!("an output cannot be decoded: {e}")))? })
    };
    let version = |(scope, version, _): &(Bytes, u64, u64)| {
        let scope = postcard::from_bytes(scope).map_err(|e| broken(&format!("a scope cannot be decoded: {e}")))?;
        Ok((scope, *version))
    };
    Ok(Committed {
        epoch: frame.epoch,
        now_ms: frame.now_ms,
        bound: load_bounds(&frame.bound).ok_or_else(|| broken("it is bound to an unknown topic"))?,
        changes: frame.outputs.iter().map(change).collect::<Result<_, PipelineError>>()?,
        versions: frame.versions.iter().map(version).collect::<Result<_, PipelineError>>()?,
        refused: Vec::new(),
        snapshot: false,
    })
}

fn output_epoch<D: Definition>(definition: &D, committed: &Committed<D>, dead_letters: &[RefusedRow]) -> OutputEpoch {
    let mut records = definition.output_records(committed);
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
