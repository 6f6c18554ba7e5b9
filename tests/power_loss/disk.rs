//! A folder on a disk that can lose its power, by the layer in `layer.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use gravity_operators::harness::dice::Dice;

/// Disks write sectors of this size whole.
const SECTOR: usize = 512;
/// What is no part of the model: the test's own capture of the server's output.
const NOT_ON_DISK: &str = "server.log";

/// What a power loss leaves of that which was not synced.
pub enum Keeps<'a> {
    /// Nothing: only what was synced is there.
    Nothing,
    /// Any part of it: changes of a folder, sectors and lengths of files, each or not.
    Some(&'a mut Dice),
}

/// How much of a loss there was to lose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lost {
    /// Files whose bytes were not as synced.
    pub files: u32,
    /// Names that were not as synced.
    pub names: u32,
}

/// A folder and its shadow.
pub struct Disk {
    root: PathBuf,
    shadow: PathBuf,
}

/// An entry of a folder: whether it is a folder, and its inode.
type Node = (bool, u64);
type Entries = BTreeMap<Vec<u8>, Node>;

impl Disk {
    /// For the folder `root`, with the shadow in `shadow`. Both may be missing.
    pub fn new(root: &Path, shadow: &Path) -> Disk {
        fs::create_dir_all(root).expect("a folder");
        Disk { root: root.to_owned(), shadow: shadow.to_owned() }
    }

