//! A measure that is in basis points already.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::boards::facts::Outcome;
use crate::scoring::explain::{Explain, percent};
use crate::scoring::operator::{DimensionOperator, FULL_BP};

/// What the evaluator says, within 0 and 10,000.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The measure, in basis points.
    pub measure: String,
}

impl DimensionOperator for Measure {
    const NAME: &'static str = "measure";
    const SUMMARY: &'static str = "Any dimension that the evaluator gives in basis points itself.";
    const EXAMPLE: &'static str = r#"{"measure": "originality_bp"}"#;

    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        let Some(value) = outcome.measures.get(self.measure.as_str()).copied() else {
            explain.step(|| format!("{} was not measured", self.measure));
            return None;
        };
        let bp = value.clamp(0, FULL_BP);
        explain.step(|| format!("{} = {value}: {}", self.measure, percent(bp)));
        Some(bp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_within_bounds() {
        let operator = Measure { measure: "m".into() };
        let score = |value| {
            let outcome = Outcome { measures: [("m".into(), value)].into(), ..Outcome::default() };
            DimensionOperator::score(&operator, &outcome, &mut Explain::nothing())
        };
        assert_eq!([-1, 5, 10_001].map(score), [Some(0), Some(5), Some(10_000)]);
        assert_eq!(DimensionOperator::score(&operator, &Outcome::default(), &mut Explain::nothing()), None);
    }
}
