//! Putting other payloads of the same length into the frames of a folder that nobody uses: for erasing, and nothing else.
//!
//! A file is copied, changed and synced beside the old one, and then takes its name; lengths and places stay, so that all
//! that other files say of it holds. Stopped in between it has some files as they were, and may be done again.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::file::SegmentFile;
use super::format::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FrameHeader};
use super::window::{Found, Window};
use super::{Frame, Segments, SyncMode, disk};
use crate::log::LogError;

const AHEAD_BYTES: usize = 1 << 20;

impl Segments {
    /// Shows every durable frame to `change`, and puts what it gives in the place of the payload. How many it changed.
    ///
    /// # Errors
    /// A frame is damaged, a file cannot be written, or `change` gave a payload of another length; files before are changed.
    pub fn rewrite(self, mut change: impl FnMut(&Frame) -> Option<Vec<u8>>) -> Result<u64, LogError> {
        let files = self.shared.files.read().clone();
        let mut changed = 0;
        for file in files {
            changed += rewrite_file(&file, self.options.sync == SyncMode::Fsync, &mut change)?;
        }
        Ok(changed)
    }
}

fn rewrite_file(
    file: &SegmentFile,
    sync: bool,
    change: &mut impl FnMut(&Frame) -> Option<Vec<u8>>,
) -> Result<u64, LogError> {
    let (path, salt, end) = (&file.path, file.header.salt, file.durable_len.load(Ordering::Acquire));
    let handle = File::open(path).map_err(|e| disk::failed("open", path, e))?;
    let mut window = Window::default();
    let mut copy: Option<Copy> = None;
    let (mut at, mut changed) = (FILE_HEADER_BYTES as u64, 0);
    while at < end {
        let header = match window.header(&handle, path, salt, at, end, AHEAD_BYTES)? {
            Found::Header(header) => header,
            Found::Bad(what) => return Err(file.damaged(at, what)),
        };
        let payload = window.payload(&handle, path, &header, at, end, AHEAD_BYTES)?;
        let payload = payload.map_err(|what| file.damaged(at, what))?;
        let frame = Frame { first: header.first, count: header.count, payload };
        if let Some(new) = change(&frame) {
            if new.len() != frame.payload.len() {
                let what = format!("a payload of {} bytes cannot become one of {}", frame.payload.len(), new.len());
                let wrong = std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
                return Err(disk::failed("rewrite", path, wrong));
            }
            let copy = match &mut copy {
                Some(copy) => copy,
                none => none.insert(Copy::of(path)?),
            };
            let header = FrameHeader { payload_crc: crc32c::crc32c(&new), ..header };
            disk::write_at(&copy.file, &copy.path, &header.encode(salt, at), at)?;
            disk::write_at(&copy.file, &copy.path, &new, at + FRAME_HEADER_BYTES as u64)?;
            changed += 1;
        }
        at += header.frame_bytes();
    }
    if let Some(copy) = copy {
        copy.replace(path, sync)?;
    }
    Ok(changed)
}

/// A copy beside a file. The next start removes one that was left.
struct Copy {
    file: File,
    path: std::path::PathBuf,
}

impl Copy {
    fn of(path: &Path) -> Result<Copy, LogError> {
        let copy = path.with_extension("seg.tmp");
        std::fs::copy(path, &copy).map_err(|e| disk::failed("copy", path, e))?;
        let file = File::options().write(true).open(&copy).map_err(|e| disk::failed("open", &copy, e))?;
        Ok(Copy { file, path: copy })
    }

    fn replace(self, path: &Path, sync: bool) -> Result<(), LogError> {
        if sync {
            disk::sync_data(&self.file, &self.path)?;
        }
        std::fs::rename(&self.path, path).map_err(|e| disk::failed("rename", &self.path, e))?;
        if sync { disk::sync_folder(path.parent().unwrap_or(Path::new("."))) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentOptions;

    const OPTIONS: SegmentOptions = SegmentOptions { segment_bytes: 300, sync: SyncMode::Fsync };

    fn payloads(segments: &Segments) -> Vec<Vec<u8>> {
        segments.reader().frames().map(|frame| frame.unwrap().payload.to_vec()).collect()
    }

    #[test]
    fn other_bytes_stand_in_the_same_places_and_appending_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(dir.path(), OPTIONS).unwrap();
        for n in 0..20 {
            segments.append(n, 1, format!("record {n:02} of ada").as_bytes()).unwrap();
        }
        segments.sync().unwrap();
        assert!(segments.reader().files().len() > 2);
        let mut expected = payloads(&segments);
        let odd = |payload: &[u8]| (payload[8] % 2 == 1).then(|| payload.iter().map(|b| b ^ 1).collect::<Vec<u8>>());
        assert_eq!(segments.rewrite(|frame| odd(&frame.payload)).unwrap(), 10);
        for payload in &mut expected {
            if let Some(new) = odd(payload) {
                *payload = new;
            }
        }
        let (mut segments, repair) = Segments::open(dir.path(), OPTIONS).unwrap();
        assert_eq!((payloads(&segments), repair), (expected.clone(), None));
        segments.append(20, 1, b"next").unwrap();
        segments.sync().unwrap();
        expected.push(b"next".to_vec());
        assert_eq!(payloads(&segments), expected);
        let error = segments.rewrite(|_| Some(b"of another length".to_vec())).unwrap_err();
        assert!(error.to_string().contains("cannot become one of 17"), "{error}");
        // What is left of that attempt is removed, and nothing has changed.
        let (segments, _) = Segments::open(dir.path(), OPTIONS).unwrap();
        assert_eq!(payloads(&segments), expected);
        assert!(std::fs::read_dir(dir.path()).unwrap().all(|f| f.unwrap().path().extension().unwrap() != "tmp"));
    }
}
