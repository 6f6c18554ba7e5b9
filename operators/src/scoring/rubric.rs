//! A rubric: dimensions with weights and operators, ready to score.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::body::RubricPublished;
use gravity_events::canonical::canonical;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dimensions::{CATALOGUE, find};
use super::explain::Explain;
use super::operator::{FULL_BP, Scorer};
use crate::boards::facts::{Outcome, RubricText};
use crate::guard::guarded;
use crate::watch;

/// A rubric that is known to be sound. Two are equal when their texts are, and what is quarantined of them.
#[derive(Clone, Debug)]
pub struct Rubric {
    /// Its name.
    pub rubric: Id,
    /// Its version.
    pub version: u64,
    /// Its dimensions, in its order.
    pub dimensions: Vec<Dimension>,
    text: RubricText,
    /// Operators that are not called, with the reason; by name.
    quarantined: BTreeMap<Id, String>,
}

/// A dimension of a rubric.
#[derive(Clone, Debug)]
pub struct Dimension {
    /// Its name.
    pub dimension: Id,
    /// Its weight in basis points.
    pub weight_bp: u32,
    /// The operator's name.
    pub operator: Id,
    /// The operator with its parameters.
    pub scorer: Arc<dyn Scorer>,
    /// The operator's place in the catalogue.
    place: u32,
    /// Why it is not called.
    quarantined: Option<String>,
}

/// What is wrong with a rubric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RubricFault {
    /// The field at fault.
    pub field: String,
    /// What is wrong, and what was expected.
    pub problem: String,
}

impl std::fmt::Display for RubricFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.field, self.problem)
    }
}

impl std::error::Error for RubricFault {}

/// Why an operator gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It panicked, with this message.
    Panicked(String),
    /// It was not called, for this reason.
    Quarantined(String),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failed::Panicked(message) => write!(f, "it failed: {message}"),
            Failed::Quarantined(reason) => write!(f, "it is quarantined: {reason}"),
        }
    }
}

impl Dimension {
    /// The score of one outcome, behind a guard: the operator's panic is an error with its message, and one that is
    /// quarantined is not called.
    pub fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Result<Option<i64>, Failed> {
        if let Some(reason) = &self.quarantined {
            return Err(Failed::Quarantined(reason.clone()));
        }
        watch::call(self.place, || guarded(|| self.scorer.score(outcome, explain))).map_err(Failed::Panicked)
    }
}

impl Rubric {
    /// The same with another operator for a dimension: one that is in no catalogue, in tests.
    pub fn with_scorer(mut self, dimension: &str, scorer: Arc<dyn Scorer>) -> Rubric {
        for d in self.dimensions.iter_mut().filter(|d| d.dimension == dimension) {
            d.scorer = scorer.clone();
        }
        self
    }

    /// The same, in which these operators are not called.
    pub fn with_quarantined(mut self, quarantined: BTreeMap<Id, String>) -> Rubric {
        for d in &mut self.dimensions {
            d.quarantined = quarantined.get(&d.operator).cloned();
        }
        self.quarantined = quarantined;
        self
    }

    /// Operators that are not called, with the reason.
    pub fn quarantined(&self) -> &BTreeMap<Id, String> {
        &self.quarantined
    }

    /// Those of them that it would call.
    pub fn missed(&self) -> impl Iterator<Item = (&Id, &String)> {
        let has = |operator: &Id| self.dimensions.iter().any(|d| d.operator == *operator);
        self.quarantined.iter().filter(move |(operator, _)| has(operator))
    }

