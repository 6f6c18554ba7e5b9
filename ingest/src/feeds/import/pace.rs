//! When a recorded moment is due in a playback.

use std::time::Duration;

/// Plays a recording at a multiple of its own pace. The first time in it is due at once; going back in time waits for
/// nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    speed: f64,
    first_ms: Option<i64>,
}

impl Pace {
    pub fn new(speed: f64) -> Pace {
        Pace { speed, first_ms: None }
    }

    /// How long after the playback began what happened at `time_ms` is due.
    pub fn due(&mut self, time_ms: i64) -> Duration {
        let first = *self.first_ms.get_or_insert(time_ms);
        let seconds = time_ms.saturating_sub(first) as f64 / 1_000.0 / self.speed;
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times() {
        let mut pace = Pace::new(10.0);
        let due: Vec<u128> = [5_000, 6_000, 4_000, 25_000].map(|t| pace.due(t).as_millis()).into();
        assert_eq!(due, [0, 100, 0, 2_000]);
        assert_eq!(Pace::new(0.5).due(i64::MAX), Duration::ZERO);
    }
}
