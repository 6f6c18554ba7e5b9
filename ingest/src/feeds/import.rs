//! Carries a feed to a server: in order, in batches, counting what became of each record.

mod lanes;
mod pace;
mod report;

use std::path::PathBuf;
use std::time::Duration;

pub use lanes::{BatchOptions, Lanes};
use pace::Pace;
pub use report::{Cases, Report};
use tokio::time::{Instant, sleep_until, timeout};

use super::resume::{ResumeError, ResumeFile, Saved};
use super::source::{Item, LiveOptions, Reader, Source, SourceError};
use super::{FeedError, Importer, Outgoing};
use crate::client::{Client, ClientError};

/// How to import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Sizes of batches.
    pub batch: BatchOptions,
    /// Play a recording at this multiple of its own pace; `None`: as fast as it goes. Must be above zero.
    pub speed: Option<f64>,
    /// A source that says nothing for this long has its records sent, however few.
    pub pause: Duration,
    /// Folder where the place in a live feed is kept. `None`: a live feed is read from its start every time.
    pub state_dir: Option<PathBuf>,
    /// False: begin a live feed at its start even if a place was kept (the server has lost the event, say).
    pub resume: bool,
    /// Keep the place at least this often while a live feed tells without a pause.
    pub save_every: Duration,
    /// Patience with a live feed.
    pub live: LiveOptions,
}

impl Default for ImportOptions {
    fn default() -> ImportOptions {
        ImportOptions {
            batch: BatchOptions::default(),
            speed: None,
            pause: Duration::from_millis(100),
            state_dir: None,
            resume: true,
            save_every: Duration::from_secs(2),
            live: LiveOptions::default(),
        }
    }
}

/// Why an import stopped early. What was sent before counts.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ImportError {
    /// What happened.
    #[source]
    pub cause: ImportFailure,
    /// What was done until then.
    pub report: Box<Report>,
}

/// What stops an import.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailure {
    /// The server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The place in a live feed.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The options.
    #[error("a speed of {0} cannot be played; expected a number above zero, such as 60 for a minute per second")]
    Speed(f64),
}

/// Reads `source` to its end (a live feed: until it says that nothing more will come) and returns when all its records are
/// visible. `progress` is called whenever the server has answered.
pub async fn import(
    client: &Client,
    source: &Source,
    importer: &mut dyn Importer,
    options: &ImportOptions,
    progress: &mut (dyn FnMut(&Report) + Send),
) -> Result<Report, ImportError> {
    let mut import = Import {
        lanes: Lanes::new(client.clone(), options.batch),
        importer,
        options,
        pace: options.speed.map(Pace::new),
        began: Instant::now(),
        place: None,
        saved_at: Instant::now(),
        live: source.is_live(),
        out: Vec::new(),
        told: 0,
    };
    let result = import.run(client, source, progress).await;
    let mut report = std::mem::take(&mut import.lanes.report);
    report.skipped.clone_from(import.importer.skipped());
    match result {
        Ok(()) => Ok(report),
        Err(cause) => Err(ImportError { cause, report: Box::new(report) }),
    }
}

struct Import<'a> {
    lanes: Lanes,
    importer: &'a mut dyn Importer,
    options: &'a ImportOptions,
    pace: Option<Pace>,
    began: Instant,
    place: Option<(ResumeFile, String)>,
    saved_at: Instant,
    live: bool,
    out: Vec<Outgoing>,
    /// Records answered when progress was last told.
    told: u64,
}

type Progress<'p> = &'p mut (dyn FnMut(&Report) + Send);

