//! A level that has moved: the mean of the newest points against the mean of the long past.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{LONG, Range};

/// Points whose mean is the level.
const NEWEST: usize = 12;

/// The newest points and the moments of the past. 100 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    newest: VecDeque<f64>,
    mean: f64,
    variance: f64,
    count: u32,
}

impl Level {
    /// How far the level is from the mean, in standard deviations.
    pub(crate) fn distance(&mut self, value: f64, range: &Range) -> f64 {
        if self.count == 0 {
            self.mean = value;
        }
        if self.newest.len() == NEWEST {
            self.newest.pop_front();
        }
        self.newest.push_back(value);
        let level = self.newest.iter().sum::<f64>() / self.newest.len() as f64;
        let distance = (level - self.mean).abs() / (libm::sqrt(self.variance) + 0.01 * range.width());
        self.count = self.count.saturating_add(1);
        let weight = (1.0 / f64::from(self.count)).max(1.0 / LONG);
        let off = value - self.mean;
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        distance
    }
}
