//! Engineering: a weighted ladder of measures.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::boards::facts::Outcome;
use crate::scoring::explain::{Explain, percent};
use crate::scoring::operator::{DimensionOperator, FULL_BP};

/// The weighted mean of rungs: each measure scores what its highest reached rung gives.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// The measures that count.
    pub parts: Vec<Part>,
}

/// One measure of a ladder.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The measure, such as `coverage_bp`, `lint_per_kloc` or `build_ok`.
    pub measure: String,
    /// Its weight.
    pub weight: u32,
    /// Its rungs.
    pub rungs: Vec<Rung>,
    /// A rung is reached at its value or below it, instead of at its value or above.
    #[serde(default)]
    pub lower_is_better: bool,
}

/// What a value is worth.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Reached from here on.
    pub at: i64,
    /// Basis points.
    pub bp: u32,
}

impl DimensionOperator for Ladder {
    const NAME: &'static str = "ladder";
    const SUMMARY: &'static str = "Engineering: a weighted ladder of measures such as build, lint, coverage and docs.";
    const EXAMPLE: &'static str = r#"{"parts": [
 {"measure": "build_ok", "weight": 2, "rungs": [{"at": 1, "bp": 10000}]},
 {"measure": "coverage_bp", "weight": 3, "rungs": [{"at": 5000, "bp": 5000}, {"at": 8000, "bp": 10000}]},
 {"measure": "lint_per_kloc", "weight": 1, "lower_is_better": true, "rungs": [{"at": 20, "bp": 4000}, {"at": 2, "bp": 10000}]}]}"#;

    fn check(&self) -> Result<(), String> {
        if self.parts.iter().all(|part| part.weight == 0) {
            return Err("`parts` has no weight above 0, expected at least one".into());
        }
        match self.parts.iter().flat_map(|part| &part.rungs).find(|rung| i64::from(rung.bp) > FULL_BP) {
            Some(rung) => Err(format!("a rung gives {} basis points, expected at most {FULL_BP}", rung.bp)),
            None => Ok(()),
        }
    }

    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        let (mut sum, mut weights, mut measured) = (0_i64, 0_i64, false);
        for part in &self.parts {
            let value = outcome.measures.get(part.measure.as_str()).copied();
            measured |= value.is_some();
            let reached = |rung: &&Rung| {
                value.is_some_and(|value| if part.lower_is_better { value <= rung.at } else { value >= rung.at })
            };
            let bp = i64::from(part.rungs.iter().filter(reached).map(|rung| rung.bp).max().unwrap_or(0));
            sum += i64::from(part.weight) * bp;
            weights += i64::from(part.weight);
            explain.step(|| {
                let value = value.map_or("not measured".into(), |v| v.to_string());
                format!("{}: {value}: {} x weight {}", part.measure, percent(bp), part.weight)
            });
        }
        measured.then(|| sum / weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(measures: &[(&str, i64)]) -> Option<i64> {
        let operator: Ladder = serde_json::from_str(Ladder::EXAMPLE).unwrap();
        let measures = measures.iter().map(|(name, n)| ((*name).into(), *n)).collect();
        DimensionOperator::score(&operator, &Outcome { measures, ..Outcome::default() }, &mut Explain::nothing())
    }

    #[test]
    fn each_measure_scores_its_highest_reached_rung() {
        assert_eq!(score(&[]), None);
        assert_eq!(score(&[("build_ok", 1)]), Some(3_333), "what is not measured scores nothing once anything is");
        assert_eq!(score(&[("build_ok", 1), ("coverage_bp", 7_999), ("lint_per_kloc", 20)]), Some(6_500));
        assert_eq!(score(&[("build_ok", 1), ("coverage_bp", 8_000), ("lint_per_kloc", 0)]), Some(10_000));
        assert_eq!(score(&[("lint_per_kloc", 21)]), Some(0));
    }

    #[test]
    fn parameters_without_weight_or_beyond_all_are_refused() {
        let check = |text: &str| serde_json::from_str::<Ladder>(text).unwrap().check();
        assert!(check(r#"{"parts": []}"#).is_err());
        assert!(check(r#"{"parts": [{"measure": "m", "weight": 1, "rungs": [{"at": 0, "bp": 10001}]}]}"#).is_err());
    }
}
