//! Pairwise votes of a panel.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::boards::facts::Outcome;
use crate::boards::panel::measure;
use crate::scoring::explain::{Explain, percent};
use crate::scoring::operator::{DimensionOperator, FULL_BP};

/// The team's place among all that the panel compared, by `vote.recorded`: the share of the others that it is better than.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// The dimension that votes name; those that name none are on `innovation`.
    #[serde(default = "usual")]
    pub dimension: String,
}

fn usual() -> String {
    "innovation".into()
}

impl DimensionOperator for Panel {
    const NAME: &'static str = "panel";
    const SUMMARY: &'static str = "Innovation: the team's percentile in the pairwise votes of a panel.";
    const EXAMPLE: &'static str = r#"{"dimension": "innovation"}"#;

    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        let Some(place) = outcome.measures.get(&measure(&self.dimension)).copied() else {
            explain.step(|| format!("the panel has not voted on its {}", self.dimension));
            return None;
        };
        let bp = place.clamp(0, FULL_BP);
        explain.step(|| format!("better than {} of the other teams, by the panel's votes", percent(bp)));
        Some(bp)
    }
}
