//! Identifiers in the order that contest systems use.

use std::cmp::Ordering;

use gravity_events::{Id, natural_cmp};
use serde::{Deserialize, Serialize};

/// An identifier whose `Ord` is [`natural_cmp`] (`9 < 10`), so that a value which holds one sorts as the rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NaturalId(pub Id);

impl Ord for NaturalId {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0 == other.0 { Ordering::Equal } else { natural_cmp(&self.0, &other.0) }
    }
}

impl PartialOrd for NaturalId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for NaturalId {
    fn from(id: &str) -> Self {
        NaturalId(id.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_digits_by_value() {
        let mut ids: Vec<NaturalId> = ["s10", "s9", "s1", "10", "9", "s9a"].into_iter().map(Into::into).collect();
        ids.sort();
        assert_eq!(ids.iter().map(|i| i.0.as_str()).collect::<Vec<_>>(), ["9", "10", "s1", "s9", "s9a", "s10"]);
    }
}