    /// Begins a boot: all that is in the folder is on the disk. Gives the environment of the processes of this boot.
    pub fn boot(&self, sync: bool) -> [(&'static str, String); 4] {
        let _ = fs::remove_dir_all(&self.shadow);
        fs::create_dir_all(&self.shadow).expect("a folder");
        [
            ("LD_PRELOAD", layer().display().to_string()),
            ("POWER_LOSS_ROOT", self.root.display().to_string()),
            ("POWER_LOSS_SHADOW", self.shadow.display().to_string()),
            ("POWER_LOSS_SYNC", if sync { "on" } else { "off" }.to_owned()),
        ]
    }

    /// Ends a boot by a power loss: makes the folder what the disk holds. Its processes must have ended.
    pub fn lose(&self, mut keeps: Keeps) -> Lost {
        // Without it the layer was not yet there, and the process had not written anything.
        let Ok(inode) = fs::read_to_string(self.shadow.join("root")) else { return Lost::default() };
        let inode: u64 = inode.parse().expect("the layer writes the inode of the folder");
        assert_eq!(inode, fs::metadata(&self.root).expect("the folder is there").ino());
        let mut live = Live::default();
        live.walk(&self.root, inode);
        let rebuilt = self.shadow.join("rebuilt");
        fs::create_dir(&rebuilt).expect("a folder");
        let mut lost = Lost::default();
        self.rebuild(inode, &rebuilt, &live, &mut keeps, &mut lost);
        for entry in fs::read_dir(&self.root).expect("the folder").map(|e| e.expect("an entry")) {
            if entry.file_name() == NOT_ON_DISK {
                continue;
            }
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.expect("it can be removed");
        }
        for entry in fs::read_dir(&rebuilt).expect("the folder").map(|e| e.expect("an entry")) {
            if entry.file_name() != NOT_ON_DISK {
                fs::rename(entry.path(), self.root.join(entry.file_name())).expect("it can be moved");
            }
        }
        lost
    }

    fn rebuild(&self, inode: u64, to: &Path, live: &Live, keeps: &mut Keeps, lost: &mut Lost) {
        let durable = self.durable_entries(inode);
        // A folder that is gone has no entries any more, but it may come back.
        let now = live.folders.get(&inode).unwrap_or(&durable);
        lost.names += durable.iter().filter(|(name, node)| now.get(*name) != Some(node)).count() as u32;
        lost.names += now.keys().filter(|name| !durable.contains_key(*name)).count() as u32;
        for (name, (is_folder, inode)) in chosen_entries(&durable, now, keeps) {
            let path = to.join(std::str::from_utf8(&name).expect("names are text"));
            if is_folder {
                fs::create_dir(&path).expect("a folder");
                self.rebuild(inode, &path, live, keeps, lost);
            } else {
                let durable = fs::read(self.shadow.join(format!("f/{inode}"))).unwrap_or_default();
                let now = live.files.get(&inode).and_then(|p| fs::read(p).ok());
                let now = now.as_ref().unwrap_or(&durable);
                lost.files += u32::from(durable != *now);
                fs::write(&path, chosen_bytes(&durable, now, keeps)).expect("a file");
            }
        }
    }

    fn durable_entries(&self, inode: u64) -> Entries {
        let bytes = fs::read(self.shadow.join(format!("d/{inode}"))).unwrap_or_default();
        let entries = bytes.split_inclusive(|b| *b == 0).map(|entry| {
            let (head, name) = entry.split_at(entry.iter().position(|b| *b == b' ').expect("the layer writes a space"));
            let inode = std::str::from_utf8(&head[1..]).ok().and_then(|n| n.parse().ok()).expect("an inode");
            (name[1..name.len() - 1].to_vec(), (head[0] == b'd', inode))
        });
        entries.collect()
    }
}

/// What the folder holds at the instant of the loss, with what was never synced.
#[derive(Default)]
struct Live {
    folders: BTreeMap<u64, Entries>,
    files: BTreeMap<u64, PathBuf>,
}

impl Live {
    fn walk(&mut self, path: &Path, inode: u64) {
        let mut entries = Entries::new();
        for entry in fs::read_dir(path).expect("a folder").map(|e| e.expect("an entry")) {
            let meta = entry.metadata().expect("its attributes");
            let name = entry.file_name().into_encoded_bytes();
            entries.insert(name, (meta.is_dir(), meta.ino()));
            if meta.is_dir() {
                self.walk(&entry.path(), meta.ino());
            } else {
                self.files.insert(meta.ino(), entry.path());
            }
        }
        self.folders.insert(inode, entries);
    }
}

/// Entries after the loss. Changes that belong together, such as the two names of a rename, are kept or lost together.
fn chosen_entries(durable: &Entries, now: &Entries, keeps: &mut Keeps) -> Entries {
    let Keeps::Some(random) = keeps else { return durable.clone() };
    let names: BTreeSet<&Vec<u8>> = durable.keys().chain(now.keys()).collect();
    let (mut kept, mut changed) = (Entries::new(), Vec::new());
    for name in names {
        match (durable.get(name), now.get(name)) {
            (Some(a), Some(b)) if a == b => drop(kept.insert(name.clone(), *a)),
            sides => changed.push((name, sides, BTreeSet::from_iter([sides.0, sides.1].into_iter().flatten()))),
        }
    }
    while let Some((name, sides, mut nodes)) = changed.pop() {
        let mut group = vec![(name, sides)];
        while let Some(i) = changed.iter().position(|c| !c.2.is_disjoint(&nodes)) {
            let (name, sides, more) = changed.swap_remove(i);
            group.push((name, sides));
            nodes.extend(more);
        }
        let is_kept = random.below(2) == 0;
        for (name, (before, after)) in group {
            if let Some(node) = if is_kept { after } else { before } {
                kept.insert(name.clone(), *node);
            }
        }
    }
    kept
}

/// Bytes after the loss.
fn chosen_bytes(durable: &[u8], now: &[u8], keeps: &mut Keeps) -> Vec<u8> {
    let Keeps::Some(random) = keeps else { return durable.to_vec() };
    let (short, long) = (durable.len().min(now.len()), durable.len().max(now.len()));
    let len = match random.below(3) {
        0 => durable.len(),
        1 => now.len(),
        _ => short + random.below((long - short + 1) as u64) as usize,
    };
    let mut bytes = durable.to_vec();
    bytes.resize(len, 0);
    let percent = *random.pick(&[0, 10, 50, 90, 100]);
    for (i, sector) in bytes.chunks_mut(SECTOR).enumerate() {
        let at = i * SECTOR;
        if at < now.len() && random.below(100) < percent {
            let n = sector.len().min(now.len() - at);
            sector[..n].copy_from_slice(&now[at..at + n]);
        }
    }
    bytes
}

/// The layer, compiled once.
fn layer() -> &'static Path {
    static LAYER: OnceLock<PathBuf> = OnceLock::new();
    LAYER.get_or_init(|| compiled("tests/power_loss/layer.c"))
}

/// A library to preload, made of a file of C.
pub fn compiled(source: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let name = source.file_stem().and_then(|name| name.to_str()).expect("a name");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.so", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library).arg(&source);
    let out = cc.args(["-ldl", "-lpthread"]).output().expect("cc is installed");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    library
}
