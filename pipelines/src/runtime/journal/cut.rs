//! Writing the frames of a journal anew: without its end, where another process has bound epochs otherwise meanwhile, or
//! without a person.
//!
//! The frames that stay are copied into a folder beside, which then takes the place of the old one. Between the two
//! renames of that there is no folder of frames; [`finish`] goes on from there after a crash.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gravity_ingest::log::LogError;
use gravity_ingest::segment::{SegmentOptions, Segments, SyncMode};

use super::super::PipelineError;
use super::{Frame, Journal, SEGMENT_BYTES, frames_dir};

fn beside(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PipelineError {
    let path = path.to_owned();
    move |source| LogError::Io { doing, path, source }.into()
}

fn remove(path: &Path) -> Result<(), PipelineError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(io("remove", path)(e)),
        _ => Ok(()),
    }
}

fn sync_folder(dir: &Path, sync: SyncMode) -> Result<(), PipelineError> {
    if sync == SyncMode::Fsync {
        fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io("sync", dir))?;
    }
    Ok(())
}

/// Drops the frames after `epoch` from the journal in the pipeline's folder `dir`.
pub fn cut_after(journal: Journal, dir: &Path, epoch: u64, sync: SyncMode) -> Result<(), PipelineError> {
    replace(journal, dir, sync, |frame| (frame.epoch <= epoch).then_some(frame))
}

/// Puts what `keep` makes of the frames into their place, up to the first that it makes nothing of.
pub fn replace(
    journal: Journal,
    dir: &Path,
    sync: SyncMode,
    mut keep: impl FnMut(Frame) -> Option<Frame>,
) -> Result<(), PipelineError> {
    let (kept, cut) = (beside(dir, "frames.kept"), beside(dir, "frames.cut"));
    remove(&kept)?;
    remove(&cut)?;
    let first = journal.first_epoch();
    let segments = Segments::create_at(&kept, first, SegmentOptions { segment_bytes: SEGMENT_BYTES, sync })?;
    let mut copy = Journal { segments, pipeline: journal.pipeline };
    for frame in journal.reader().after(first.saturating_sub(1)) {
        let Some(frame) = keep(frame?) else { break };
        copy.append(&frame)?;
    }
    copy.sync()?;
    drop((copy, journal));
    let frames = frames_dir(dir);
    fs::rename(&frames, &cut).map_err(io("rename", &frames))?;
    sync_folder(dir, sync)?;
    finish(dir, sync)
}

/// Finishes what a crash has interrupted.
pub fn finish(dir: &Path, sync: SyncMode) -> Result<(), PipelineError> {
    let (frames, kept, cut) = (frames_dir(dir), beside(dir, "frames.kept"), beside(dir, "frames.cut"));
    if cut.exists() && !frames.exists() {
        // The copy was whole before the old folder was moved.
        fs::rename(&kept, &frames).map_err(io("rename", &kept))?;
        sync_folder(dir, sync)?;
    }
    remove(&kept)?;
    remove(&cut)
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Reason};
    use super::*;

    fn frame(epoch: u64) -> Frame {
        Frame {
            epoch,
            now_ms: epoch as i64,
            trusted_ms: 0,
            genesis: 0,
            reason: Reason::Records,
            bound: vec![(0, 0, epoch)],
            claims: Vec::new(),
            blocks: Vec::new(),
            identities: Vec::new(),
            refused: Vec::new(),
            outputs: Vec::new(),
            versions: Vec::new(),
            gates: Default::default(),
        }
    }

    fn journal(dir: &Path, epochs: std::ops::RangeInclusive<u64>) -> Journal {
        let mut journal = Journal::open(dir, "p", *epochs.start(), SyncMode::Fsync).unwrap();
        for epoch in epochs {
            journal.append(&frame(epoch)).unwrap();
        }
        journal.sync().unwrap();
        journal
    }

    fn epochs(dir: &Path) -> (Vec<u64>, u64) {
        let journal = Journal::open(dir, "p", 1, SyncMode::Fsync).unwrap();
        let first = journal.first_epoch();
        (journal.reader().after(first - 1).map(|f| f.unwrap().epoch).collect(), journal.next_epoch())
    }

    #[test]
    fn frames_after_an_epoch_go_and_the_next_one_follows_it() {
        for (upto, left) in [(7, vec![5, 6, 7]), (4, vec![]), (9, vec![5, 6, 7, 8, 9])] {
            let dir = tempfile::tempdir().unwrap();
            cut_after(journal(dir.path(), 5..=9), dir.path(), upto, SyncMode::Fsync).unwrap();
            assert_eq!(epochs(dir.path()), (left, upto + 1));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside");
        }
    }

    #[test]
    fn a_crash_in_between_is_gone_on_from() {
        let dir = tempfile::tempdir().unwrap();
        drop(journal(dir.path(), 1..=3));
        // Before the first rename: the old folder stands.
        fs::create_dir(dir.path().join("frames.kept")).unwrap();
        finish(dir.path(), SyncMode::Fsync).unwrap();
        assert_eq!(epochs(dir.path()), (vec![1, 2, 3], 4));
        // Between the renames: the copy takes its place.
        fs::rename(dir.path().join("frames"), dir.path().join("frames.kept")).unwrap();
        fs::create_dir(dir.path().join("frames.cut")).unwrap();
        finish(dir.path(), SyncMode::Fsync).unwrap();
        assert_eq!(epochs(dir.path()), (vec![1, 2, 3], 4));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside");
        finish(dir.path(), SyncMode::Fsync).unwrap();
    }
}
