//! Another peer: relative entropy (Wang, Viswanathan, Choudur, Talwar, Satterfield, Schwan, "Statistical techniques for online
//! anomaly detection in data centers", 2011). The histogram of the newest values is compared with all that were seen.

use super::{Detector, Point, Range};

const BINS: usize = 5;
const WINDOW: usize = 52;
/// The 95th percentile of chi squared with four degrees of freedom.
const CHI_SQUARED: f64 = 9.488;

/// One histogram per kind of window that was seen. Unlike the benchmark's own it is not told the range of the file in advance.
#[derive(Debug, Default)]
pub struct RelativeEntropy {
    range: Range,
    bins: std::collections::VecDeque<usize>,
    seen: Vec<[f64; BINS]>,
}

impl Detector for RelativeEntropy {
    /// 1 for a kind of window that is new, else 0.
    fn observe(&mut self, point: Point) -> f64 {
        self.range.widen(point.value);
        let share = (point.value - self.range.least()) / self.range.width();
        self.bins.push_back(((share * BINS as f64) as usize).min(BINS - 1));
        if self.bins.len() > WINDOW {
            self.bins.pop_front();
        }
        if self.bins.len() < WINDOW {
            return 0.0;
        }
        let mut now = [0.0; BINS];
        for bin in &self.bins {
            now[*bin] += 1.0 / WINDOW as f64;
        }
        let alike = |then: &[f64; BINS]| 2.0 * WINDOW as f64 * relative_entropy(&now, then) < CHI_SQUARED;
        if self.seen.iter().any(alike) {
            return 0.0;
        }
        self.seen.push(now);
        if self.seen.len() > 1 { 1.0 } else { 0.0 }
    }
}

fn relative_entropy(of: &[f64; BINS], to: &[f64; BINS]) -> f64 {
    of.iter().zip(to).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * libm::log(p / q.max(1e-9))).sum()
}
