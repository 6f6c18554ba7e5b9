//! Erasing a person from the journal of a pipeline that does not run: fold rows, outputs and dead letters, in frames and base.
//!
//! Rows whose key changes move to the shard and the place that the new key has, as if it had always been so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gravity_events::erasure::Erasure;
use gravity_ingest::log::LogError;
use gravity_ingest::segment::SyncMode;

use super::super::PipelineError;
use super::super::folds::Block;
use super::super::row::{Stored, Unpack, pack, shard_of};
use super::super::worker::RefusedRow;
use super::base::{self, Item, Writer};
use super::merge::{Sorted, broken_rows};
use super::{Frame, Journal, cut, is_begun};

/// Fold, shard and key of a row.
type Place = (u8, u8, Box<[u8]>);

/// Erases a person from the journal in the pipeline's folder `dir`. How many rows and dead letters changed. Stopped in between,
/// it may be done again, and has to be before the pipeline starts.
///
/// # Errors
/// Another process uses the journal, it is damaged, or cannot be written.
pub fn erase(dir: &Path, pipeline: &'static str, erasure: &Erasure) -> Result<u64, PipelineError> {
    cut::finish(dir, SyncMode::Fsync)?;
    finish_base(dir)?;
    let mut changed = 0;
    if let Some(epoch) = base::newest(dir)? {
        base::clean(dir, Some(epoch))?;
        changed += erase_base(dir, pipeline, epoch, erasure)?;
    }
    if is_begun(dir)? {
        changed += erase_frames(dir, pipeline, erasure)?;
    }
    Ok(changed)
}

fn erase_frames(dir: &Path, pipeline: &'static str, erasure: &Erasure) -> Result<u64, PipelineError> {
    let journal = Journal::open(dir, pipeline, 1, SyncMode::Fsync)?;
    let mut changed = 0;
    for frame in journal.reader().after(journal.first_epoch().saturating_sub(1)) {
        changed += erase_frame(&mut frame?, pipeline, erasure)?;
    }
    if changed == 0 {
        return Ok(0);
    }
    let mut failed = None;
    cut::replace(journal, dir, SyncMode::Fsync, |mut frame| match erase_frame(&mut frame, pipeline, erasure) {
        Ok(_) => Some(frame),
        Err(error) => {
            failed = Some(error);
            None
        }
    })?;
    debug_assert!(failed.is_none(), "the same frames were read just now");
    failed.map_or(Ok(changed), Err)
}

fn erase_frame(frame: &mut Frame, pipeline: &'static str, erasure: &Erasure) -> Result<u64, PipelineError> {
    let mut changed = erase_blocks(&mut frame.blocks, frame.epoch, pipeline, erasure)?;
    for (_, blocks) in &mut frame.gates.released {
        changed += erase_blocks(blocks, frame.epoch, pipeline, erasure)?;
    }
    let staged = frame.gates.staged.iter_mut().map(|(_, key, value)| (key, value));
    for (key, value) in frame.outputs.iter_mut().map(|(key, value)| (key, value)).chain(staged) {
        if erasure.is_named_in(key) || value.as_ref().is_some_and(|value| erasure.is_named_in(value)) {
            changed += u64::from(erase_bytes(key, erasure) | value.as_mut().is_some_and(|v| erase_bytes(v, erasure)));
        }
    }
    for (scope, ..) in frame.versions.iter_mut().filter(|(scope, ..)| erasure.is_named_in(scope)) {
        erase_bytes(scope, erasure);
    }
    for RefusedRow { detail, raw, .. } in &mut frame.refused {
        let (new_detail, new_raw) = (erasure.text(detail), raw.as_ref().and_then(|raw| erasure.raw(raw)));
        changed += u64::from(new_detail.is_some() || new_raw.is_some());
        *detail = new_detail.unwrap_or_else(|| std::mem::take(detail));
        *raw = new_raw.map(Bytes::from).or_else(|| raw.take());
    }
    Ok(changed)
}

fn erase_bytes(bytes: &mut Bytes, erasure: &Erasure) -> bool {
    let new = erasure.bytes(bytes);
    let changed = new.is_some();
    if let Some(new) = new {
        *bytes = new.into();
    }
    changed
}

/// What a row becomes; None: it stays.
fn erased(key: &[u8], stored: &Stored, erasure: &Erasure) -> Option<(Box<[u8]>, Stored)> {
    let value = match stored {
        Stored::Upsert { value, .. } => value.as_deref(),
        Stored::Sum(_) => None,
    };
    if !erasure.is_named_in(key) && !value.is_some_and(|value| erasure.is_named_in(value)) {
        return None;
    }
    let (new_key, new_value) = (erasure.bytes(key), value.and_then(|value| erasure.bytes(value)));
    if new_key.is_none() && new_value.is_none() {
        return None;
    }
    let mut stored = stored.clone();
    if let (Some(new), Stored::Upsert { value, .. }) = (new_value, &mut stored) {
        *value = Some(new.into());
    }
    Some((new_key.map_or_else(|| key.into(), Into::into), stored))
}

