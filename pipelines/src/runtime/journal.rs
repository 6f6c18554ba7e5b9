//! The journal: one frame per epoch, and a base that holds everything before the first frame.

pub mod base;
pub mod cut;
pub mod erase;
pub mod frame;
pub mod merge;

use std::path::{Path, PathBuf};

use gravity_ingest::log::LogError;
use gravity_ingest::segment::{SegmentOptions, Segments, SegmentsReader, SyncMode};

use super::PipelineError;
pub use frame::Frame;

/// Version of frames and bases that this build writes. Older ones are read, newer ones refused.
pub const FORMAT: u8 = 1;

/// Version of frames that say something of gates; others stay readable for older builds.
pub const FORMAT_WITH_GATES: u8 = 2;

/// A journal file is closed at this size, so that a merge can drop it.
const SEGMENT_BYTES: u64 = 32 << 20;

/// The frames of one pipeline.
pub struct Journal {
    segments: Segments,
    pipeline: &'static str,
}

/// The folder of the frames in a pipeline's folder.
pub fn frames_dir(dir: &Path) -> PathBuf {
    dir.join("frames")
}

impl Journal {
    /// Opens the frames in `dir`, or begins them with epoch `first`.
    pub fn open(dir: &Path, pipeline: &'static str, first: u64, sync: SyncMode) -> Result<Journal, PipelineError> {
        let begun = is_begun(dir)?;
        let dir = frames_dir(dir);
        let options = SegmentOptions { segment_bytes: SEGMENT_BYTES, sync };
        let segments = if begun {
            let (segments, repair) = Segments::open(&dir, options)?;
            if let Some(r) = repair {
                tracing::warn!(pipeline, path = %r.path.display(), cut_at = r.cut_at, bytes = r.bytes, "cut an unfinished frame off the journal; its epoch was never published");
            }
            segments
        } else {
            Segments::create_at(&dir, first, options)?
        };
        Ok(Journal { segments, pipeline })
    }

    /// The epoch of the first frame that is kept, or of the next one if there is none.
    pub fn first_epoch(&self) -> u64 {
        self.segments.first_seq()
    }

    /// The epoch of the next frame.
    pub fn next_epoch(&self) -> u64 {
        self.segments.next_seq()
    }

    /// Appends the frame of the next epoch; returns its size. Not durable yet.
    pub fn append(&mut self, frame: &Frame) -> Result<u64, PipelineError> {
        let payload = frame.encode().map_err(|e| PipelineError::Journal {
            pipeline: self.pipeline,
            what: format!("a frame cannot be encoded: {e}"),
        })?;
        self.segments.append(frame.epoch, 1, &payload)?;
        Ok(payload.len() as u64)
    }

    /// Makes everything appended durable.
    pub fn sync(&mut self) -> Result<(), PipelineError> {
        Ok(self.segments.sync()?)
    }

    /// Drops whole files of frames before `epoch`.
    pub fn drop_before(&mut self, epoch: u64) -> Result<u64, PipelineError> {
        Ok(self.segments.drop_before(epoch)?)
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> u64 {
        self.segments.bytes()
    }

    /// Reads durable frames, independently of the writer.
    pub fn reader(&self) -> FramesReader {
        FramesReader { segments: self.segments.reader(), pipeline: self.pipeline }
    }
}

/// Whether the pipeline's folder has a journal. A crash while one was made leaves a folder without a segment, and a mark
/// without a word: nothing had been written then.
pub fn is_begun(dir: &Path) -> Result<bool, PipelineError> {
    let dir = frames_dir(dir);
    let failed = |source| LogError::Io { doing: "list", path: dir.clone(), source };
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e).into()),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let bytes = entry.metadata().map_err(failed)?.len();
        if !entry.file_name().to_string_lossy().ends_with(".tmp") && bytes > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads frames.
#[derive(Clone)]
pub struct FramesReader {
    segments: SegmentsReader,
    pipeline: &'static str,
}

impl FramesReader {
    /// The epoch of the first frame that is kept.
    pub fn first_epoch(&self) -> u64 {
        self.segments.first_seq()
    }

    /// The frames after `epoch`, in order and without a gap, as far as they are durable. Frames that are needed and were
    /// dropped are an error. After an error it ends.
    pub fn after(&self, epoch: u64) -> impl Iterator<Item = Result<Frame, PipelineError>> + '_ {
        let mut next = epoch + 1;
        let mut over = false;
        let mut ready: std::vec::IntoIter<bytes::Bytes> = Vec::new().into_iter();
        std::iter::from_fn(move || {
            while !over {
                if let Some(raw) = ready.next() {
                    let frame = Frame::decode(self.pipeline, &raw);
                    let frame = frame.and_then(|f| if f.epoch == next { Ok(f) } else { Err(self.gap(next, f.epoch)) });
                    next += 1;
                    over = frame.is_err();
                    return Some(frame);
                }
                let limit = gravity_ingest::log::Limit { records: 256, bytes: 8 << 20 };
                match self.segments.read_from(next, limit) {
                    Ok(frames) if frames.is_empty() => over = true,
                    Ok(frames) => ready = frames.into_iter().map(|f| f.payload).collect::<Vec<_>>().into_iter(),
                    Err(e) => {
                        over = true;
                        return Some(Err(match e {
                            LogError::Dropped { first, .. } => self.gap(next, first),
                            e => e.into(),
                        }));
                    }
                }
            }
            None
        })
    }

    fn gap(&self, wanted: u64, found: u64) -> PipelineError {
        let what = format!("the frame of epoch {wanted} is missing: the next is that of {found}");
        PipelineError::Journal { pipeline: self.pipeline, what }
    }
}
