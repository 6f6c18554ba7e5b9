//! Where the lines of a feed come from: a file, standard input, or a live Contest API.

mod error;
mod lines;
mod live;

use std::fmt;
use std::path::PathBuf;

pub use error::SourceError;
pub(crate) use lines::MAX_LINE_BYTES;
pub use live::LiveOptions;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::Cursor;
use crate::client::without_credentials;

/// A feed.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A recording.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// The event feed of a live Contest API; may hold user and password.
    Live(Url),
    /// Lines that were made of a recording in another form.
    Lines {
        /// Where they come from, for people.
        name: String,
        /// The lines.
        lines: Vec<String>,
    },
}

impl Source {
    /// Reads an argument: `-`, an `http(s)` address of a contest or of its event feed, or else a file's name.
    pub fn parse(text: &str) -> Result<Source, SourceError> {
        if text == "-" {
            return Ok(Source::Stdin);
        }
        if !(text.starts_with("http://") || text.starts_with("https://")) {
            return Ok(Source::File(PathBuf::from(text)));
        }
        // The address may hold a password: it is not shown, whatever is wrong with it.
        let mut url = Url::parse(text).map_err(|e| SourceError::BadUrl { problem: e.to_string() })?;
        let path = url.path().trim_end_matches('/').to_string();
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            [.., "event-feed"] => url.set_path(&path),
            [.., "contests", id] if !id.is_empty() => url.set_path(&format!("{path}/event-feed")),
            _ => {
                let problem = format!("its path is `{path}`");
                return Err(SourceError::BadUrl { problem });
            }
        }
        url.set_fragment(None);
        Ok(Source::Live(url))
    }

    /// Whether it may go on for as long as the contest does.
    pub fn is_live(&self) -> bool {
        matches!(self, Source::Live(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Stdin => f.write_str("standard input"),
            Source::Live(url) => write!(f, "{}", without_credentials(url)),
            Source::Lines { name, .. } => f.write_str(name),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// What a reader hands on.
#[derive(Debug)]
pub(crate) enum Item {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line that was not kept, with its length.
    TooLong(u64),
    /// A live feed is about to connect. Sent after all lines before, so that the answer covers them.
    Connecting(oneshot::Sender<Option<Cursor>>),
    /// Nothing more can be read.
    Failed(SourceError),
}

/// Lines, read ahead by a task of their own.
pub(crate) struct Reader {
    items: mpsc::Receiver<Item>,
    task: Option<tokio::task::JoinHandle<()>>,
}

/// Lines read ahead, at most.
const AHEAD: usize = 1024;

impl Reader {
    pub fn open(source: &Source, live: &LiveOptions) -> Result<Reader, SourceError> {
        let (send, items) = mpsc::channel(AHEAD);
        let task = match source {
            Source::File(path) => {
                let unreadable = |error| SourceError::Unreadable { what: source.to_string(), error };
                let file = std::fs::File::open(path).map_err(unreadable)?;
                if file.metadata().is_ok_and(|m| m.is_dir()) {
                    return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
                }
                lines::spawn(source.to_string(), file, send)?;
                None
            }
            Source::Stdin => {
                lines::spawn(source.to_string(), std::io::stdin(), send)?;
                None
            }
            Source::Lines { lines, .. } => {
                let lines = lines.clone();
                Some(tokio::spawn(async move {
                    for line in lines {
                        if send.send(Item::Line(line.into_bytes())).await.is_err() {
                            return;
                        }
                    }
                }))
            }
            Source::Live(url) => Some(tokio::spawn(live::follow(url.clone(), *live, send)?)),
        };
        Ok(Reader { items, task })
    }

    /// The next item; `None` at the end. May be dropped while waiting: nothing is lost.
    pub async fn next(&mut self) -> Option<Item> {
        self.items.recv().await
    }

    /// The next item if there is one already.
    pub fn ready(&mut self) -> Option<Item> {
        self.items.try_recv().ok()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        assert_eq!(Source::parse("-").unwrap(), Source::Stdin);
        assert_eq!(Source::parse("a/event-feed.ndjson").unwrap(), Source::File("a/event-feed.ndjson".into()));
        for text in [
            "https://h/api/contests/c1",
            "https://h/api/contests/c1/",
            "https://h/api/contests/c1/event-feed",
            "https://h/api/contests/c1/event-feed#x",
        ] {
            let Source::Live(url) = Source::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(url.as_str(), "https://h/api/contests/c1/event-feed");
        }
        let with = Source::parse("https://u:secret@h:8443/contests/c1/event-feed?types=teams").unwrap();
        assert_eq!(with.to_string(), "https://h:8443/contests/c1/event-feed?types=teams");
        assert!(!format!("{with:?}").contains("secret"));
        for bad in ["https://u:secret@h/", "http://", "https://h/api/contests", "https://h/api/contests/c1/teams"] {
            let e = Source::parse(bad).unwrap_err().to_string();
            assert!(!e.contains("secret") && e.contains("contests/"), "{e}");
        }
    }
}
