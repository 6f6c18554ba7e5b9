//! The background merge: base + frames = new base, so that a restart reads little and frames can be dropped.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use gravity_events::Id;
use gravity_ingest::segment::SyncMode;

use super::super::PipelineError;
use super::super::dedupe::runs::{self, Runs};
use super::super::dedupe::{day_of, unpack};
use super::super::failpoint::Failpoints;
use super::super::folds::Block;
use super::super::row::{Stored, Unpack, pack};
use super::FramesReader;
use super::base::{self, Header, Item, Writer};

/// Frames are merged once they hold more than this and than half the base.
pub const MERGE_BYTES: u64 = 64 << 20;
const BLOCK_BYTES: usize = 1 << 20;

/// Rows of one (fold, shard), by key.
type Rows = BTreeMap<Box<[u8]>, Stored>;

/// What a merge made.
pub struct Merged {
    /// The epoch of the new base.
    pub epoch: u64,
    /// Its size.
    pub bytes: u64,
}

/// What merges of a pipeline need.
#[derive(Clone)]
pub struct Merger {
    /// The pipeline's folder.
    pub dir: PathBuf,
    /// Its name.
    pub pipeline: &'static str,
    /// Its frames.
    pub frames: FramesReader,
    /// Its runs of identities, which every merge replaces.
    pub runs: Arc<Runs>,
    /// How bases are synced.
    pub sync: SyncMode,
    /// Set when the pipeline ends: a merge that is under way is given up, and leaves nothing that counts.
    pub ending: Arc<AtomicBool>,
    /// For tests.
    pub failpoints: Failpoints,
}

impl Merger {
    /// Writes the base of epoch `upto` from the newest base and the frames after it. Rows and identities are merged as
    /// sorted streams, so memory follows the frames, not the base. None: there is such a base already, or the pipeline
    /// ends.
    pub fn merge(&self, upto: u64) -> Result<Option<Merged>, PipelineError> {
        merge(self, upto)
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }
}

fn merge(merger: &Merger, upto: u64) -> Result<Option<Merged>, PipelineError> {
    let Merger { dir, pipeline, frames, sync, failpoints, .. } = merger;
    let (dir, pipeline, sync) = (dir.as_path(), *pipeline, *sync);
    let old = base::newest(dir)?;
    if old.is_some_and(|e| e >= upto) {
        return Ok(None);
    }
    let (mut header, items) = match old {
        Some(epoch) => {
            let (h, _, i) = base::read(dir, pipeline, epoch)?;
            (h, Some(i))
        }
        None => (Header { epoch: frames.first_epoch().saturating_sub(1), ..Header::default() }, None),
    };
    let mut claims: BTreeMap<Id, Id> = header.claims.drain(..).collect();
    let mut versions: BTreeMap<Bytes, (u64, u64)> = header.versions.drain(..).map(|(s, v, d)| (s, (v, d))).collect();
    let mut rows: BTreeMap<(u8, u8), Rows> = BTreeMap::new();
    let mut identities = Vec::new();
    for frame in frames.after(header.epoch) {
        let frame = frame?;
        if frame.epoch > upto || merger.is_ending() {
            break;
        }
        for block in frame.blocks {
            let shard = rows.entry((block.fold, block.shard)).or_default();
            for row in Unpack::new(&block.rows) {
                let (key, stored) = row.ok_or_else(|| broken_rows(pipeline, frame.epoch))?;
                shard.insert(key.into(), stored);
            }
        }
        for (_, packed) in frame.identities {
            identities.extend(unpack(&packed));
        }
        claims.extend(frame.claims);
        versions.extend(frame.versions.into_iter().map(|(s, v, d)| (s, (v, d))));
        (header.epoch, header.now_ms, header.bound) = (frame.epoch, frame.now_ms, frame.bound);
        (header.trusted_ms, header.genesis) = (frame.trusted_ms, frame.genesis);
    }
    if merger.is_ending() {
        return Ok(None);
    }
    if header.epoch != upto {
        return Err(PipelineError::Journal {
            pipeline,
            what: format!("the frame of epoch {upto} is missing; the last is {}", header.epoch),
        });
    }
    header.claims = claims.into_iter().collect();
    header.versions = versions.into_iter().map(|(s, (v, d))| (s, v, d)).collect();
    failpoints.pass("merge.before_identities")?;
    let today = day_of(header.trusted_ms);
    let go_on = || !merger.is_ending();
    let fsync = sync == SyncMode::Fsync;
    let Some(runs) = merger.runs.get().merged(dir, identities, upto, today, fsync, &go_on)? else { return Ok(None) };
    header.runs = runs.names();
    let mut out = Sorted::new(Writer::create(dir, pipeline, &header, sync)?);
    let mut rows: VecDeque<_> =
        rows.into_iter().flat_map(|(at, m)| m.into_iter().map(move |(k, s)| (at, k, s))).collect();
    for item in items.into_iter().flatten() {
        if merger.is_ending() {
            return Ok(None);
        }
        match item? {
            Item::Rows(block) => {
                let at = (block.fold, block.shard);
                for row in Unpack::new(&block.rows) {
                    let (key, stored) = row.ok_or_else(|| broken_rows(pipeline, old.unwrap_or(0)))?;
                    let mut replaced = false;
                    while let Some((a, k, _)) = rows.front()
                        && (*a, &k[..]) <= (at, key)
                    {
                        replaced |= (*a, &k[..]) == (at, key);
                        let (a, k, s) = rows.pop_front().expect("it was the front");
                        out.push(a, &k, &s)?;
                    }
                    if !replaced {
                        out.push(at, key, &stored)?;
                    }
                }
            }
            Item::End(_) => {}
        }
    }
    for (at, key, stored) in rows {
        out.push(at, &key, &stored)?;
    }
    let finished = out.finish()?.finish()?;
    let bytes = finished.bytes;
    failpoints.pass("merge.before_rename")?;
    let epoch = finished.rename()?;
    merger.runs.replace(runs);
    failpoints.pass("merge.after_rename")?;
    runs::clean(dir, &header.runs)?;
    base::clean(dir, Some(epoch))?;
    Ok(Some(Merged { epoch, bytes }))
}

pub(super) fn broken_rows(pipeline: &'static str, epoch: u64) -> PipelineError {
    PipelineError::Journal { pipeline, what: format!("the fold rows of epoch {epoch} cannot be decoded") }
}

/// Collects sorted rows into blocks.
pub(super) struct Sorted {
    writer: Writer,
    block: Option<((u8, u8), Vec<u8>)>,
}

impl Sorted {
    pub fn new(writer: Writer) -> Sorted {
        Sorted { writer, block: None }
    }

    pub fn push(&mut self, at: (u8, u8), key: &[u8], stored: &Stored) -> Result<(), PipelineError> {
        if self.block.as_ref().is_some_and(|(a, rows)| *a != at || rows.len() >= BLOCK_BYTES) {
            self.flush()?;
        }
        pack(&mut self.block.get_or_insert_with(|| (at, Vec::new())).1, key, stored);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        if let Some(((fold, shard), rows)) = self.block.take() {
            self.writer.push(&Item::Rows(Block { fold, shard, rows: rows.into() }))?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Writer, PipelineError> {
        self.flush()?;
        Ok(self.writer)
    }
}
