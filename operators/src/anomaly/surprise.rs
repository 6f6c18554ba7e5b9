//! How surprising a distance is among all that came before: a conformal p-value (Vovk, Gammerman, Shafer, "Algorithmic Learning
//! in a Random World"), in bounded memory.

use serde::{Deserialize, Serialize};

const BINS: usize = 128;
/// Steps per doubling of the distance.
const PER_OCTAVE: f64 = 6.0;
/// Where distance 1 is.
const ONE_AT: f64 = 64.0;
/// A distance that was never reached counts for what it exceeds the greatest by, this much at most.
const MOST_BEYOND: f64 = 3.0;

/// A histogram of distances on a logarithmic scale: 0.0006 to 1,600 in steps of an eighth. 540 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surprise {
    bins: Vec<u32>,
    count: u32,
    greatest: f64,
}

impl Default for Surprise {
    fn default() -> Self {
        Surprise { bins: vec![0; BINS], count: 0, greatest: 0.0 }
    }
}

impl Surprise {
    /// The evidence of a distance, `ln((n + 1) / (as great + 1/2))`, and then it is one of those before. 0 for the first.
    pub fn of(&mut self, distance: f64) -> f64 {
        let distance = if distance.is_finite() { distance.max(0.0) } else { f64::MAX };
        let bin = bin(distance);
        let beyond: u32 = self.bins[bin + 1..].iter().sum();
        let evidence = if self.count == 0 {
            0.0
        } else {
            let as_great = f64::from(beyond) + 0.5 * f64::from(self.bins[bin]);
            let mut evidence = libm::log((f64::from(self.count) + 1.0) / (as_great + 0.5));
            if distance > self.greatest && self.greatest > 0.0 {
                evidence += libm::log(distance / self.greatest).min(MOST_BEYOND);
            }
            evidence
        };
        // Old distances fade, so that counts stay counts; also, nothing overflows.
        if self.count >= 1 << 16 {
            self.bins.iter_mut().for_each(|count| *count /= 2);
            self.count = self.bins.iter().sum();
        }
        self.bins[bin] += 1;
        self.count += 1;
        self.greatest = self.greatest.max(distance);
        evidence.max(0.0)
    }
}

fn bin(distance: f64) -> usize {
    if distance <= 0.0 {
        return 0;
    }
    let at = libm::log2(distance) * PER_OCTAVE + ONE_AT;
    at.clamp(0.0, (BINS - 1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarer_the_more() {
        let mut surprise = Surprise::default();
        assert_eq!(surprise.of(1.0), 0.0);
        for _ in 0..998 {
            surprise.of(1.0);
        }
        // As all: p = (499.5 + 0.5) / 1000.
        assert!((surprise.of(1.0) - libm::log(2.0)).abs() < 1e-9);
        // As none: p = 0.5 / 1001, and four times the greatest.
        let expected = libm::log(1001.0 / 0.5) + libm::log(4.0);
        assert!((surprise.of(4.0) - expected).abs() < 1e-9);
        // Less than all.
        assert!(surprise.of(0.1) < 0.01);
    }

    #[test]
    fn any_number_is_taken() {
        let mut surprise = Surprise::default();
        for distance in [f64::NAN, f64::INFINITY, -1.0, 0.0, f64::MIN_POSITIVE, f64::MAX, 1.0] {
            assert!(surprise.of(distance).is_finite());
        }
        for _ in 0..200_000 {
            surprise.of(2.0);
        }
        assert!(surprise.count <= (1 << 16) + 1);
    }
}
