//! Correctness: the weighted share of test groups that pass.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::boards::facts::{GroupResult, Outcome};
use crate::scoring::explain::{Explain, percent};
use crate::scoring::operator::{DimensionOperator, FULL_BP};

/// The weighted mean of what each group scores.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestGroups {
    /// Weights of the groups that count; one that was not run scores 0. Empty: every group that was run, equally.
    pub weights: BTreeMap<String, u32>,
    /// What a group scores.
    pub rule: Rule,
}

/// What a group of tests scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The share of its tests that pass.
    #[default]
    Sum,
    /// All when every test passes, else nothing.
    Min,
    /// All when any test passes, else nothing.
    Max,
}

impl TestGroups {
    fn group_bp(&self, group: &GroupResult) -> i64 {
        let (passed, total) = (i64::from(group.passed.min(group.total)), i64::from(group.total));
        match self.rule {
            _ if total == 0 => 0,
            Rule::Sum => passed * FULL_BP / total,
            Rule::Min => i64::from(passed == total) * FULL_BP,
            Rule::Max => i64::from(passed > 0) * FULL_BP,
        }
    }
}

impl DimensionOperator for TestGroups {
    const NAME: &'static str = "test_groups";
    const SUMMARY: &'static str = "Correctness: the weighted share of test groups that pass.";
    const EXAMPLE: &'static str = r#"{"weights": {"samples": 1, "hidden": 3}, "rule": "sum"}"#;

    fn check(&self) -> Result<(), String> {
        if !self.weights.is_empty() && self.weights.values().all(|w| *w == 0) {
            return Err("`weights` are all 0, expected at least one above 0".into());
        }
        Ok(())
    }

    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        if outcome.groups.is_empty() {
            explain.step(|| "no test groups were run".into());
            return None;
        }
        let (mut sum, mut weights) = (0_i64, 0_i64);
        let mut add = |name: &str, weight: u32, group: Option<&GroupResult>, explain: &mut Explain| {
            let bp = group.map_or(0, |g| self.group_bp(g));
            sum += i64::from(weight) * bp;
            weights += i64::from(weight);
            explain.step(|| match group {
                Some(g) => {
                    format!("{name}: {} of {} tests passed: {} x weight {weight}", g.passed, g.total, percent(bp))
                }
                None => format!("{name}: not run: 0 x weight {weight}"),
            });
        };
        if self.weights.is_empty() {
            outcome.groups.iter().for_each(|g| add(&g.group, 1, Some(g), explain));
        } else {
            for (name, weight) in &self.weights {
                add(name, *weight, outcome.groups.iter().find(|g| g.group == *name), explain);
            }
        }
        Some(sum / weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(groups: &[(&str, u32, u32)]) -> Outcome {
        let group = |(group, passed, total): &(&str, u32, u32)| GroupResult {
            group: (*group).into(),
            passed: *passed,
            total: *total,
            points: None,
        };
        Outcome { groups: groups.iter().map(group).collect(), ..Outcome::default() }
    }

    fn score(parameters: &str, groups: &[(&str, u32, u32)]) -> Option<i64> {
        let operator: TestGroups = serde_json::from_str(parameters).unwrap();
        DimensionOperator::score(&operator, &outcome(groups), &mut Explain::nothing())
    }

    #[test]
    fn groups_weigh_as_told() {
        let groups = [("a", 1, 2), ("b", 3, 3), ("c", 0, 5)];
        assert_eq!(score("{}", &groups), Some(5_000));
        assert_eq!(score(r#"{"weights": {"a": 1, "b": 3}}"#, &groups), Some(8_750));
        assert_eq!(score(r#"{"weights": {"a": 1, "missing": 1}}"#, &groups), Some(2_500));
        assert_eq!(score(r#"{"rule": "min"}"#, &groups), Some(3_333));
        assert_eq!(score(r#"{"rule": "max"}"#, &groups), Some(6_666));
    }

    #[test]
    fn nothing_run_is_pending_and_empty_groups_score_nothing() {
        assert_eq!(score("{}", &[]), None);
        assert_eq!(score("{}", &[("a", 0, 0)]), Some(0));
        assert_eq!(score("{}", &[("a", 9, 3)]), Some(10_000), "never more than all");
    }
}
