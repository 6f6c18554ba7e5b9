//! What a tenant uses in a minute, all together.

use differential_dataflow::VecCollection;
use gravity_events::Id;
use gravity_events::burn::{Cell, Charged, Usage};
use gravity_events::record::stable_hash128;
use serde::{Deserialize, Serialize};

use crate::primitives::reduce::GroupKey;
use crate::primitives::sum::sum_total;

/// A minute of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantMinute {
    /// Who pays.
    pub tenant: Id,
    /// Minutes since 1970.
    pub minute: i64,
}

impl GroupKey for TenantMinute {
    fn route(&self) -> u64 {
        stable_hash128(&[self.tenant.as_bytes(), &self.minute.to_le_bytes()]) as u64
    }
}

/// Usage and cost (micro-units) of each minute of each tenant that has any.
pub fn minutes(
    charged: VecCollection<'_, u64, (Cell, Charged), i64>,
) -> VecCollection<'_, u64, (TenantMinute, Usage, i64), i64> {
    let rows = charged.map(|(cell, Charged { usage, cost_micro, .. })| {
        let Usage { records, input_tokens, output_tokens, cached_tokens, duration_ms } = usage;
        let numbers = [records, input_tokens, output_tokens, cached_tokens, duration_ms, cost_micro];
        (TenantMinute { tenant: cell.tenant, minute: cell.minute }, numbers)
    });
    sum_total(rows, "Minutes").map(|(minute, numbers)| {
        let [records, input_tokens, output_tokens, cached_tokens, duration_ms, cost_micro] = numbers;
        (minute, Usage { records, input_tokens, output_tokens, cached_tokens, duration_ms }, cost_micro)
    })
}
