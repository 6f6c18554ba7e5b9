//! The runs of a pipeline, newest last, and how they are merged.
//!
//! Each merge of the journal makes one run of the new identities and of as many of the newest runs as are not at least
//! twice as large as what is merged into them, so that their number stays logarithmic and each identity is written a
//! logarithmic number of times. A run of which half is forgotten is rewritten with all newer ones.
//!
//! The base names its runs, and takes effect by one rename; a run that no base names does not exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gravity_ingest::log::LogError;
use parking_lot::RwLock;

use super::is_kept;
use super::run::{Item, Run, RunName};

/// Runs at most: each is asked by every look-up.
const MOST_RUNS: usize = 8;

/// Runs as they are after one epoch. Never changes; a merge makes a new one.
#[derive(Debug, Default)]
pub struct RunSet {
    /// They hold the identities of epochs up to this one.
    pub upto: u64,
    runs: Vec<Arc<Run>>,
}

/// The runs that the workers share.
#[derive(Debug, Default)]
pub struct Runs {
    set: RwLock<Arc<RunSet>>,
}

impl Runs {
    /// Shares these.
    pub fn new(set: RunSet) -> Runs {
        Runs { set: RwLock::new(Arc::new(set)) }
    }

    /// Those of now.
    pub fn get(&self) -> Arc<RunSet> {
        self.set.read().clone()
    }

    /// A merge is done.
    pub fn replace(&self, set: RunSet) {
        *self.set.write() = Arc::new(set);
    }
}

/// The folder of the runs in a pipeline's folder.
pub fn runs_dir(dir: &Path) -> PathBuf {
    dir.join("identities")
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LogError {
    move |source| LogError::Io { doing, path: path.to_owned(), source }
}

impl RunSet {
    /// No runs: no identity was accepted up to this epoch.
    pub fn none(upto: u64) -> RunSet {
        RunSet { upto, runs: Vec::new() }
    }

    /// Opens the runs that the base of epoch `upto` names.
    pub fn open(dir: &Path, upto: u64, names: &[RunName]) -> Result<RunSet, LogError> {
        let dir = runs_dir(dir);
        let runs = names.iter().map(|n| Run::open(&dir, n).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(RunSet { upto, runs })
    }

    /// Their names, oldest first.
    pub fn names(&self) -> Vec<RunName> {
        self.runs.iter().map(|r| r.name.clone()).collect()
    }

    /// Data hash and day of acceptance of an identity.
    pub fn get(&self, id: u128) -> Result<Option<(u64, u16)>, LogError> {
        for run in self.runs.iter().rev() {
            if let Some(found) = run.get(id)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Number of identities, forgotten ones included.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|r| r.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.runs.iter().map(|r| r.memory_bytes()).sum()
    }

    /// The runs with the identities `new` of the epochs after these up to `upto`, without what is forgotten on day
    /// `today` in those that are rewritten. Of equal ids in `new` the later one holds. `go_on` is asked now and then;
    /// None: it said no.
    pub fn merged(
        &self,
        dir: &Path,
        mut new: Vec<Item>,
        upto: u64,
        today: u16,
        sync: bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<RunSet>, LogError> {
        new.sort_by_key(|i| i.0);
        new.reverse(); // the later of equal ids comes first now, and stays
        new.dedup_by_key(|i| i.0);
        new.reverse();
        new.retain(|i| is_kept(i.2, today));
        let from = self.first_to_merge(new.len() as u64, today);
        if new.is_empty() && from == self.runs.len() {
            return Ok(Some(RunSet { upto, runs: self.runs.clone() }));
        }
        let dir = runs_dir(dir);
        create_durably(&dir, sync)?;
        let (kept, merged) = self.runs.split_at(from);
        let first = merged.first().map_or(self.upto + 1, |r| r.name.first);
        let most = merged.iter().map(|r| r.len() - r.forgotten(today)).sum::<u64>() + new.len() as u64;
        let mut sources: Vec<Box<dyn Iterator<Item = Result<Item, LogError>> + '_>> = Vec::new();
        for run in merged {
            sources.push(Box::new(run.items()?));
        }
        sources.push(Box::new(new.into_iter().map(Ok)));
        let mut stopped = false;
        let items = Merge::new(sources)?.filter(|i| i.as_ref().map_or(true, |i| is_kept(i.2, today)));
        let items = items.enumerate().map_while(|(n, item)| {
            stopped |= n % 65_536 == 0 && !go_on();
            (!stopped).then_some(item)
        });
        let run = Run::write(&dir, (first, upto), most, items, sync)?;
        if stopped {
            fs::remove_file(run.name.path(&dir)).map_err(io("remove", &dir))?;
            return Ok(None);
        }
        let mut runs = kept.to_vec();
        if !run.is_empty() {
            runs.push(Arc::new(run));
        }
        Ok(Some(RunSet { upto, runs }))
    }

    /// Index of the oldest run that is merged with `new` identities.
    fn first_to_merge(&self, new: u64, today: u16) -> usize {
        let mut from = self.runs.len();
        let mut size = new;
        while from > 0 && new > 0 && (from >= MOST_RUNS || self.runs[from - 1].len() < 2 * size) {
            from -= 1;
            size += self.runs[from].len();
        }
        let half_forgotten = |r: &Arc<Run>| r.forgotten(today) * 2 > r.len();
        self.runs[..from].iter().position(half_forgotten).unwrap_or(from)
    }
}

/// Makes a folder whose entry survives a power loss.
fn create_durably(dir: &Path, sync: bool) -> Result<(), LogError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(io("create", dir))?;
    match dir.parent() {
        Some(parent) if sync => fs::File::open(parent).and_then(|d| d.sync_all()).map_err(io("sync", parent)),
        _ => Ok(()),
    }
}

/// Removes every file of the folder but these: what merges left behind.
pub fn clean(dir: &Path, keep: &[RunName]) -> Result<(), LogError> {
    let dir = runs_dir(dir);
    if !dir.exists() {
        return Ok(());
    }
    let keep: Vec<PathBuf> = keep.iter().map(|n| n.path(&dir)).collect();
    for entry in fs::read_dir(&dir).map_err(io("list", &dir))? {
        let path = entry.map_err(io("list", &dir))?.path();
        let ours = path.extension().is_some_and(|e| e == "run" || e == "unfinished");
        if ours && !keep.contains(&path) {
            fs::remove_file(&path).map_err(io("remove", &path))?;
        }
    }
    Ok(())
}

/// Merges ascending sources, oldest first; of equal ids the newest source's holds.
struct Merge<'a> {
    sources: Vec<Box<dyn Iterator<Item = Result<Item, LogError>> + 'a>>,
    heads: Vec<Option<Item>>,
    failed: bool,
}

impl<'a> Merge<'a> {
    fn new(mut sources: Vec<Box<dyn Iterator<Item = Result<Item, LogError>> + 'a>>) -> Result<Merge<'a>, LogError> {
        let heads = sources.iter_mut().map(|s| s.next().transpose()).collect::<Result<_, _>>()?;
        Ok(Merge { sources, heads, failed: false })
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Item, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let id = self.heads.iter().flatten().map(|h| h.0).min()?;
        let mut newest = None;
        for (source, head) in self.sources.iter_mut().zip(&mut self.heads) {
            if head.is_some_and(|h| h.0 == id) {
                newest = *head;
                match source.next().transpose() {
                    Ok(next) => *head = next,
                    Err(e) => {
                        self.failed = true;
                        return Some(Err(e));
                    }
                }
            }
        }
        newest.map(Ok)
    }
}
