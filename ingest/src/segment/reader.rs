//! Reading frames: what is durable, checked, in order.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::file::SegmentFile;
use super::format::FILE_HEADER_BYTES;
use super::window::{Found, Window};
use crate::log::{Limit, LogError};

/// Read at once when everything is read.
const READAHEAD_BYTES: usize = 1 << 20;
/// Least that is read at once.
const LEAST_READ_BYTES: usize = 4 << 10;

/// What the writer shares with readers.
#[derive(Debug)]
pub(super) struct Shared {
    pub dir: std::path::PathBuf,
    /// Ascending, contiguous, never empty; the last one is being written.
    pub files: RwLock<Vec<Arc<SegmentFile>>>,
    /// First sequence that is not durable.
    pub durable_seq: AtomicU64,
}

impl Shared {
    pub fn first_seq(&self) -> u64 {
        self.files.read()[0].header.first
    }

    fn holding(&self, seq: u64) -> Result<Arc<SegmentFile>, LogError> {
        let files = self.files.read();
        let after = files.partition_point(|f| f.header.first <= seq);
        match after.checked_sub(1) {
            Some(i) => Ok(files[i].clone()),
            None => Err(self.dropped(seq, files[0].header.first)),
        }
    }

    fn following(&self, file: &SegmentFile) -> Option<Arc<SegmentFile>> {
        let files = self.files.read();
        let after = files.partition_point(|f| f.header.first <= file.header.first);
        files.get(after).cloned()
    }

    fn dropped(&self, wanted: u64, first: u64) -> LogError {
        LogError::Dropped { path: self.dir.clone(), wanted, first }
    }
}

/// One frame, as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Sequence of its first item: offset or epoch.
    pub first: u64,
    /// Number of items.
    pub count: u32,
    /// Its bytes: a slice of a larger read, so that keeping a few small frames may keep up to a mebibyte.
    pub payload: Bytes,
}

impl Frame {
    /// Sequence after its last item.
    pub fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// Reads a folder of segments, independently of its writer; sees what is durable. Cheap to clone. Each clone remembers
/// where its last read ended, so that reading on costs no search.
#[derive(Debug)]
pub struct SegmentsReader {
    shared: Arc<Shared>,
    last: Mutex<Option<Place>>,
}

#[derive(Clone, Debug)]
struct Place {
    seq: u64,
    file: Arc<SegmentFile>,
    at: u64,
}

impl Clone for SegmentsReader {
    fn clone(&self) -> Self {
        SegmentsReader { shared: self.shared.clone(), last: Mutex::new(None) }
    }
}

impl SegmentsReader {
    pub(super) fn new(shared: Arc<Shared>) -> SegmentsReader {
        SegmentsReader { shared, last: Mutex::new(None) }
    }

    /// First sequence that is still there.
    pub fn first_seq(&self) -> u64 {
        self.shared.first_seq()
    }

    /// First sequence that is not durable yet.
    pub fn durable_seq(&self) -> u64 {
        self.shared.durable_seq.load(Ordering::Acquire)
    }

    /// First sequence and durable bytes of each file, ascending. The last one is being written.
    pub fn files(&self) -> Vec<(u64, u64)> {
        let files = self.shared.files.read();
        files.iter().map(|f| (f.header.first, f.durable_len.load(Ordering::Acquire))).collect()
    }

    /// Frames that hold items at or after `seq`: whole frames within the limit (its records are items), at least one if
    /// there is one; none when `seq` is not durable yet. [`LogError::Dropped`] when `seq` is before the first kept.
    pub fn read_from(&self, seq: u64, limit: Limit) -> Result<Vec<Frame>, LogError> {
        if seq >= self.durable_seq() {
            let first = self.first_seq();
            return if seq < first { Err(self.shared.dropped(seq, first)) } else { Ok(Vec::new()) };
        }
        let mut frames = Vec::new();
        let (mut items, mut bytes) = (0usize, 0usize);
        let mut cursor = self.cursor_at(seq, limit.bytes.saturating_add(LEAST_READ_BYTES))?;
        let mut place = cursor.place();
        loop {
            let frame = match cursor.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // What is before the damage is good; the error comes to whoever reads on.
                Err(_) if !frames.is_empty() => break,
                Err(error) => return Err(error),
            };
            bytes = bytes.saturating_add(frame.payload.len());
            if !frames.is_empty() && bytes > limit.bytes {
                break;
            }
            items = items.saturating_add((frame.next() - frame.first.max(seq)) as usize);
            frames.push(frame);
            place = cursor.place();
            if items >= limit.records || bytes >= limit.bytes {
                break;
            }
        }
        *self.last.lock() = Some(place);
        Ok(frames)
    }

    /// Every durable frame, from the first kept on, read ahead in large pieces. Ends where the durable end is when it gets
    /// there. After an error it ends.
    pub fn frames(&self) -> impl Iterator<Item = Result<Frame, LogError>> + use<> {
        self.frames_from(None)
    }

