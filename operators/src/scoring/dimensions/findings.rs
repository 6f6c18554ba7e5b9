//! Security: what a scanner found, by severity.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::boards::facts::Outcome;
use crate::scoring::explain::{Explain, percent};
use crate::scoring::operator::{DimensionOperator, FULL_BP};

/// `1 - sum(count x severity) / cap`, at least 0; capped where anything critical was found.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// What each finding costs, by the measure that counts them, such as `findings_high`.
    pub severities: BTreeMap<String, u32>,
    /// The sum at which nothing is left.
    pub cap: u32,
    /// Measures of critical findings: one of them caps the score.
    #[serde(default)]
    pub critical: Vec<String>,
    /// The most, in basis points, that is left with a critical finding.
    #[serde(default = "a_fifth")]
    pub critical_cap_bp: u32,
}

fn a_fifth() -> u32 {
    2_000
}

impl DimensionOperator for Findings {
    const NAME: &'static str = "findings";
    const SUMMARY: &'static str =
        "Security: scanner findings by severity against a cap; a critical one caps the score.";
    const EXAMPLE: &'static str = r#"{"severities": {"findings_critical": 40, "findings_high": 10, "findings_low": 1}, "cap": 50,
 "critical": ["findings_critical"]}"#;

    fn check(&self) -> Result<(), String> {
        if self.cap == 0 {
            return Err("`cap` is 0, expected at least 1".into());
        }
        if self.severities.is_empty() && self.critical.is_empty() {
            return Err("`severities` is empty, expected at least one measure".into());
        }
        Ok(())
    }

    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        let count = |measure: &String| outcome.measures.get(measure.as_str()).map(|n| (*n).max(0));
        if !self.severities.keys().chain(&self.critical).any(|measure| count(measure).is_some()) {
            explain.step(|| "nothing was scanned".into());
            return None;
        }
        let mut sum = 0_i64;
        for (measure, severity) in &self.severities {
            let n = count(measure).unwrap_or(0);
            sum = sum.saturating_add(n.saturating_mul(i64::from(*severity)));
            explain.step(|| format!("{measure}: {n} x {severity}"));
        }
        let cap = i64::from(self.cap);
        let bp = FULL_BP - sum.min(cap) * FULL_BP / cap;
        explain.step(|| format!("{sum} of at most {cap}: {}", percent(bp)));
        let critical = self.critical.iter().any(|measure| count(measure).unwrap_or(0) > 0);
        if critical {
            explain.step(|| format!("a critical finding: at most {}", percent(i64::from(self.critical_cap_bp))));
            return Some(bp.min(i64::from(self.critical_cap_bp)));
        }
        Some(bp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(measures: &[(&str, i64)]) -> Option<i64> {
        let operator: Findings = serde_json::from_str(Findings::EXAMPLE).unwrap();
        let measures = measures.iter().map(|(name, n)| ((*name).into(), *n)).collect();
        DimensionOperator::score(&operator, &Outcome { measures, ..Outcome::default() }, &mut Explain::nothing())
    }

    #[test]
    fn severities_add_up_and_critical_ones_cap() {
        assert_eq!(score(&[("coverage_bp", 3)]), None);
        assert_eq!(score(&[("findings_low", 0)]), Some(10_000));
        assert_eq!(score(&[("findings_high", 2), ("findings_low", 5)]), Some(5_000));
        assert_eq!(score(&[("findings_high", 99)]), Some(0));
        assert_eq!(score(&[("findings_critical", 1)]), Some(2_000));
        assert_eq!(score(&[("findings_critical", i64::MAX)]), Some(0));
        assert_eq!(score(&[("findings_high", -4)]), Some(10_000));
    }
}
