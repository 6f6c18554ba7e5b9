//! From evidence to alerts: a series raises at one level and clears at a lower one, after a while of quiet, so that it does not
//! flap; of a lab the earliest series that is raised speaks for all of them.

use serde::{Deserialize, Serialize};

use super::Point;
use super::observer::{ANOMALY_NATS, Observer};

/// When a series raises and clears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Evidence that raises, in nats.
    pub raise_nats: f64,
    /// Evidence that keeps it raised.
    pub keep_nats: f64,
    /// It clears once nothing kept it raised for as long as this.
    pub quiet_ms: i64,
}

impl Default for Levels {
    fn default() -> Self {
        Levels { raise_nats: ANOMALY_NATS, keep_nats: 5.0, quiet_ms: 15 * 60_000 }
    }
}

/// That a series is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Raised {
    /// The time of the point that raised it.
    pub since_ms: i64,
    /// The greatest evidence since, in thousandths of a nat.
    pub peak_millinats: u32,
}

/// Watches one series of a lab. Bounded: 6 KB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    observer: Observer,
    raised: Option<Raised>,
    /// The last time at which something raised it or kept it raised.
    loud_at_ms: i64,
    last_at_ms: Option<i64>,
    late: u64,
}

impl Watch {
    /// Takes the next point of the log. A point that is not later than the one before is counted and left out: what came
    /// after it was judged without it, and a detector does not judge twice.
    pub fn take(&mut self, point: Point, levels: &Levels) {
        if self.last_at_ms.is_some_and(|last| point.at_ms <= last) {
            self.late = self.late.saturating_add(1);
            return;
        }
        self.last_at_ms = Some(point.at_ms);
        let evidence = self.observer.look(point).evidence;
        let millinats = (evidence * 1_000.0) as u32;
        match &mut self.raised {
            None if evidence >= levels.raise_nats => {
                self.raised = Some(Raised { since_ms: point.at_ms, peak_millinats: millinats });
                self.loud_at_ms = point.at_ms;
            }
            Some(raised) if evidence >= levels.keep_nats => {
                raised.peak_millinats = raised.peak_millinats.max(millinats);
                self.loud_at_ms = point.at_ms;
            }
            Some(_) if point.at_ms.saturating_sub(self.loud_at_ms) >= levels.quiet_ms => self.raised = None,
            _ => {}
        }
    }

    /// Whether it is raised.
    pub fn raised(&self) -> Option<Raised> {
        self.raised
    }

    /// The time of the newest point.
    pub fn last_at_ms(&self) -> Option<i64> {
        self.last_at_ms
    }

    /// Points that came too late to be judged.
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;

    const MINUTE_MS: i64 = 60_000;

    /// A busy machine: some noise around 40, with bursts where the script says so.
    fn series(points: i64, burst: impl Fn(i64) -> bool) -> Vec<Point> {
        let mut dice = Dice::new(7);
        (0..points)
            .map(|n| {
                let value = if burst(n) { 95.0 } else { 40.0 + dice.below(100) as f64 / 50.0 };
                Point { at_ms: n * MINUTE_MS, value }
            })
            .collect()
    }

    fn changes(points: &[Point]) -> Vec<(i64, bool)> {
        let (mut watch, mut told) = (Watch::default(), Vec::new());
        for point in points {
            let before = watch.raised().is_some();
            watch.take(*point, &Levels::default());
            if watch.raised().is_some() != before {
                told.push((point.at_ms / MINUTE_MS, !before));
            }
        }
        told
    }

    #[test]
    fn a_burst_raises_once_and_clears_after_the_quiet() {
        let told = changes(&series(1_000, |n| (700..705).contains(&n)));
        assert_eq!(told[0], (700, true), "{told:?}");
        let (cleared, now) = told[1];
        assert!(!now && cleared >= 704 + 15, "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn bursts_that_come_and_go_are_one_alert() {
        let told = changes(&series(1_000, |n| (700..760).contains(&n) && n % 7 == 0));
        assert_eq!(told.iter().filter(|t| t.1).count(), 1, "{told:?}");
    }

    #[test]
    fn it_never_clears_sooner_than_the_quiet_and_forgets_nothing_that_came_late() {
        for seed in 0..40 {
            let mut dice = Dice::new(seed);
            let (mut watch, mut at_ms, mut raised_at, mut late) = (Watch::default(), 0i64, None, 0);
            for _ in 0..2_000 {
                let value = match dice.below(60) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    2 => -1e300,
                    3 => 0.0,
                    n => f64::from(n as u32) * 3.0,
                };
                let step = dice.below(4) as i64 - 1;
                at_ms += step * 30_000;
                let before = watch.clone();
                let point = Point { at_ms, value };
                watch.take(point, &Levels::default());
                if before.last_at_ms().is_some_and(|last| at_ms <= last) {
                    late += 1;
                    assert_eq!(Watch { late, ..before }, watch);
                    at_ms = at_ms.max(watch.last_at_ms().unwrap_or(0));
                    continue;
                }
                match (before.raised(), watch.raised()) {
                    (None, Some(raised)) => raised_at = Some(raised.since_ms),
                    (Some(_), None) => {
                        let since = raised_at.take().expect("it was raised");
                        assert!(at_ms - since >= Levels::default().quiet_ms);
                    }
                    _ => {}
                }
            }
            // NaN is equal to nothing, so states are compared by what is written of them.
            let written = serde_json::to_vec(&watch).unwrap();
            assert!(written.len() < 40_000, "{} bytes as JSON", written.len());
        }
    }
}
