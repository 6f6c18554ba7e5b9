//! A file system that can be full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Far more than a site needs, with what the log leaves free for others.
const SIZE: &str = "size=1g";

/// A mounted tmpfs, unmounted when dropped.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounted on a folder; None where nothing may be mounted.
    pub fn mount(folder: &Path) -> Option<SmallDisk> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(folder).output();
        mount.is_ok_and(|out| out.status.success()).then(|| SmallDisk { folder: folder.to_owned() })
    }

    /// Takes all the room that there is, to the last byte.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file");
        for piece in [1 << 20, 4 << 10, 1] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    /// Gives it back.
    pub fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("another's file")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
