//! The base: all fold rows as they stood after one epoch, in a folder of its own, and the names of the runs that hold
//! the identities.
//!
//! A base is written beside the old one and takes its place by one rename; whatever a crash leaves behind of an
//! unfinished one is removed at the next start.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gravity_events::Id;
use gravity_ingest::log::LogError;
use gravity_ingest::segment::{SegmentOptions, Segments, SyncMode};
use serde::{Deserialize, Serialize};

use super::super::PipelineError;
use super::super::dedupe::run::RunName;
use super::super::folds::Block;
use super::FORMAT;

const SEGMENT_BYTES: u64 = 256 << 20;

/// What a base says of itself. Its first item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The epoch after which the state stood so.
    pub epoch: u64,
    /// That epoch's clock.
    pub now_ms: i64,
    /// What expiry goes by, see [`super::Frame`].
    pub trusted_ms: i64,
    /// See [`super::Frame`].
    pub genesis: u64,
    /// What it was bound to.
    pub bound: Vec<(u8, u32, u64)>,
    /// Owners of events.
    pub claims: Vec<(Id, Id)>,
    /// Versions of all scopes: scope, version, digest.
    pub versions: Vec<(Bytes, u64, u64)>,
    /// Runs of identities, oldest first.
    pub runs: Vec<RunName>,
}

/// One item of a base, after the header. Sorted by (fold, shard, key).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// Fold rows, sorted by key within and across the blocks of a shard.
    Rows(Block),
    /// The last item: how many there were before it.
    End(u64),
}

pub(super) fn root(dir: &Path) -> PathBuf {
    dir.join("base")
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PipelineError {
    let path = path.to_owned();
    move |source| LogError::Io { doing, path, source }.into()
}

/// Writes a base; takes effect in [`Writer::finish`].
pub struct Writer {
    segments: Segments,
    unfinished: PathBuf,
    root: PathBuf,
    epoch: u64,
    items: u64,
    pipeline: &'static str,
}

impl Writer {
    /// Begins a base of the given header in the pipeline's folder.
    pub fn create(
        dir: &Path,
        pipeline: &'static str,
        header: &Header,
        sync: SyncMode,
    ) -> Result<Writer, PipelineError> {
        let root = root(dir);
        if !root.exists() {
            // Frames are dropped because a base is there: after a power loss its folder must be, too.
            fs::create_dir_all(&root).map_err(io("create", &root))?;
            if sync == SyncMode::Fsync {
                fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io("sync", dir))?;
            }
        }
        let unfinished = root.join(format!("{:020}.unfinished", header.epoch));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(io("remove", &unfinished))?;
        }
        let segments = Segments::create_at(&unfinished, 0, SegmentOptions { segment_bytes: SEGMENT_BYTES, sync })?;
        let mut writer = Writer { segments, unfinished, root, epoch: header.epoch, items: 0, pipeline };
        let payload = writer.encode(header)?;
        writer.append(&payload)?;
        Ok(writer)
    }

    fn encode(&self, value: &impl Serialize) -> Result<Vec<u8>, PipelineError> {
        postcard::to_extend(value, vec![FORMAT]).map_err(|e| PipelineError::Journal {
            pipeline: self.pipeline,
            what: format!("a base item cannot be encoded: {e}"),
        })
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), PipelineError> {
        self.segments.append(self.items, 1, payload)?;
        self.items += 1;
        Ok(())
    }

    /// Adds an item.
    pub fn push(&mut self, item: &Item) -> Result<(), PipelineError> {
        let payload = self.encode(item)?;
        self.append(&payload)
    }

    /// Makes it durable and ready to take the place of the old one: [`Finished::rename`].
    pub fn finish(mut self) -> Result<Finished, PipelineError> {
        self.push(&Item::End(self.items))?;
        self.segments.sync()?;
        let bytes = self.segments.bytes();
        Ok(Finished { unfinished: self.unfinished, root: self.root, epoch: self.epoch, bytes })
    }
}

/// A durable base that has no effect yet.
pub struct Finished {
    unfinished: PathBuf,
    root: PathBuf,
    epoch: u64,
    /// Its size.
    pub bytes: u64,
}

impl Finished {
    /// Takes the place of the old base.
    pub fn rename(self) -> Result<u64, PipelineError> {
        let to = self.root.join(format!("{:020}", self.epoch));
        self.rename_to(&to)
    }

