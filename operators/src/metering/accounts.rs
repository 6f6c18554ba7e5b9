//! What accounts spent without having reserved it.

use differential_dataflow::VecCollection;
use gravity_events::burn::{Account, Cell, Charged};
use gravity_events::record::stable_hash128;

use crate::primitives::reduce::GroupKey;
use crate::primitives::sum::sum_total;

impl GroupKey for Account {
    fn route(&self) -> u64 {
        let part = |id: &Option<gravity_events::Id>| id.clone().unwrap_or_default();
        stable_hash128(&[self.tenant.as_bytes(), part(&self.event).as_bytes(), part(&self.team).as_bytes()]) as u64
    }
}

/// The cost (micro-units) of usage that no reservation was settled with, of each account that has any, and of those above it.
pub fn unreserved(
    charged: VecCollection<'_, u64, (Cell, Charged), i64>,
) -> VecCollection<'_, u64, (Account, i64), i64> {
    let costs = charged.flat_map(|(cell, charged)| {
        let accounts = if cell.reserved { Vec::new() } else { cell.account().and_above() };
        accounts.into_iter().map(move |account| (account, [charged.cost_micro]))
    });
    sum_total(costs, "Unreserved").map(|(account, [cost_micro])| (account, cost_micro))
}
