//! Anomalies of telemetry: streaming detectors of one series of numbers each, and the alerts of a lab that come of them.
//!
//! A detector sees a point once, in order, and keeps a bounded state; it never looks ahead and never asks a clock. What it says
//! of a point is its *evidence*, in nats: how much less likely than usual the point is, `-ln p`. `make bench-anomaly` measures
//! them on the Numenta Anomaly Benchmark.
//!
//! ```text
//! points of a lab's metric -> value, shape, level, season -> evidence -> peaks -+
//!                                                                               +--> alerts of the lab: raised, cleared, silent
//! the pipeline's clock -------------------------------------------------------- +
//! ```

pub mod alert;
pub mod entropy;
pub mod gaussian;
pub mod lab;
pub mod level;
pub mod observer;
pub mod season;
pub mod shape;
pub mod surprise;

/// A point of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was measured, milliseconds since the epoch.
    pub at_ms: i64,
    /// What was measured; finite.
    pub value: f64,
}

/// What watches one series.
pub trait Detector {
    /// The evidence against the next point, at least 0: the greater, the stranger the point.
    fn observe(&mut self, point: Point) -> f64;
}

/// How many points the long past has: what is usual follows what changes for good.
pub(crate) const LONG: f64 = 1_500.0;

/// The least and the greatest value so far: what distances are told in shares of.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Range {
    least: f64,
    greatest: f64,
    any: bool,
}

impl Range {
    pub(crate) fn widen(&mut self, value: f64) {
        if !self.any {
            *self = Range { least: value, greatest: value, any: true };
        }
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    pub(crate) fn least(&self) -> f64 {
        self.least
    }

    /// More than 0, so that it can be divided by.
    pub(crate) fn width(&self) -> f64 {
        // Halves first: the difference of two finite numbers may be more than a number can say.
        ((self.greatest / 2.0 - self.least / 2.0) * 2.0).clamp(1e-12, f64::MAX)
    }
}