    /// Takes another name beside it.
    pub fn rename_to(self, to: &Path) -> Result<u64, PipelineError> {
        fs::rename(&self.unfinished, to).map_err(io("rename", &self.unfinished))?;
        fs::File::open(&self.root).and_then(|d| d.sync_all()).map_err(io("sync", &self.root))?;
        Ok(self.epoch)
    }
}

/// Removes the bases before that of `keep`, and what crashes left behind.
pub fn clean(dir: &Path, keep: Option<u64>) -> Result<(), PipelineError> {
    let root = root(dir);
    if !root.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(&root).map_err(io("read", &root))? {
        let path = entry.map_err(io("read", &root))?.path();
        if epoch_of(&path).is_none_or(|e| Some(e) < keep) {
            fs::remove_dir_all(&path).map_err(io("remove", &path))?;
        }
    }
    Ok(())
}

fn epoch_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}

/// The newest base of a pipeline's folder.
pub fn newest(dir: &Path) -> Result<Option<u64>, PipelineError> {
    let root = root(dir);
    if !root.exists() {
        return Ok(None);
    }
    let mut newest = None;
    for entry in fs::read_dir(&root).map_err(io("read", &root))? {
        newest = newest.max(epoch_of(&entry.map_err(io("read", &root))?.path()));
    }
    Ok(newest)
}

/// The header of a base, its size, and its items.
pub type Read<I> = (Header, u64, I);

/// Reads the base of `epoch`: header and size, then items in order. The last item (`End`) is checked, not given out.
pub fn read(
    dir: &Path,
    pipeline: &'static str,
    epoch: u64,
) -> Result<Read<impl Iterator<Item = Result<Item, PipelineError>>>, PipelineError> {
    let path = root(dir).join(format!("{epoch:020}"));
    let (segments, repair) =
        Segments::open(&path, SegmentOptions { segment_bytes: SEGMENT_BYTES, sync: SyncMode::None })?;
    let broken = move |what: &str| PipelineError::Journal { pipeline, what: format!("base {epoch}: {what}") };
    if repair.is_some() {
        return Err(broken("its last file is cut, although it was complete once"));
    }
    let (reader, bytes) = (segments.reader(), segments.bytes());
    let mut next = 0;
    let mut ready: std::vec::IntoIter<Bytes> = Vec::new().into_iter();
    let mut ended = false;
    let mut payloads = std::iter::from_fn(move || {
        loop {
            if let Some(p) = ready.next() {
                return Some(Ok(p));
            }
            if ended || next >= segments.next_seq() {
                return None;
            }
            match reader.read_from(next, gravity_ingest::log::Limit { records: 64, bytes: 16 << 20 }) {
                Ok(frames) => {
                    ended = frames.is_empty();
                    next = frames.last().map_or(next, |f| f.first + u64::from(f.count));
                    ready = frames.into_iter().map(|f| f.payload).collect::<Vec<_>>().into_iter();
                }
                Err(e) => {
                    ended = true;
                    return Some(Err(PipelineError::from(e)));
                }
            }
        }
    });
    let header: Header = decode(pipeline, &payloads.next().ok_or_else(|| broken("it is empty"))??)?;
    let mut seen = 1;
    let mut done = false;
    let items = std::iter::from_fn(move || {
        if done {
            return None;
        }
        let item = match payloads.next() {
            Some(Ok(p)) => decode(pipeline, &p),
            Some(Err(e)) => Err(e),
            None => Err(broken("its end is missing")),
        };
        match item {
            Ok(Item::End(n)) if n == seen => {
                done = true;
                None
            }
            Ok(Item::End(_)) => {
                done = true;
                Some(Err(broken("it has other items than it says")))
            }
            Ok(item) => {
                seen += 1;
                Some(Ok(item))
            }
            Err(e) => {
                done = true;
                Some(Err(e))
            }
        }
    });
    Ok((header, bytes, items))
}

fn decode<T: for<'a> Deserialize<'a>>(pipeline: &'static str, payload: &[u8]) -> Result<T, PipelineError> {
    match payload.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest)
            .map_err(|e| PipelineError::Journal { pipeline, what: format!("a base item cannot be decoded: {e}") }),
        Some((&found, _)) => Err(PipelineError::TooNew { pipeline, found: found.into(), known: FORMAT.into() }),
        None => Err(PipelineError::Journal { pipeline, what: "a base item is empty".into() }),
    }
}
