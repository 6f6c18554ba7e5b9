//! The journal: one frame per epoch, and a base that holds everything before the first frame.

pub mod base;
pub mod frame;
pub mod merge;

use std::path::{Path, PathBuf};

use gravity_ingest::segment::{SegmentOptions, Segments, SegmentsReader, SyncMode};

use super::PipelineError;
pub use frame::Frame;

/// Version of frames and bases that this build writes. Older ones are read, newer ones refused.
pub const FORMAT: u8 = 1;

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
        let dir = frames_dir(dir);
        let options = SegmentOptions { segment_bytes: SEGMENT_BYTES, sync };
        let segments = if dir.exists() {
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

    /// The epoch of the next frame.
    pub fn next_epoch(&self) -> u64 {
        self.segments.next_seq()
    }

    /// Appends the frame of the next epoch. Not durable yet.
    pub fn append(&mut self, frame: &Frame) -> Result<(), PipelineError> {
        let payload = frame.encode().map_err(|e| PipelineError::Journal {
            pipeline: self.pipeline,
            what: format!("a frame cannot be encoded: {e}"),
        })?;
        Ok(self.segments.append(frame.epoch, 1, &payload)?)
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
        FramesReader { segments: self.segments.reader(), pipeline: self.pipeline, first: self.segments.first_seq() }
    }
}

/// Reads frames.
#[derive(Clone)]
pub struct FramesReader {
    segments: SegmentsReader,
    pipeline: &'static str,
    first: u64,
}

impl FramesReader {
    /// The frames after `epoch`, in order, as far as they are durable. Frames before the first kept one are not
    /// missed: the base holds them.
    pub fn after(&self, epoch: u64) -> impl Iterator<Item = Result<Frame, PipelineError>> + '_ {
        let mut next = (epoch + 1).max(self.first);
        let mut ready: std::vec::IntoIter<bytes::Bytes> = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(raw) = ready.next() {
                    return Some(Frame::decode(self.pipeline, &raw));
                }
                let limit = gravity_ingest::log::Limit { records: 256, bytes: 8 << 20 };
                match self.segments.read_from(next, limit) {
                    Ok(frames) => {
                        let last = frames.last()?;
                        next = last.first + u64::from(last.count);
                        ready = frames.into_iter().map(|f| f.payload).collect::<Vec<_>>().into_iter();
                    }
                    Err(e) => return Some(Err(e.into())),
                }
            }
        })
    }
}
