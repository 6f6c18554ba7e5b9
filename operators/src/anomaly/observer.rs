//! The detector of labs: new values, new shapes, moved levels and strange times of the day, and of their evidence the peaks.

use serde::{Deserialize, Serialize};

use super::level::Level;
use super::season::Season;
use super::shape::Shape;
use super::surprise::Surprise;
use super::{Detector, Point, Range};

/// Evidence is told in full from this many points on; before, in proportion: everything is new to a newcomer.
const FULL_FROM: u32 = 300;
/// A peak hides the lesser ones of this many points after it: one incident, one peak.
const REST: u32 = 150;
/// The evidence that is an anomaly, in nats: the best threshold of the tuning half of the benchmark, standard profile.
pub const ANOMALY_NATS: f64 = 8.5;

/// Watches a series. Its state is 6 KB, whatever comes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observer {
    range: Range,
    shape: Shape,
    season: Season,
    level: Level,
    surprises: [Surprise; 4],
    count: u32,
    peak: f64,
    since_peak: u32,
}

/// What is said of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// The evidence against it, in nats.
    pub evidence: f64,
    /// Whether it is greater than that of all of the points before that it belongs together with.
    pub peak: bool,
}

impl Observer {
    /// Looks at the next point. A value that is no number is as far away as any.
    pub fn look(&mut self, point: Point) -> Observed {
        let value = if point.value.is_nan() { f64::MAX } else { point.value.clamp(-1e30, 1e30) };
        let (new_value, new_shape) = self.shape.distances(value, &self.range);
        let distances = [
            new_value,
            new_shape,
            self.season.distance(point.at_ms, value, &self.range),
            self.level.distance(value, &self.range),
        ];
        self.range.widen(value);
        self.count = self.count.saturating_add(1);
        let (mut greatest, mut second) = (0.0f64, 0.0f64);
        for (surprise, distance) in self.surprises.iter_mut().zip(distances) {
            let evidence = surprise.of(distance);
            second = second.max(evidence.min(greatest));
            greatest = greatest.max(evidence);
        }
        let known = (f64::from(self.count) / f64::from(FULL_FROM)).min(1.0);
        // The views overlap: a second one adds, and counts half.
        let evidence = known * (greatest + 0.5 * second);
        self.since_peak = self.since_peak.saturating_add(1);
        let peak = evidence > self.peak || self.since_peak > REST;
        if peak {
            (self.peak, self.since_peak) = (evidence, 0);
        }
        Observed { evidence, peak }
    }
}

impl Detector for Observer {
    fn observe(&mut self, point: Point) -> f64 {
        let observed = self.look(point);
        if observed.peak { observed.evidence } else { 0.0 }
    }
}
