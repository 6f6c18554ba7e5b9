//! The clock of epochs: the only clock that anything computed may see (invariant 4).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MAX_LEAP_MS: i64 = 60_000;
const CALM: Duration = Duration::from_secs(600);

/// Gives `now_ms`: the wall clock, never going back; when it leaves the monotonic clock by more than a minute, the
/// monotonic one is followed (and [`Clock::in_doubt`] says so) until both have agreed again for ten minutes.
pub struct Clock {
    wall: WallClock,
    last_ms: i64,
    started: Duration,
    started_ms: i64,
    in_doubt_since: Option<Duration>,
    agreed_since: Option<Duration>,
}

/// Milliseconds since 1970 by the machine's wall clock.
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// What tells the time: the machine, or a test.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl WallClock {
    /// Milliseconds since 1970 are what `now_ms` says.
    pub fn new(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> WallClock {
        WallClock(Arc::new(now_ms))
    }
}

impl Default for WallClock {
    fn default() -> WallClock {
        WallClock::new(wall_ms)
    }
}

impl std::fmt::Debug for WallClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WallClock({})", (self.0)())
    }
}

/// The monotonic clock. It goes on while the machine sleeps: a laptop that was closed has no leaping clock.
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

impl Clock {
    /// Starts at the last epoch's clock (0 for none).
    pub fn new(last_ms: i64, wall: WallClock) -> Clock {
        let started_ms = (wall.0)();
        Clock { wall, last_ms, started: since_boot(), started_ms, in_doubt_since: None, agreed_since: None }
    }

    /// The clock of the next epoch.
    pub fn now_ms(&mut self) -> i64 {
        self.advance((self.wall.0)(), since_boot())
    }

    /// True while the wall clock is not believed: nothing is expired or sealed then.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt_since.is_some()
    }

    fn advance(&mut self, wall_ms: i64, at: Duration) -> i64 {
        let monotonic_ms =
            self.started_ms + i64::try_from(at.saturating_sub(self.started).as_millis()).unwrap_or(i64::MAX);
        let agrees = (wall_ms - monotonic_ms).abs() <= MAX_LEAP_MS;
        match (agrees, self.in_doubt_since) {
            (false, None) => {
                self.in_doubt_since = Some(at);
                self.agreed_since = None;
                tracing::error!(
                    wall_ms,
                    monotonic_ms,
                    "the wall clock leapt; following the monotonic clock, nothing expires until both agree for ten minutes"
                );
            }
            (false, Some(_)) => self.agreed_since = None,
            (true, Some(_)) => {
                let since = *self.agreed_since.get_or_insert(at);
                if at.saturating_sub(since) >= CALM {
                    self.in_doubt_since = None;
                    tracing::info!("the wall clock is believed again");
                }
            }
            (true, None) => {}
        }
        let now = if self.in_doubt() { monotonic_ms } else { wall_ms };
        self.last_ms = self.last_ms.max(now);
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back_and_distrusts_leaps() {
        let mut c = Clock::new(0, WallClock::default());
        let t0 = c.started;
        let w0 = c.started_ms;
        let after = |s: u64| t0 + Duration::from_secs(s);
        assert_eq!(c.advance(w0 + 1_000, after(1)), w0 + 1_000);
        assert_eq!(c.advance(w0 + 500, after(2)), w0 + 1_000, "small steps back are held");
        assert_eq!(c.advance(w0 + 3_600_000, after(3)), w0 + 3_000, "a leap of an hour is not followed");
        assert!(c.in_doubt());
        assert_eq!(c.advance(w0 + 4_000, after(4)), w0 + 4_000);
        assert!(c.in_doubt(), "agreeing once is not enough");
        c.advance(w0 + 605_000, after(605));
        assert!(!c.in_doubt());
        assert_eq!(Clock::new(i64::MAX, WallClock::default()).now_ms(), i64::MAX, "never before the last epoch");
    }
}
