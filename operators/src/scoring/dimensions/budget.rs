//! Resourcefulness: how much of a budget was left.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::boards::facts::Outcome;
use crate::scoring::explain::{Explain, percent};
use crate::scoring::operator::{DimensionOperator, FULL_BP};

/// `1 - spend / budget`, at least 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Measures that are spent, such as `tokens_cost_micro`, `vm_cost_micro` and `hints_cost_micro`; what was not measured
    /// was not spent, but something must have been measured.
    pub spend: Vec<String>,
    /// The whole budget, in their unit.
    pub budget: u64,
    /// The measure that says by which version of the price list the evaluator computed them: told with the score.
    #[serde(default)]
    pub price_version: Option<String>,
}

impl DimensionOperator for Budget {
    const NAME: &'static str = "budget";
    const SUMMARY: &'static str = "Resourcefulness: the share of a budget that was not spent.";
    const EXAMPLE: &'static str = r#"{"spend": ["tokens_cost_micro", "vm_cost_micro"], "budget": 2000000}"#;

    fn check(&self) -> Result<(), String> {
        if self.budget == 0 || self.budget > i64::MAX as u64 {
            return Err(format!("`budget` is {}, expected an integer from 1 to {}", self.budget, i64::MAX));
        }
        if self.spend.is_empty() {
            return Err("`spend` is empty, expected at least one measure".into());
        }
        Ok(())
    }

    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        let mut spent: Option<i64> = None;
        for measure in &self.spend {
            if let Some(value) = outcome.measures.get(measure.as_str()) {
                spent = Some(spent.unwrap_or(0).saturating_add((*value).max(0)));
                explain.step(|| format!("{measure}: {value}"));
            }
        }
        let Some(spent) = spent else {
            explain.step(|| "nothing that is spent was measured".into());
            return None;
        };
        if let Some(measure) = &self.price_version {
            explain.step(|| match outcome.measures.get(measure.as_str()) {
                Some(version) => format!("by version {version} of the price list"),
                None => format!("by which version of the price list is not known: {measure} was not measured"),
            });
        }
        let (budget, spent) = (i128::from(self.budget), i128::from(spent));
        let bp = FULL_BP - i64::try_from(spent.min(budget) * i128::from(FULL_BP) / budget).unwrap_or(FULL_BP);
        explain.step(|| format!("{spent} of {budget} spent: {}", percent(bp)));
        Some(bp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(measures: &[(&str, i64)]) -> Outcome {
        let measures = measures.iter().map(|(name, n)| ((*name).into(), *n)).collect();
        Outcome { measures, ..Outcome::default() }
    }

    #[test]
    fn what_is_left_counts() {
        let operator = Budget { spend: vec!["a".into(), "b".into()], budget: 1_000, price_version: None };
        let score = |measures: &[(&str, i64)]| {
            DimensionOperator::score(&operator, &measured(measures), &mut Explain::nothing())
        };
        assert_eq!(score(&[("c", 1)]), None);
        assert_eq!(score(&[("a", 0)]), Some(10_000));
        assert_eq!(score(&[("a", 100), ("b", 150)]), Some(7_500));
        assert_eq!(score(&[("a", i64::MAX), ("b", i64::MAX)]), Some(0));
    }
    #[test]
    fn the_price_version_is_told() {
        let price_version = Some("prices".to_owned());
        let operator = Budget { spend: vec!["a".into()], budget: 1_000, price_version };
        let steps = |measures: &[(&str, i64)]| {
            let mut explain = Explain::steps();
            DimensionOperator::score(&operator, &measured(measures), &mut explain);
            explain.into_steps()
        };
        let told = ["a: 250", "by version 3 of the price list", "250 of 1000 spent: 75.00 %"];
        assert_eq!(steps(&[("a", 250), ("prices", 3)]), told);
        assert!(steps(&[("a", 250)])[1].contains("prices was not measured"));
    }
}
