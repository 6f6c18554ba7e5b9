//! Values and windows that were not seen before: the distance of the newest point, and of the newest points together, to their
//! nearest neighbours in the recent past (after the KNN-CAD detector: Burnaev, Ishimtsev, "Conformalized density- and distance-based anomaly
//! detection in time-series data", 2016).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Range;

/// Points of a window.
const WINDOW: usize = 12;
/// Points that are remembered.
const MEMORY: usize = 1_000;

/// The points of the recent past. 4 KB; a point costs [`MEMORY`] comparisons of windows, most of them ended by their first points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    recent: VecDeque<f32>,
}

impl Shape {
    /// How far this value, and the window that ends with it, are from what was seen, as shares of the range of values. 0 as long
    /// as too little was seen.
    pub(crate) fn distances(&mut self, value: f64, range: &Range) -> (f64, f64) {
        if self.recent.len() == MEMORY {
            self.recent.pop_front();
        }
        // In a single precision infinity is near.
        self.recent.push_back((value as f32).clamp(f32::MIN, f32::MAX));
        let points = &*self.recent.make_contiguous();
        if points.len() <= 3 * WINDOW {
            return (0.0, 0.0);
        }
        let (past, newest) = points.split_at(points.len() - WINDOW);
        let value = newest[WINDOW - 1];
        let nearest = past.iter().map(|then| (then - value).abs()).fold(f32::INFINITY, f32::min);
        let alike = past.windows(WINDOW).fold(f64::INFINITY, |least, window| least.min(squared(window, newest, least)));
        (f64::from(nearest) / range.width(), libm::sqrt(alike) / range.width())
    }
}

/// The squared distance, or something not less than `enough` as soon as it is that.
fn squared(left: &[f32], right: &[f32], enough: f64) -> f64 {
    let mut sum = 0.0;
    for (left, right) in left.iter().zip(right) {
        let difference = f64::from(*left) - f64::from(*right);
        sum += difference * difference;
        if sum >= enough {
            break;
        }
    }
    sum
}