    /// Checks a rubric: unknown operators, parameters that do not fit, weights that do not add up to 10,000.
    pub fn new(published: &RubricPublished) -> Result<Rubric, RubricFault> {
        let fault = |field: String, problem: String| RubricFault { field, problem };
        let mut dimensions: Vec<Dimension> = Vec::new();
        for (n, d) in published.dimensions.iter().enumerate() {
            let at = |field: &str| format!("dimensions[{n}].{field}");
            if dimensions.iter().any(|other| other.dimension == d.dimension) {
                return Err(fault(at("dimension"), format!("is `{}` again, expected each once", d.dimension)));
            }
            let entry = find(&d.operator).ok_or_else(|| {
                let known: Vec<_> = CATALOGUE.iter().map(|e| format!("`{}`", e.name)).collect();
                fault(at("operator"), format!("is `{}`, expected one of {}", d.operator, known.join(", ")))
            })?;
            let scorer = (entry.build)(&d.parameters)
                .map_err(|problem| fault(at("parameters"), format!("do not fit `{}`: {problem}", d.operator)))?;
            let (dimension, weight_bp, operator) = (d.dimension.clone(), d.weight_bp, d.operator.clone());
            let place = CATALOGUE.iter().position(|e| e.name == entry.name).map_or(u32::MAX, |at| at as u32);
            dimensions.push(Dimension { dimension, weight_bp, operator, scorer, place, quarantined: None });
        }
        let sum: u64 = dimensions.iter().map(|d| u64::from(d.weight_bp)).sum();
        if sum != FULL_BP as u64 {
            return Err(fault("dimensions".into(), format!("have weights of {sum} in sum, expected {FULL_BP}")));
        }
        let text =
            serde_json::to_string(published).map_err(|e| fault("data".into(), format!("cannot be written: {e}")))?;
        let text = canonical(&text).map_or_else(|_| text.clone(), |text| text.into_owned());
        Ok(Rubric {
            rubric: published.rubric.clone(),
            version: published.version,
            dimensions,
            text: RubricText(text.into()),
            quarantined: BTreeMap::new(),
        })
    }

    /// From its text.
    pub fn parse(text: &RubricText) -> Result<Rubric, RubricFault> {
        let published: RubricPublished = serde_json::from_str(&text.0)
            .map_err(|e| RubricFault { field: "data".into(), problem: format!("is no rubric: {e}") })?;
        Rubric::new(&published)
    }

    fn parts(&self) -> (&RubricText, &BTreeMap<Id, String>) {
        (&self.text, &self.quarantined)
    }

    /// Its text.
    pub fn text(&self) -> &RubricText {
        &self.text
    }
}

impl PartialEq for Rubric {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Rubric {}

impl PartialOrd for Rubric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rubric {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl Hash for Rubric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl Serialize for Rubric {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.parts().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Rubric {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (text, quarantined) = <(RubricText, BTreeMap<Id, String>)>::deserialize(d)?;
        let rubric = Rubric::parse(&text).map_err(serde::de::Error::custom)?;
        Ok(rubric.with_quarantined(quarantined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rubric(text: &str) -> Result<Rubric, RubricFault> {
        Rubric::parse(&RubricText(text.into()))
    }

    #[test]
    fn faults_name_their_field() {
        let said = |dimensions: &str| {
            rubric(&format!(r#"{{"rubric":"r","version":1,"dimensions":{dimensions}}}"#))
                .expect_err(dimensions)
                .to_string()
        };
        let d = |name: &str, weight: u32, operator: &str, parameters: &str| {
            format!(
                r#"{{"dimension":"{name}","weight_bp":{weight},"operator":"{operator}","parameters":{parameters}}}"#
            )
        };
        assert_eq!(said("[]"), "`dimensions` have weights of 0 in sum, expected 10000");
        let tests = d("a", 10_000, "test_groups", "{}");
        assert_eq!(said(&format!("[{tests},{tests}]")), "`dimensions[1].dimension` is `a` again, expected each once");
        let unknown = said(&format!("[{}]", d("a", 10_000, "magic", "{}")));
        assert!(unknown.starts_with("`dimensions[0].operator` is `magic`, expected one of `test_groups`"), "{unknown}");
        let misfit = said(&format!("[{}]", d("a", 10_000, "log_ratio", r#"{"measure":"m","bad":"x","reference":1}"#)));
        assert!(misfit.starts_with("`dimensions[0].parameters` do not fit `log_ratio`: `bad`:"), "{misfit}");
    }

    #[test]
    fn it_survives_being_stored() {
        let text =
            r#"{"rubric":"r","version":2,"dimensions":[{"dimension":"c","weight_bp":10000,"operator":"test_groups"}]}"#;
        let rubric = rubric(text).unwrap().with_quarantined([("test_groups".into(), "slow".into())].into());
        let again: Rubric = serde_json::from_str(&serde_json::to_string(&rubric).unwrap()).unwrap();
        assert_eq!((again.version, &again), (2, &rubric));
        let said = again.dimensions[0].score(&Outcome::default(), &mut Explain::nothing());
        assert_eq!(said, Err(Failed::Quarantined("slow".into())));
    }
}
