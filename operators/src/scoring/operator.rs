//! What a dimension's operator is.

use std::fmt::Debug;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::explain::Explain;
use crate::boards::facts::Outcome;

/// All that a dimension can score: 100 %.
pub const FULL_BP: i64 = 10_000;

/// An operator for a dimension. The struct that implements it holds its parameters, documented field by field.
pub trait DimensionOperator: DeserializeOwned + JsonSchema + Debug + Send + Sync + 'static {
    /// Its name in rubrics.
    const NAME: &'static str;
    /// What it computes, in a line.
    const SUMMARY: &'static str;
    /// Parameters that make sense, as JSON: for the documentation and as a test.
    const EXAMPLE: &'static str;

    /// Whether the parameters make sense together. Says what is wrong and what was expected.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The score of one submission in basis points, from 0 to [`FULL_BP`]; none while what it needs is not measured. Pure:
    /// the same parameters and outcome, the same score. Where powers or logarithms are needed, from `libm`, rounded once.
    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64>;
}

/// An operator with its parameters, ready to score.
pub trait Scorer: Debug + Send + Sync {
    /// See [`DimensionOperator::score`].
    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64>;
}

impl<T: DimensionOperator> Scorer for T {
    fn score(&self, outcome: &Outcome, explain: &mut Explain) -> Option<i64> {
        DimensionOperator::score(self, outcome, explain).map(|bp| bp.clamp(0, FULL_BP))
    }
}

/// An entry of the catalogue.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name in rubrics.
    pub name: &'static str,
    /// What it computes.
    pub summary: &'static str,
    /// Parameters that make sense, as JSON.
    pub example: &'static str,
    /// JSON schema of its parameters.
    pub schema: fn() -> serde_json::Value,
    /// Takes parameters; says what is wrong with them.
    pub build: fn(&serde_json::Value) -> Result<Arc<dyn Scorer>, String>,
}

impl Entry {
    /// The entry of an operator.
    pub const fn of<T: DimensionOperator>() -> Entry {
        Entry { name: T::NAME, summary: T::SUMMARY, example: T::EXAMPLE, schema: schema::<T>, build: build::<T> }
    }
}

fn schema<T: DimensionOperator>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}

fn build<T: DimensionOperator>(parameters: &serde_json::Value) -> Result<Arc<dyn Scorer>, String> {
    // No parameters are written as nothing at all, too.
    let empty = serde_json::Value::Object(serde_json::Map::new());
    let given = if parameters.is_null() { &empty } else { parameters };
    let operator: T = serde_path_to_error::deserialize(given).map_err(|e| match e.path().to_string().as_str() {
        "." => e.inner().to_string(),
        path => format!("`{path}`: {}", e.inner()),
    })?;
    operator.check()?;
    Ok(Arc::new(operator))
}