fn erase_blocks(
    blocks: &mut Vec<Block>,
    epoch: u64,
    pipeline: &'static str,
    erasure: &Erasure,
) -> Result<u64, PipelineError> {
    let mut rows: BTreeMap<Place, Stored> = BTreeMap::new();
    let mut changed = 0;
    for block in blocks.iter() {
        for row in Unpack::new(&block.rows) {
            let (key, stored) = row.ok_or_else(|| broken_rows(pipeline, epoch))?;
            match erased(key, &stored, erasure) {
                Some((key, stored)) => {
                    changed += 1;
                    rows.insert((block.fold, shard_of(&key), key), stored);
                }
                None => {
                    rows.insert((block.fold, block.shard, key.into()), stored);
                }
            }
        }
    }
    if changed > 0 {
        let mut packed: BTreeMap<(u8, u8), Vec<u8>> = BTreeMap::new();
        for ((fold, shard, key), stored) in rows {
            pack(packed.entry((fold, shard)).or_default(), &key, &stored);
        }
        let block = |((fold, shard), rows): ((u8, u8), Vec<u8>)| Block { fold, shard, rows: rows.into() };
        *blocks = packed.into_iter().map(block).collect();
    }
    Ok(changed)
}

/// Shows the rows of a base, in their order.
fn each_row(
    dir: &Path,
    pipeline: &'static str,
    epoch: u64,
    mut show: impl FnMut(u8, u8, &[u8], Stored) -> Result<(), PipelineError>,
) -> Result<base::Header, PipelineError> {
    let (header, _, items) = base::read(dir, pipeline, epoch)?;
    for item in items {
        if let Item::Rows(block) = item? {
            for row in Unpack::new(&block.rows) {
                let (key, stored) = row.ok_or_else(|| broken_rows(pipeline, epoch))?;
                show(block.fold, block.shard, key, stored)?;
            }
        }
    }
    Ok(header)
}

/// Writes the base anew where it has to be. Memory follows what changes.
fn erase_base(dir: &Path, pipeline: &'static str, epoch: u64, erasure: &Erasure) -> Result<u64, PipelineError> {
    let mut new: BTreeMap<Place, Stored> = BTreeMap::new();
    let mut header = each_row(dir, pipeline, epoch, |fold, _, key, stored| {
        if let Some((key, stored)) = erased(key, &stored, erasure) {
            new.insert((fold, shard_of(&key), key), stored);
        }
        Ok(())
    })?;
    if new.is_empty() {
        return Ok(0);
    }
    let changed = new.len() as u64;
    for (scope, ..) in header.versions.iter_mut().filter(|(scope, ..)| erasure.is_named_in(scope)) {
        erase_bytes(scope, erasure);
    }
    header.versions.sort();
    let mut out = Sorted::new(Writer::create(dir, pipeline, &header, SyncMode::Fsync)?);
    let mut new = new.into_iter().peekable();
    each_row(dir, pipeline, epoch, |fold, shard, key, stored| {
        if erased(key, &stored, erasure).is_some() {
            return Ok(());
        }
        while let Some(((f, s, k), stored)) = new.next_if(|((f, s, k), _)| (*f, *s, &k[..]) < (fold, shard, key)) {
            out.push((f, s), &k, &stored)?;
        }
        out.push((fold, shard), key, &stored)
    })?;
    for ((fold, shard, key), stored) in new {
        out.push((fold, shard), &key, &stored)?;
    }
    out.finish()?.finish()?.rename_to(&beside(dir, epoch))?;
    finish_base(dir)?;
    Ok(changed)
}

/// A base that is whole, and is to take the place of the one of its epoch.
fn beside(dir: &Path, epoch: u64) -> PathBuf {
    base::root(dir).join(format!("{epoch:020}.erased"))
}

/// Finishes what a crash has interrupted: a base that was written anew takes its place.
fn finish_base(dir: &Path) -> Result<(), PipelineError> {
    let root = base::root(dir);
    if !root.exists() {
        return Ok(());
    }
    let io = |doing: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| PipelineError::from(LogError::Io { doing, path, source })
    };
    for entry in fs::read_dir(&root).map_err(io("read", &root))? {
        let path = entry.map_err(io("read", &root))?.path();
        if path.extension().is_some_and(|extension| extension == "erased") {
            let place = path.with_extension("");
            if place.exists() {
                fs::remove_dir_all(&place).map_err(io("remove", &place))?;
            }
            fs::rename(&path, &place).map_err(io("rename", &path))?;
            fs::File::open(&root).and_then(|d| d.sync_all()).map_err(io("sync", &root))?;
        }
    }
    Ok(())
}
