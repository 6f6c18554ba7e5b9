//! Reference data: who takes part, in what, by which rules. Compacted topic; a key per object.

use serde::{Deserialize, Serialize};

use super::ValueFunction;
use crate::Id;

/// A team takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TeamRegistered {
    /// Its id, unique in the event.
    pub team: Id,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The name to show, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Id>,
    /// Its groups; each is a division of the board.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Id>,
    /// Never on a public board.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub hidden: bool,
    /// Shown without a rank, and nobody else's score depends on what it does.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub out_of_competition: bool,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// The highest revision is the current state; equal ones go by place in the log.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// A group of teams; each is a division of the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupRegistered {
    /// Its id.
    pub group: Id,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Hides its teams from public boards.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub hidden: bool,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// See [`TeamRegistered::revision`].
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// An organization that teams belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrganizationRegistered {
    /// Its id.
    pub organization: Id,
    /// Short name.
    #[serde(default)]
    pub name: String,
    /// Full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formal_name: Option<String>,
    /// ISO 3166-1 alpha-3 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Id>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// See [`TeamRegistered::revision`].
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// A problem can be worked on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProblemPublished {
    /// Its id.
    pub problem: Id,
    /// Short label on the board, such as `A`.
    #[serde(default)]
    pub label: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its place on the board; then label, then id.
    #[serde(default)]
    pub ordinal: i64,
    /// Colour as `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rgb: Option<String>,
    /// CTF boards: what it is worth, where not what the event says.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::objects::object_option")]
    pub value: Option<ValueFunction>,
    /// Rubric, IOI and Kaggle boards: its score counts so many times; once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// See [`TeamRegistered::revision`].
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// A language that submissions may be in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LanguagePublished {
    /// Its id.
    pub language: Id,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// See [`TeamRegistered::revision`].
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// A verdict and what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JudgementTypePublished {
    /// Its id, such as `AC`.
    pub judgement_type: Id,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whether it solves the problem; absent means not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solved: Option<bool>,
    /// Whether it costs penalty; absent means that it does unless it solves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<bool>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// See [`TeamRegistered::revision`].
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// An operator of rubrics is not called any more in this event, or is again: it did not come back. What it would score is
/// pending.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperatorQuarantined {
    /// Its name.
    pub operator: Id,
    /// Why.
    pub reason: String,
    /// It is called again.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub released: bool,
    /// See [`TeamRegistered::revision`].
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// How submissions become scores: weights and operators by name. Versions are kept side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RubricPublished {
    /// Its name.
    pub rubric: Id,
    /// Its version.
    pub version: u64,
    /// Dimensions with weights in basis points and operators with their parameters.
    #[serde(deserialize_with = "super::objects::list")]
    pub dimensions: Vec<RubricDimension>,
}

/// One dimension of a rubric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RubricDimension {
    /// Such as `correctness`.
    pub dimension: Id,
    /// Weight in basis points; all weights add up to 10,000.
    pub weight_bp: u32,
    /// The operator that computes it.
    pub operator: Id,
    /// Its parameters, checked against the operator's schema.
    #[serde(default)]
    pub parameters: serde_json::Value,
}

/// What usage costs, by model and kind. Versions are kept side by side. A record that names an event is for that event's
/// usage, in place of the lists that name none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PricePublished {
    /// Name of the price list.
    pub price_list: Id,
    /// Its version.
    pub version: u64,
    /// ISO 4217. All lists of a tenant are in one currency.
    pub currency: Id,
    /// From when on, on the minute; none: from the beginning. Usage has the prices of the start of its minute.
    #[serde(default, with = "crate::time::rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<i64>,
    /// Prices.
    #[serde(deserialize_with = "super::objects::list")]
    pub prices: Vec<Price>,
}

/// The price of one kind of usage.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Price {
    /// Model or machine type.
    pub model: Id,
    /// `input`, `output`, `cached`, `vm_second`, `hint`.
    pub kind: Id,
    /// Micro-units of the currency per million units.
    pub micro_per_million: i64,
    /// Other prices for what comes above so many units of a calendar month (UTC). A grant is a price of 0 below the first.
    #[serde(default, deserialize_with = "super::objects::list", skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
}

/// The price of units above a number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PriceTier {
    /// For units of the month after this many.
    pub above_units: u64,
    /// Micro-units of the currency per million units.
    pub micro_per_million: i64,
}

/// How much a tenant, an event or a team may spend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSet {
    /// Its name.
    pub budget: Id,
    /// The team whose budget it is; None: all of the event, or of the tenant where the record names no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Id>,
    /// Limit in micro-units of `currency`.
    pub limit_micro: i64,
    /// ISO 4217.
    pub currency: Id,
    /// Shares of the limit, in basis points, at which an alert is sent.
    #[serde(default)]
    pub alerts_bp: Vec<u32>,
    /// Only alerts: whoever reserves more is let in.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub soft: bool,
}
