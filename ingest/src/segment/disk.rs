//! Reading and writing files, with errors of the log. The tests make it fail here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::Errno;

use crate::log::LogError;

/// The log's error for one of the file system.
pub(crate) fn failed(doing: &'static str, path: &Path, source: io::Error) -> LogError {
    let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG].map(Errno::raw_os_error);
    if source.raw_os_error().is_some_and(|e| full.contains(&e)) {
        let folder = path.parent().unwrap_or(path);
        return LogError::Full { path: folder.into() };
    }
    LogError::Io { doing, path: path.into(), source }
}

/// Writes all bytes at an offset.
pub(crate) fn write_at(file: &File, path: &Path, bytes: &[u8], at: u64) -> Result<(), LogError> {
    #[cfg(test)]
    if let Some(kept) = faults::on_write(path, bytes.len()) {
        file.write_all_at(&bytes[..kept], at).map_err(|e| failed("write", path, e))?;
        return Err(failed("write", path, Errno::NOSPC.into()));
    }
    file.write_all_at(bytes, at).map_err(|e| failed("write", path, e))
}

/// Makes the bytes of a file durable (and its length, not its other attributes).
pub(crate) fn sync_data(file: &File, path: &Path) -> Result<(), LogError> {
    #[cfg(test)]
    if faults::on_sync(path) {
        return Err(failed("fsync", path, Errno::IO.into()));
    }
    file.sync_data().map_err(|e| failed("fsync", path, e))
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), LogError> {
    let folder = File::open(path).map_err(|e| failed("open", path, e))?;
    folder.sync_all().map_err(|e| failed("fsync", path, e))
}

/// Creates a folder and those above it; durable on return when `sync`.
pub(crate) fn create_folder(path: &Path, sync: bool) -> Result<(), LogError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent, sync)?;
    }
    match std::fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", path, e)),
        _ => {}
    }
    if sync { sync_folder(parent.unwrap_or(Path::new("."))) } else { Ok(()) }
}

/// Replaces a small file as a whole: after a crash it is the old one or the new one.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], sync: bool) -> Result<(), LogError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let result = (|| {
        let file = File::create(&temporary).map_err(|e| failed("create", &temporary, e))?;
        write_at(&file, &temporary, bytes, 0)?;
        if sync {
            sync_data(&file, &temporary)?;
        }
        std::fs::rename(&temporary, path).map_err(|e| failed("rename", &temporary, e))
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
        return result;
    }
    if sync { sync_folder(path.parent().unwrap_or(Path::new("."))) } else { Ok(()) }
}

/// Reads up to `want` bytes at an offset; fewer only at the end of the file.
pub(crate) fn read_at(file: &File, path: &Path, at: u64, want: usize) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::with_capacity(want);
    while bytes.len() < want {
        let here = at + bytes.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), here) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(failed("read", path, e.into())),
        }
    }
    // There may have been more room than was asked for, and what stands there may still be changing.
    bytes.truncate(want);
    Ok(bytes)
}

/// Faults that a test asks for, by folder.
#[cfg(test)]
pub(crate) mod faults {
    use std::path::{Path, PathBuf};

    use parking_lot::Mutex;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// Every write of a `.seg` file writes this many bytes, then finds no space.
        NoSpaceAfter(usize),
        /// Every fsync of a file fails.
        Sync,
        /// The file system says that it has (free bytes, all bytes).
        Free(u64, u64),
    }

    static FAULTS: Mutex<Vec<(PathBuf, Fault)>> = Mutex::new(Vec::new());

    pub(crate) fn set(folder: &Path, fault: Option<Fault>) {
        let mut faults = FAULTS.lock();
        faults.retain(|(p, _)| p != folder);
        faults.extend(fault.map(|f| (folder.to_path_buf(), f)));
    }

    fn find(path: &Path) -> Option<Fault> {
        FAULTS.lock().iter().find(|(p, _)| path.starts_with(p)).map(|(_, f)| *f)
    }

    pub(super) fn on_write(path: &Path, len: usize) -> Option<usize> {
        match find(path) {
            Some(Fault::NoSpaceAfter(n)) if path.extension().is_some_and(|e| e == "seg") => Some(n.min(len)),
            _ => None,
        }
    }

    pub(super) fn on_sync(path: &Path) -> bool {
        find(path) == Some(Fault::Sync)
    }

    pub(crate) fn free(path: &Path) -> Option<(u64, u64)> {
        match find(path) {
            Some(Fault::Free(free, all)) => Some((free, all)),
            _ => None,
        }
    }
}
