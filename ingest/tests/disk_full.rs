//! A disk that really is full: a small tmpfs where one may be mounted, and a limit on file sizes in any case.
#![allow(clippy::unwrap_used)] // tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gravity_events::Topic;
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions, Reserve};
use gravity_ingest::log::{Log, LogError};

#[allow(dead_code, unused_imports, unused_macros)] // what is shared with the suite is a part of it
#[path = "conformance/suite.rs"]
mod conformance;

use conformance::{ALL, NOW, all, append, block_on, bound, placed};

fn open(dir: &Path, reserve: Reserve) -> EmbeddedLog {
    EmbeddedLog::open(dir, EmbeddedOptions { reserve, segment_bytes: 1 << 30, ..EmbeddedOptions::default() }).unwrap()
}

/// Appends until the disk is full; returns how many records were acknowledged.
fn fill(log: &EmbeddedLog, bytes: usize) -> u64 {
    for n in 0..100_000u64 {
        let record = |partition| placed(Topic::Usage, partition, vec![n as u8; bytes]);
        match block_on(log.append(vec![record(0), record(0), record(0)])) {
            Ok(_) => {}
            Err(LogError::Full { .. }) => return n * 3,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk was never full");
}

/// Fills the disk, makes room, goes on.
fn full_and_back(dir: &Path, make_room: impl FnOnce()) {
    let log = open(dir, Reserve::NONE);
    let acknowledged = fill(&log, 30_000);
    assert!(acknowledged > 3);
    assert!(matches!(
        block_on(log.append(vec![placed(Topic::Usage, 0, vec![0; 200_000])])),
        Err(LogError::Full { .. })
    ));
    let there = all(&log, Topic::Usage, 0).len() as u64;
    assert!((acknowledged..=acknowledged + 2).contains(&there), "{acknowledged} acknowledged, {there} there");
    let mut tail = log.tail(vec![bound(Topic::Usage, 0, there - 1)]).unwrap();
    assert_eq!(tail.poll(ALL, NOW).unwrap().len(), 1, "reads go on");
    make_room();
    let position = append(&log, vec![placed(Topic::Usage, 0, "after")])[0];
    assert_eq!(position.offset, there);
    drop((tail, log));
    let log = open(dir, Reserve::NONE);
    assert_eq!(log.repairs(), [], "no partial frame was left");
    let entries = all(&log, Topic::Usage, 0);
    assert_eq!(entries.len() as u64, there + 1);
    assert!(entries[..there as usize].iter().enumerate().all(|(i, e)| e.value == vec![(i / 3) as u8; 30_000]));
    assert_eq!(entries.last().unwrap().value, "after");
}

/// A mounted tmpfs, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(dir: &Path) -> Option<Tmpfs> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(dir).output();
        mount.is_ok_and(|out| out.status.success()).then(|| Tmpfs(dir.into()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(dir.path()) else {
        return limited();
    };
    let other = disk.0.join("another's file");
    fs::write(&other, vec![1; 1 << 20]).unwrap();
    full_and_back(&disk.0.join("log"), || fs::remove_file(&other).unwrap());
}

#[test]
fn a_nearly_full_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(dir.path()) else {
        return limited();
    };
    let other = disk.0.join("another's file");
    fs::write(&other, vec![1; 1 << 20]).unwrap();
    let log = open(&disk.0.join("log"), Reserve { percent: 5, bytes: 0 });
    let acknowledged = fill(&log, 30_000);
    assert!(acknowledged > 3);
    assert_eq!(all(&log, Topic::Usage, 0).len() as u64, acknowledged, "refused before anything is written");
    fs::write(disk.0.join("room"), vec![1; 100 << 10]).expect("the reserve is there for others");
    fs::remove_file(&other).unwrap();
    fs::remove_file(disk.0.join("room")).unwrap();
    append(&log, vec![placed(Topic::Usage, 0, "after")]);
}

const CHILD: &str = "GRAVITY_TEST_LIMITED_DIR";

#[test]
fn a_file_size_limit() {
    match std::env::var_os(CHILD) {
        None => limited(),
        Some(dir) => full_and_back(Path::new(&dir), || {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize);
            let limit = rustix::process::Rlimit { current: limit.maximum, ..limit };
            rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
        }),
    }
}

/// Runs `a_file_size_limit` in a process whose files may not grow beyond a megabyte; the limit can be lifted.
fn limited() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -S -f 1024; exec \"$0\" --exact a_file_size_limit --nocapture";
    let out = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, dir.path().join("log"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&out.stderr));
}
