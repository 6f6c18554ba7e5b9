//! Folders for tests, in memory where there is such a place: these tests sync thousands of times.

use std::path::Path;

/// A new empty folder that goes away with the value.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return folder;
    }
    tempfile::tempdir().unwrap()
}
