//! The floor: how far a value is from the mean, in standard deviations of a long window (the windowed Gaussian detector of the
//! Numenta Anomaly Benchmark).

use super::{Detector, Point};

const WINDOW: usize = 6_400;
const STEP: usize = 100;

/// Keeps a window of 6,400 values; for comparison, not for labs.
#[derive(Debug, Default)]
pub struct WindowedGaussian {
    window: Vec<f64>,
    next: Vec<f64>,
    mean: f64,
    deviation: f64,
}

impl WindowedGaussian {
    fn measure(&mut self) {
        let n = self.window.len() as f64;
        self.mean = self.window.iter().sum::<f64>() / n;
        let variance = self.window.iter().map(|v| (v - self.mean) * (v - self.mean)).sum::<f64>() / n;
        self.deviation = if variance == 0.0 { 0.000_001 } else { libm::sqrt(variance) };
    }
}

impl Detector for WindowedGaussian {
    /// One minus the probability of a value as far away; 0 for the first.
    fn observe(&mut self, point: Point) -> f64 {
        let mut evidence = 0.0;
        if !self.window.is_empty() {
            let distance = (point.value - self.mean).abs() / self.deviation;
            evidence = 1.0 - 0.5 * libm::erfc(distance / core::f64::consts::SQRT_2);
        }
        if self.window.len() < WINDOW {
            self.window.push(point.value);
            self.measure();
        } else {
            self.next.push(point.value);
            if self.next.len() == STEP {
                self.window.drain(..STEP);
                self.window.append(&mut self.next);
                self.measure();
            }
        }
        evidence
    }
}
