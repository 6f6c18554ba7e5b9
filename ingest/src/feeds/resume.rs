//! Where to go on with a live feed after a restart: a small file, replaced atomically.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A place in a live feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    /// A token: `since_token` (Contest API 2022-07 and later).
    Token(String),
    /// An event's id: `since_id` (the older API).
    EventId(String),
}

impl Cursor {
    /// The query parameter and its value.
    pub fn query(&self) -> (&'static str, &str) {
        match self {
            Cursor::Token(t) => ("since_token", t),
            Cursor::EventId(id) => ("since_id", id),
        }
    }
}

const FORMAT: u32 = 1;

/// What is kept: the last place whose records the server has, and the importer's memory at that place.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    format: u32,
    /// Which feed, for people.
    pub feed: String,
    /// What it is imported into.
    pub scope: String,
    /// The place.
    pub cursor: Cursor,
    /// The importer's memory.
    pub memory: Box<RawValue>,
}

impl Saved {
    /// What to keep. `memory` is JSON.
    pub fn new(feed: &str, scope: &str, cursor: Cursor, memory: String) -> Result<Saved, ResumeError> {
        let memory = RawValue::from_string(memory).map_err(|e| ResumeError::Memory(e.to_string()))?;
        Ok(Saved { format: FORMAT, feed: feed.into(), scope: scope.into(), cursor, memory })
    }
}

/// Why the place could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The disk says no.
    #[error("cannot {doing} {path}: {error}; the feed's place is kept there: give a folder that can be written")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Written by something newer.
    #[error(
        "{path} has format {format}; this program knows {FORMAT}: use the newer program, or delete the file to begin again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Not what was written.
    #[error("{path} is damaged ({problem}); delete it to begin again from the start of the feed")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The importer's memory is not JSON.
    #[error("the importer's memory is not JSON: {0}")]
    Memory(String),
}

/// The file for one feed into one event of one server.
#[derive(Clone, Debug)]
pub struct ResumeFile {
    path: PathBuf,
}

impl ResumeFile {
    /// In `dir`; the name is a hash of feed, scope and server, so that one feed may go to several places.
    pub fn new(dir: &Path, feed: &str, scope: &str, server: &str) -> ResumeFile {
        let hash = gravity_events::record::stable_hash128(&[feed.as_bytes(), scope.as_bytes(), server.as_bytes()]);
        ResumeFile { path: dir.join(format!("{hash:032x}.json")) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was kept; `None` when nothing was.
    pub fn load(&self) -> Result<Option<Saved>, ResumeError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io("read", error)),
        };
        let damaged = |e: serde_json::Error| ResumeError::Damaged { path: self.path.clone(), problem: e.to_string() };
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_str(&text).map_err(damaged)?;
        if head.format > FORMAT {
            return Err(ResumeError::Newer { path: self.path.clone(), format: head.format });
        }
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// Keeps it: durable on return, and never half written.
    pub fn save(&self, saved: &Saved) -> Result<(), ResumeError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir).map_err(|e| self.io("create the folder of", e))?;
        let new = self.path.with_extension("json.new");
        let text = serde_json::to_vec(saved).map_err(|e| ResumeError::Memory(e.to_string()))?;
        let write = || -> std::io::Result<()> {
            let mut file = fs::File::create(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(|e| self.io("write", e))
    }

    fn io(&self, doing: &'static str, error: std::io::Error) -> ResumeError {
        ResumeError::Io { doing, path: self.path.clone(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_replaced_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        let file = ResumeFile::new(&deep, "http://x/event-feed", "t/e", "http://s/");
        assert!(file.load().unwrap().is_none());
        for n in 0..3 {
            let cursor = Cursor::Token(format!("t{n}"));
            file.save(&Saved::new("http://x/event-feed", "t/e", cursor.clone(), format!("{{\"n\":{n}}}")).unwrap())
                .unwrap();
            let saved = file.load().unwrap().unwrap();
            assert_eq!((saved.cursor, saved.memory.get()), (cursor, format!("{{\"n\":{n}}}").as_str()));
        }
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1, "no temporary file stays");
        assert_ne!(file.path(), ResumeFile::new(&deep, "http://x/event-feed", "t/f", "http://s/").path());
        fs::write(file.path(), "{\"format\":1,").unwrap();
        assert!(matches!(file.load(), Err(ResumeError::Damaged { .. })));
        fs::write(file.path(), "{\"format\":2}").unwrap();
        assert!(matches!(file.load(), Err(ResumeError::Newer { format: 2, .. })));
        assert!(Saved::new("f", "s", Cursor::EventId("1".into()), "{".into()).is_err());
    }
}
