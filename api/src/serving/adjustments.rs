//! What late prices changed, as the topic of changes has it: read on when somebody asks, so that nothing is missed whatever
//! was restarted in between.

use std::collections::BTreeMap;

use gravity_events::body::BurnAdjusted;
use gravity_events::{Body, Id, Record, Topic, codec};
use gravity_ingest::log::{Log, LogError, read_on};
use parking_lot::Mutex;

#[derive(Default)]
struct State {
    /// How far each partition was read.
    read: BTreeMap<u32, u64>,
    /// By tenant, then when and the record's id: outputs may be on a topic more than once.
    tenants: BTreeMap<Id, BTreeMap<(i64, Id), BurnAdjusted>>,
}

/// The adjustments of all tenants.
#[derive(Default)]
pub struct Adjustments(Mutex<State>);

impl Adjustments {
    /// Those of a tenant, the latest first. Blocks while the topic is read.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn latest(&self, log: &dyn Log, tenant: &Id, limit: usize) -> Result<Vec<BurnAdjusted>, LogError> {
        let State { read, tenants } = &mut *self.0.lock();
        read_on(log, Topic::Changes, read, |entry| {
            if let Ok(Record { id, tenant, body: Body::BurnAdjusted(adjusted), .. }) = codec::decode(&entry.value) {
                tenants.entry(tenant).or_default().insert((adjusted.at, id), adjusted);
            }
        })?;
        Ok(tenants.get(tenant).map(|all| all.values().rev().take(limit).cloned().collect()).unwrap_or_default())
    }
}
