//! Boards that are not kept but computed when asked for: of a past instant, or under a supposition.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant as Moment};

use gravity_events::Id;
use gravity_events::board::{OVERALL, View};
use gravity_events::query::{BoardQueries, Instant, QueryError, Supposition};
use gravity_events::time::parse_rfc3339_ms;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::error::ServeError;
use super::{Boards, BoardsOptions};

/// Computed boards of instants that are kept: for those who ask for the same while nothing moves, and for the next page.
const KEPT: usize = 16;
/// How long they are kept.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Computations at a time: they share the machine with the pipelines.
const AT_ONCE: usize = 1;
/// Callers that wait for one; more are told to come back.
const WAITING_MAX: usize = 64;

/// Who computes, and what was computed lately.
pub(super) struct Computed {
    queries: OnceLock<Arc<dyn BoardQueries>>,
    slots: Semaphore,
    waiting: Semaphore,
    recent: Mutex<VecDeque<Recent>>,
}

struct Recent {
    event: Id,
    instant: Instant,
    computed_at: Moment,
    /// Versions of the boards of today when it was computed.
    versions: Versions,
    boards: Arc<Boards>,
}

/// Of the overall boards, public and jury; none where there is no such board.
type Versions = [Option<u64>; 2];

impl Default for Computed {
    fn default() -> Self {
        Computed {
            queries: OnceLock::new(),
            slots: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING_MAX),
            recent: Mutex::default(),
        }
    }
}

impl Boards {
    /// Says who answers questions that need computing. Only the first one counts.
    pub fn answer_with(&self, queries: Arc<dyn BoardQueries>) {
        let _ = self.computed.queries.set(queries);
    }

    /// Asks something that needs computing, on a thread where that holds up nobody. Only so many at a time.
    pub async fn ask<T, F>(&self, question: F) -> Result<T, ServeError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn BoardQueries) -> Result<T, QueryError> + Send + 'static,
    {
        let Some(queries) = self.computed.queries.get().cloned() else {
            return Err(QueryError::Unavailable("this process has no boards pipeline".into()).into());
        };
        Ok(self.compute(move || question(&*queries)).await??)
    }

    /// Does what takes long on a thread where that holds up nobody. Only so many at a time.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServeError> {
        let _place = self.computed.waiting.try_acquire().map_err(|_| ServeError::Busy)?;
        let _slot = self.computed.slots.acquire().await.map_err(|_| ServeError::Busy)?;
        let gone = |_| QueryError::Unavailable("the computation ended early".into());
        Ok(tokio::task::spawn_blocking(work).await.map_err(gone)?)
    }

    /// The boards of an event under a supposition.
    pub async fn supposed(&self, event: &Id, suppose: Supposition) -> Result<Arc<Boards>, ServeError> {
        let (event, options) = (event.clone(), BoardsOptions { kept_versions: 1, ..self.options.clone() });
        self.ask(move |queries| {
            let boards = Boards::new(options);
            boards.apply(&queries.boards(&event, &suppose)?);
            Ok(boards)
        })
        .await
    }

    /// The boards of an event as they were at an instant, recomputed from today's facts.
    pub async fn at_instant(&self, event: &Id, instant: Instant) -> Result<Arc<Boards>, ServeError> {
        let versions = self.versions_of(event);
        let same = |r: &&Recent| (&r.event, r.instant, r.versions) == (event, instant, versions);
        if let Some(recent) = self.computed.recent.lock().iter().find(same) {
            return Ok(recent.boards.clone());
        }
        let suppose = Supposition { until: Some(instant), ..Supposition::default() };
        let boards = self.supposed(event, suppose).await?;
        let mut recent = self.computed.recent.lock();
        recent.retain(|r| r.computed_at.elapsed() < KEPT_FOR);
        recent.push_front(Recent {
            event: event.clone(),
            instant,
            computed_at: Moment::now(),
            versions,
            boards: boards.clone(),
        });
        recent.truncate(KEPT);
        Ok(boards)
    }

    /// Boards of an instant that were computed lately, the newest first: one of them has the version that a cursor names.
    pub(super) fn lately_at(&self, event: &Id, instant: Instant) -> Vec<Arc<Boards>> {
        let recent = self.computed.recent.lock();
        let of_instant = |r: &&Recent| (&r.event, r.instant) == (event, instant);
        recent.iter().filter(of_instant).map(|r| r.boards.clone()).collect()
    }

    fn versions_of(&self, event: &Id) -> Versions {
        [View::Public, View::Jury].map(|view| Some(self.shown(event, view, OVERALL).ok()?.newest().version))
    }
}

/// What `at` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// As it was shown at this version.
    Version(u64),
    /// As it was at this instant.
    Instant(Instant),
}

impl At {
    /// Reads a version, an RFC 3339 time, or `H:MM:SS[.mmm]` of the event's own time.
    pub fn parse(text: &str) -> Result<At, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(At::Version).map_err(|_| "is too large for a version".into());
        }
        if text.contains(['T', 't']) {
            let clock = parse_rfc3339_ms(text).map(|ms| At::Instant(Instant::Clock(ms)));
            return clock.map_err(|problem| format!("is no RFC 3339 time: it {problem}"));
        }
        contest_ms(text).map(|ms| At::Instant(Instant::Contest(ms))).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            format!("is `{shown}`; a version, an RFC 3339 time or H:MM:SS[.mmm] of the event's time was expected")
        })
    }
}

fn contest_ms(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let fine = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fine.then(|| text.parse::<i64>().ok()).flatten()
    };
    let (minutes, seconds) = (number(minutes, 2..=2)?, number(seconds, 2..=2)?);
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    let millis = if text.contains('.') { number(fraction, 1..=3)? * [100, 10, 1][fraction.len() - 1] } else { 0 };
    Some(sign * (((number(hours, 1..=6)? * 60 + minutes) * 60 + seconds) * 1_000 + millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_times_and_contest_times() {
        let contest = |ms| Ok(At::Instant(Instant::Contest(ms)));
        assert_eq!(At::parse("17"), Ok(At::Version(17)));
        assert_eq!(At::parse("0:00:00"), contest(0));
        assert_eq!(At::parse("4:59:59.5"), contest(17_999_500));
        assert_eq!(At::parse("-0:10:00.25"), contest(-600_250));
        assert_eq!(At::parse("100:00:01.001"), contest(360_001_001));
        assert_eq!(At::parse("1970-01-01T00:00:01Z"), Ok(At::Instant(Instant::Clock(1_000))));
        for bad in ["", "x", "1:2:3", "1:00", "1:00:60", "1:60:00", "1:00:00.", "1:00:00.1234", "1:00:00:00", "-5", "T"]
        {
            assert!(At::parse(bad).is_err(), "{bad}");
        }
        assert!(At::parse("99999999999999999999").is_err());
    }
}
