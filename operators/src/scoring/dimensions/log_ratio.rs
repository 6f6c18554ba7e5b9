//! Performance: where a measure lies between a bad and a reference value, on a logarithmic scale.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::boards::facts::Outcome;
use crate::scoring::explain::{Explain, percent};
use crate::scoring::operator::{DimensionOperator, FULL_BP};

/// `ln(bad / x) / ln(bad / reference)`, within 0 and 1. Absolute anchors: nobody else's submission moves a score.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogRatio {
    /// The measure, such as `latency_p95_us`, `throughput_rps` or `memory_peak_bytes`.
    pub measure: String,
    /// The value that scores nothing. Below `reference` where more is better.
    pub bad: u64,
    /// The value that scores all.
    pub reference: u64,
}

impl DimensionOperator for LogRatio {
    const NAME: &'static str = "log_ratio";
    const SUMMARY: &'static str =
        "Performance: where a measure lies between a bad and a reference value, on a logarithmic scale.";
    const EXAMPLE: &'static str = r#"{"measure": "latency_p95_us", "bad": 100000, "reference": 1000}"#;

    fn check(&self) -> Result<(), String> {
        if self.bad == 0 || self.reference == 0 {
            return Err("`bad` and `reference` must be above 0".into());
        }
        if self.bad == self.reference {
            return Err(format!("`bad` and `reference` are both {}, expected two values", self.bad));
        }
        Ok(())
    }

    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        let Some(x) = outcome.measures.get(self.measure.as_str()).copied() else {
            explain.step(|| format!("{} was not measured", self.measure));
            return None;
        };
        // 0 and less are as good, or as bad, as can be: the logarithm is infinite, and the clamp takes it.
        let ln = |over: f64| libm::log(self.bad as f64 / over);
        let share = ln(x.max(0) as f64) / ln(self.reference as f64);
        let bp = (share.clamp(0.0, 1.0) * FULL_BP as f64).round() as i64;
        explain.step(|| {
            let LogRatio { measure, bad, reference } = self;
            format!("{measure} = {x}: ln({bad} / {x}) / ln({bad} / {reference}), within 0 and 1: {}", percent(bp))
        });
        Some(bp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(bad: u64, reference: u64, x: i64) -> i64 {
        let operator = LogRatio { measure: "m".into(), bad, reference };
        operator.check().unwrap();
        let outcome = Outcome { measures: [("m".into(), x)].into(), ..Outcome::default() };
        DimensionOperator::score(&operator, &outcome, &mut Explain::nothing()).unwrap()
    }

    #[test]
    fn golden_values() {
        let latency = |x| score(100_000, 1_000, x);
        let said: Vec<i64> =
            [i64::MIN, 0, 1, 1_000, 1_001, 2_000, 10_000, 50_000, 99_999, 100_000, 1 << 53].map(latency).into();
        assert_eq!(said, [10_000, 10_000, 10_000, 10_000, 9_998, 8_495, 5_000, 1_505, 0, 0, 0]);
        let throughput = |x| score(10, 1_000, x);
        assert_eq!([0, 10, 100, 500, 1_000, 5_000].map(throughput), [0, 0, 5_000, 8_495, 10_000, 10_000]);
    }

    #[test]
    fn anchors_must_differ() {
        for (bad, reference) in [(0, 1), (1, 0), (7, 7)] {
            assert!(LogRatio { measure: "m".into(), bad, reference }.check().is_err());
        }
    }
}
