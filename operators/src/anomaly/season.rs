//! What is usual at this time of the day.

use serde::{Deserialize, Serialize};

use super::{LONG, Range};

const DAY_MS: i64 = 86_400_000;
/// Half hours of a day.
const SLOTS: i64 = 48;
/// A half hour says something once it has this many points.
const KNOWN_FROM: u16 = 4;
/// How much the newest point of a half hour changes what is usual in it.
const WEIGHT: f64 = 1.0 / 60.0;

/// The usual value of each half hour of the day (UTC), and how far values usually are from it. 560 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Season {
    slots: Vec<(f64, u16)>,
    error: f64,
    count: u32,
}

impl Default for Season {
    fn default() -> Self {
        Season { slots: vec![(0.0, 0); SLOTS as usize], error: 0.0, count: 0 }
    }
}

impl Season {
    /// How far the point is from what is usual at its time, in usual distances. 0 where nothing is known yet.
    pub(crate) fn distance(&mut self, at_ms: i64, value: f64, range: &Range) -> f64 {
        let slot = &mut self.slots[(at_ms.rem_euclid(DAY_MS) / (DAY_MS / SLOTS)) as usize];
        self.count = self.count.saturating_add(1);
        let mut distance = 0.0;
        if slot.1 >= KNOWN_FROM {
            let error = (value - slot.0).abs();
            distance = error / (self.error + 0.02 * range.width());
            self.error += (1.0 / f64::from(self.count)).max(1.0 / LONG) * (error - self.error);
        }
        slot.0 += (1.0 / (f64::from(slot.1) + 1.0)).max(WEIGHT) * (value - slot.0);
        slot.1 = slot.1.saturating_add(1);
        distance
    }
}
