//! How fast a pipeline takes records in, from which the time to drain what it lacks follows.

use std::time::{Duration, Instant};

/// Smoothed over so many seconds.
const WINDOW_S: f64 = 10.0;

/// Records per second while there was something to do. Time in which nothing came says nothing of how fast it is; time in
/// which an epoch does not come back says that it is slower than it was.
#[derive(Debug)]
pub struct Speed {
    records_per_s: f64,
    /// The last epoch that was cut.
    cut: u64,
    /// When the last epoch was committed.
    committed_at: Instant,
    /// Since when an epoch is under way without any being committed.
    waits_since: Option<Instant>,
}

impl Speed {
    /// Of a pipeline that did nothing yet.
    pub fn new(now: Instant) -> Speed {
        Speed { records_per_s: 0.0, cut: 0, committed_at: now, waits_since: None }
    }

    /// Whatever was under way is not any more.
    pub fn begin_again(&mut self) {
        (self.cut, self.waits_since) = (0, None);
    }

    /// An epoch is under way.
    pub fn cut(&mut self, epoch: u64, now: Instant) {
        self.cut = epoch;
        self.waits_since.get_or_insert(now);
    }

    /// An epoch is durable, so long after it was cut.
    pub fn committed(&mut self, epoch: u64, records: u64, took: Duration, now: Instant) {
        // Several may be under way at once.
        let busy_s = now.duration_since(self.committed_at).min(took).as_secs_f64().max(1e-3);
        let weight = (busy_s / WINDOW_S).min(1.0);
        self.records_per_s += weight * (records as f64 / busy_s - self.records_per_s);
        self.committed_at = now;
        self.waits_since = (epoch < self.cut).then_some(now);
    }

    /// Records per second.
    pub fn at(&self, now: Instant) -> f64 {
        let waits_s = self.waits_since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        self.records_per_s * (-waits_s / WINDOW_S).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// 1,000 records every 10 ms, for ten seconds.
    fn busy() -> (Speed, Instant) {
        let begin = Instant::now();
        let mut speed = Speed::new(begin);
        for n in 1..=1_000 {
            let now = begin + 10 * n * MS;
            speed.cut(n.into(), now - 10 * MS);
            speed.committed(n.into(), 1_000, 10 * MS, now);
        }
        (speed, begin + 10_000 * MS)
    }

    #[test]
    fn idling_is_not_slowness() {
        let (speed, now) = busy();
        let before = speed.at(now);
        assert!((60_000.0..=100_000.0).contains(&before), "{before}");
        let mut speed = speed;
        let later = now + 3_600_000 * MS;
        assert_eq!(speed.at(later), before);
        speed.cut(1_001, later);
        speed.committed(1_001, 1, 10 * MS, later + 10 * MS);
        assert!(speed.at(later + 10 * MS) > 0.99 * before);
    }

    #[test]
    fn an_epoch_that_does_not_come_back_is() {
        let (mut speed, now) = busy();
        let before = speed.at(now);
        speed.cut(1_001, now);
        speed.cut(1_002, now);
        assert!(speed.at(now + 60_000 * MS) < before / 400.0);
        speed.committed(1_001, 1_000, 60_000 * MS, now + 60_000 * MS);
        let after = speed.at(now + 60_000 * MS);
        assert!(after < before / 400.0, "a minute for a thousand records: {after}");
        assert!(speed.at(now + 120_000 * MS) < after / 400.0, "another is under way");
        speed.begin_again();
        assert_eq!(speed.at(now + 120_000 * MS), after);
    }
}
