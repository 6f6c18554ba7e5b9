//! The background merge: base + frames = new base, so that a restart reads little and frames can be dropped.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use bytes::Bytes;
use gravity_events::Id;
use gravity_ingest::segment::SyncMode;

use super::super::dedupe::{self, day_of, is_kept};
use super::super::folds::Block;
use super::super::row::{Stored, Unpack, pack};
use super::super::{PipelineError, failpoint};
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

/// Writes the base of epoch `upto` from the newest base and the frames after it. Rows are merged as sorted streams, so
/// their memory follows the frames, not the base; identities (26 bytes each) pass through memory.
pub fn merge(
    dir: &Path,
    pipeline: &'static str,
    frames: &FramesReader,
    upto: u64,
    sync: SyncMode,
) -> Result<Option<Merged>, PipelineError> {
    let old = base::newest(dir)?;
    if old.is_some_and(|e| e >= upto) {
        return Ok(None);
    }
    let (mut header, items) = match old {
        Some(epoch) => {
            let (h, i) = base::read(dir, pipeline, epoch)?;
            (h, Some(i))
        }
        None => (Header::default(), None),
    };
    let mut claims: BTreeMap<Id, Id> = header.claims.drain(..).collect();
    let mut versions: BTreeMap<Bytes, (u64, u64)> = header.versions.drain(..).map(|(s, v, d)| (s, (v, d))).collect();
    let mut rows: BTreeMap<(u8, u8), Rows> = BTreeMap::new();
    let mut identities: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for frame in frames.after(old.unwrap_or(0)) {
        let frame = frame?;
        if frame.epoch > upto {
            break;
        }
        for block in frame.blocks {
            let shard = rows.entry((block.fold, block.shard)).or_default();
            for row in Unpack::new(&block.rows) {
                let (key, stored) = row.ok_or_else(|| broken_rows(pipeline, frame.epoch))?;
                shard.insert(key.into(), stored);
            }
        }
        for (shard, packed) in frame.identities {
            identities.entry(shard).or_default().extend_from_slice(&packed);
        }
        claims.extend(frame.claims);
        versions.extend(frame.versions.into_iter().map(|(s, v, d)| (s, (v, d))));
        (header.epoch, header.now_ms, header.bound) = (frame.epoch, frame.now_ms, frame.bound);
    }
    if header.epoch != upto {
        return Err(PipelineError::Journal {
            pipeline,
            what: format!("the frame of epoch {upto} is missing; the last is {}", header.epoch),
        });
    }
    header.claims = claims.into_iter().collect();
    header.versions = versions.into_iter().map(|(s, (v, d))| (s, v, d)).collect();
    let today = day_of(header.now_ms);
    let mut out = Sorted { writer: Writer::create(dir, pipeline, &header, sync)?, block: None };
    let mut rows: VecDeque<_> =
        rows.into_iter().flat_map(|(at, m)| m.into_iter().map(move |(k, s)| (at, k, s))).collect();
    let mut kept: BTreeMap<u8, Vec<Bytes>> = BTreeMap::new();
    for item in items.into_iter().flatten() {
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
            Item::Identities(shard, packed) => {
                kept.entry(shard).or_default().push(packed);
            }
            Item::End(_) => {}
        }
    }
    for (at, key, stored) in rows {
        out.push(at, &key, &stored)?;
    }
    let mut writer = out.finish()?;
    for shard in 0..super::super::row::SHARDS {
        let old = kept.remove(&shard).unwrap_or_default();
        let new = identities.remove(&shard).map(Bytes::from);
        let mut packed = Vec::new();
        for chunk in old.iter().chain(new.iter()) {
            for entry in chunk.chunks_exact(dedupe::PACKED_BYTES) {
                let day = u16::from_le_bytes([entry[24], entry[25]]);
                if is_kept(day, today) {
                    packed.extend_from_slice(entry);
                    if packed.len() >= BLOCK_BYTES {
                        writer.push(&Item::Identities(shard, Bytes::from(std::mem::take(&mut packed))))?;
                    }
                }
            }
        }
        if !packed.is_empty() {
            writer.push(&Item::Identities(shard, packed.into()))?;
        }
    }
    let finished = writer.finish()?;
    let bytes = finished.bytes;
    failpoint::pass("merge.before_rename")?;
    let epoch = finished.rename()?;
    failpoint::pass("merge.after_rename")?;
    base::clean(dir, Some(epoch))?;
    Ok(Some(Merged { epoch, bytes }))
}

fn broken_rows(pipeline: &'static str, epoch: u64) -> PipelineError {
    PipelineError::Journal { pipeline, what: format!("the fold rows of epoch {epoch} cannot be decoded") }
}

/// Collects sorted rows into blocks.
struct Sorted {
    writer: Writer,
    block: Option<((u8, u8), Vec<u8>)>,
}

impl Sorted {
    fn push(&mut self, at: (u8, u8), key: &[u8], stored: &Stored) -> Result<(), PipelineError> {
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

    fn finish(mut self) -> Result<Writer, PipelineError> {
        self.flush()?;
        Ok(self.writer)
    }
}