    /// As [`frames`](Self::frames), from the frame that holds `seq` on.
    pub fn frames_from(&self, seq: Option<u64>) -> impl Iterator<Item = Result<Frame, LogError>> + use<> {
        let shared = self.shared.clone();
        let mut state = None;
        let mut over = false;
        std::iter::from_fn(move || {
            if over {
                return None;
            }
            if state.is_none() {
                let seq = seq.unwrap_or_else(|| shared.first_seq());
                match Cursor::seek(&shared, seq, READAHEAD_BYTES) {
                    Ok(cursor) => state = Some(cursor),
                    Err(e) => {
                        over = true;
                        return Some(Err(e));
                    }
                }
            }
            let next = state.as_mut().and_then(|c| c.next_frame().transpose());
            over = !matches!(next, Some(Ok(_)));
            next
        })
    }

    fn cursor_at(&self, seq: u64, ahead: usize) -> Result<Cursor, LogError> {
        let ahead = ahead.clamp(LEAST_READ_BYTES, READAHEAD_BYTES);
        // Taken, not copied: a place in a file that was dropped must not be tried twice.
        let last = self.last.lock().take();
        match last {
            Some(place) if place.seq == seq => {
                let first = place.file.header.first;
                let resumed = Cursor::resume(&self.shared, place, ahead);
                // A place at the end of a file is in that file, also when what follows is read next: it may be gone.
                if first < self.first_seq() { Cursor::seek(&self.shared, seq, ahead) } else { resumed }
            }
            _ => Cursor::seek(&self.shared, seq, ahead),
        }
    }
}

/// A place between two frames, and the means to read on from there.
struct Cursor {
    shared: Arc<Shared>,
    file: Arc<SegmentFile>,
    handle: Arc<File>,
    window: Window,
    at: u64,
    seq: u64,
    ahead: usize,
}

impl Cursor {
    fn resume(shared: &Arc<Shared>, place: Place, ahead: usize) -> Result<Cursor, LogError> {
        let handle = open(shared, &place.file, place.seq)?;
        let Place { seq, file, at } = place;
        Ok(Cursor { shared: shared.clone(), file, handle, window: Window::default(), at, seq, ahead })
    }

    /// Before the frame that holds `seq`, which must be durable, or at the end.
    fn seek(shared: &Arc<Shared>, seq: u64, ahead: usize) -> Result<Cursor, LogError> {
        let file = shared.holding(seq)?;
        let handle = open(shared, &file, seq)?;
        let (first, at) = file.locate(&handle, seq)?;
        let mut cursor =
            Cursor { shared: shared.clone(), file, handle, window: Window::default(), at, seq: first, ahead };
        while cursor.seq < seq && cursor.at < cursor.file.durable_len.load(Ordering::Acquire) {
            let header = cursor.header()?;
            if header.first + u64::from(header.count) > seq {
                break;
            }
            cursor.at += header.frame_bytes();
            cursor.seq += u64::from(header.count);
        }
        Ok(cursor)
    }

    fn place(&self) -> Place {
        Place { seq: self.seq, file: self.file.clone(), at: self.at }
    }

    fn header(&mut self) -> Result<super::format::FrameHeader, LogError> {
        let end = self.file.durable_len.load(Ordering::Acquire);
        let (path, salt) = (&self.file.path, self.file.header.salt);
        match self.window.header(&self.handle, path, salt, self.at, end, self.ahead)? {
            Found::Header(header) if header.first == self.seq => Ok(header),
            Found::Header(_) => Err(self.file.damaged(self.at, "a frame is out of order")),
            Found::Bad(what) => Err(self.file.damaged(self.at, what)),
        }
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, LogError> {
        loop {
            // In this order: once a later file exists, this one's length is final.
            let following = self.shared.following(&self.file);
            let end = self.file.durable_len.load(Ordering::Acquire);
            if self.at < end {
                break;
            }
            let Some(following) = following else { return Ok(None) };
            let first = self.shared.first_seq();
            if self.seq < first {
                return Err(self.shared.dropped(self.seq, first));
            }
            if following.header.first != self.seq {
                let what = format!("ends before {}, the next file begins at {}", self.seq, following.header.first);
                return Err(self.file.damaged(self.at, what));
            }
            self.handle = open(&self.shared, &following, self.seq)?;
            self.file = following;
            self.window = Window::default();
            self.at = FILE_HEADER_BYTES as u64;
        }
        let header = self.header()?;
        let end = self.file.durable_len.load(Ordering::Acquire);
        let payload = self
            .window
            .payload(&self.handle, &self.file.path, &header, self.at, end, self.ahead)?
            .map_err(|what| self.file.damaged(self.at, what))?;
        self.at += header.frame_bytes();
        self.seq += u64::from(header.count);
        Ok(Some(Frame { first: header.first, count: header.count, payload }))
    }
}

fn open(shared: &Shared, file: &SegmentFile, seq: u64) -> Result<Arc<File>, LogError> {
    if let Some(handle) = file.open()? {
        return Ok(handle);
    }
    // Dropped by the writer, or taken away by someone else.
    let first = shared.first_seq();
    if seq < first { Err(shared.dropped(seq, first)) } else { Err(file.damaged(0, "the file is gone")) }
}
