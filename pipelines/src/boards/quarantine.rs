//! Operators that did not come back: not called again, from the next start of the views on, and by a record for good.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use differential_dataflow::AsCollection;
use gravity_events::body::OperatorQuarantined;
use gravity_events::{Body, Id, Record};
use gravity_ingest::log::Produce;
use gravity_operators::boards::facts::{BoardFacts, EventKey};
use gravity_operators::watch::Call;
use parking_lot::Mutex;
use timely::dataflow::operators::vec::ToStream;

use crate::runtime::watchdog::Overrun;

/// What is quarantined since this process began. It is in the log, too; but views that are made of the folds as they were
/// before that record would call the operator again.
#[derive(Default)]
pub struct Quarantine(Mutex<BTreeMap<(EventKey, Id), String>>);

impl Quarantine {
    /// Quarantines an operator for an event. Gives the record that says so.
    pub fn begin(&self, overrun: &Overrun) -> Vec<Produce> {
        let Call { operator, event, .. } = overrun.call.clone();
        let (operator, reason) = (Id::const_new(operator), overrun.to_string());
        self.0.lock().insert((event.clone(), operator.clone()), reason.clone());
        // One that was released may have to be quarantined again: that is another record.
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let record = Record {
            id: format!("{operator}/{now_ms}").into(),
            source: Id::const_new("urn:gravity:watchdog"),
            tenant: event.tenant,
            event: Some(event.event),
            subject: None,
            time_ms: Some(now_ms),
            backfill: true,
            body: Body::OperatorQuarantined(OperatorQuarantined { operator, reason, ..Default::default() }),
        };
        vec![(&record).into()]
    }

    /// The facts with those.
    pub fn add_to<'s>(&self, facts: BoardFacts<'s>) -> BoardFacts<'s> {
        let known = self.0.lock().clone();
        if known.is_empty() {
            return facts;
        }
        let scope = facts.quarantines.inner.scope();
        let mine = if scope.index() == 0 { known } else { BTreeMap::new() };
        let rows = mine.into_iter().map(|row| (row, 0, 1)).to_stream(scope).as_collection();
        // The record, once it is read, says the same.
        BoardFacts { quarantines: facts.quarantines.concat(rows).distinct_core::<i64>(), ..facts }
    }
}