impl Import<'_> {
    async fn run(&mut self, client: &Client, source: &Source, progress: Progress<'_>) -> Result<(), ImportFailure> {
        if let Some(speed) = self.options.speed
            && !(speed.is_finite() && speed > 0.0)
        {
            return Err(ImportFailure::Speed(speed));
        }
        if let (Source::Live(_), Some(dir)) = (source, &self.options.state_dir) {
            let file = ResumeFile::new(dir, &source.to_string(), &self.importer.scope(), &client.server());
            if self.options.resume {
                self.take_up(&file)?;
                if self.importer.ended() {
                    return Ok(());
                }
            }
            self.place = Some((file, source.to_string()));
        }
        let mut reader = Reader::open(source, &self.options.live)?;
        loop {
            let item = match reader.ready() {
                Some(item) => Some(item),
                None => match timeout(self.options.pause, reader.next()).await {
                    Ok(item) => item,
                    Err(_) => {
                        self.flush(progress).await?;
                        reader.next().await
                    }
                },
            };
            match item {
                None => break,
                Some(Item::Failed(error)) => {
                    self.flush(progress).await?;
                    return Err(error.into());
                }
                Some(Item::Connecting(answer)) => drop(answer.send(self.importer.cursor())),
                Some(Item::TooLong(bytes)) => {
                    self.lanes.report.lines += 1;
                    let limit = super::source::MAX_LINE_BYTES as u64;
                    self.lanes.report.add_bad(&FeedError::TooLong { line: self.lanes.report.lines, bytes, limit });
                    // Counted as a line by the importer, too.
                    self.take("", progress).await?;
                }
                Some(Item::Line(line)) => {
                    self.lanes.report.lines += 1;
                    let text = std::str::from_utf8(&line).unwrap_or_else(|_| {
                        self.lanes.report.add_bad(&FeedError::NotText { line: self.lanes.report.lines });
                        ""
                    });
                    self.take(text, progress).await?;
                    if self.live && self.importer.ended() {
                        break;
                    }
                }
            }
            if self.place.is_some() && self.saved_at.elapsed() >= self.options.save_every {
                self.flush(progress).await?;
            }
        }
        self.flush(progress).await
    }

    async fn take(&mut self, line: &str, progress: Progress<'_>) -> Result<(), ImportFailure> {
        if let Err(error) = self.importer.push_line(line, &mut self.out) {
            self.lanes.report.add_bad(&error);
        }
        for error in self.importer.take_problems() {
            self.lanes.report.add_bad(&error);
        }
        for record in std::mem::take(&mut self.out) {
            if let (Some(pace), Some(time_ms)) = (&mut self.pace, record.time_ms) {
                let due = self.began.checked_add(pace.due(time_ms));
                if let Some(due) = due.filter(|due| *due > Instant::now()) {
                    self.flush(progress).await?;
                    sleep_until(due).await;
                }
            }
            self.lanes.push(record).await?;
        }
        self.tell(progress);
        Ok(())
    }

    /// Sends all, waits until it is visible, and keeps the place: nothing that was read is still on its way then.
    async fn flush(&mut self, progress: Progress<'_>) -> Result<(), ImportFailure> {
        self.lanes.flush().await?;
        self.tell(progress);
        let Some((file, feed)) = &self.place else { return Ok(()) };
        if let (Some(cursor), Some(memory)) = (self.importer.cursor(), self.importer.snapshot()) {
            let began = Instant::now();
            file.save(&Saved::new(feed, &self.importer.scope(), cursor, memory)?)?;
            // The memory of a huge contest must not be written all the time.
            self.saved_at = Instant::now() + began.elapsed() * 10;
        }
        Ok(())
    }

    fn tell(&mut self, progress: Progress<'_>) {
        if self.told != self.lanes.report.sent {
            self.told = self.lanes.report.sent;
            progress(&self.lanes.report);
        }
    }

    fn take_up(&mut self, file: &ResumeFile) -> Result<(), ImportFailure> {
        let saved = match file.load() {
            Ok(Some(saved)) => saved,
            Ok(None) => return Ok(()),
            Err(e @ ResumeError::Damaged { .. }) => {
                // The start of the feed is always a right place: what is known already counts once.
                tracing::warn!("{e}; beginning again");
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        };
        if let Err(problem) = self.importer.restore(saved.memory.get()) {
            tracing::warn!(problem, file = %file.path().display(), "the kept place cannot be used; beginning again");
        }
        Ok(())
    }
}
