//! Answers to questions about boards that are computed on demand.

use std::sync::Arc;

use gravity_events::publish::BoardsEpoch;
use gravity_events::query::{Asker, BoardQueries, Objects, QueryError, Resolution, ScoreExplained, Supposition};
use gravity_events::{Body, Id};
use gravity_operators::boards::explain::explain;
use gravity_operators::boards::resolver::resolve;

use super::store::FactStore;
use super::{objects, suppose};

/// The boards pipeline's answers.
pub struct Queries {
    store: FactStore,
}

impl Queries {
    pub(super) fn new(store: FactStore) -> Queries {
        Queries { store }
    }
}

impl BoardQueries for Queries {
    fn boards(&self, event: &Id, supposition: &Supposition) -> Result<BoardsEpoch, QueryError> {
        let rows = self.store.event(event)?;
        let facts = suppose::suppose(&rows, supposition)?;
        suppose::compute(&rows, facts)
    }

    fn explain(&self, event: &Id, submission: &Id, asker: &Asker) -> Result<ScoreExplained, QueryError> {
        let rows = self.store.event(event)?;
        let facts = suppose::suppose(&rows, &Supposition::default())?;
        explain(&rows.event, &facts, submission, asker)
    }

    fn objects(&self, event: &Id, public: bool) -> Result<Objects, QueryError> {
        Ok(objects::objects(&self.store.event(event)?, public))
    }

    fn resolve(&self, event: &Id, name_key: &dyn Fn(&str) -> Arc<[u8]>) -> Result<Resolution, QueryError> {
        let rows = self.store.event(event)?;
        let facts = suppose::suppose(&rows, &Supposition::default())?;
        resolve(&rows.event, &facts, name_key)
    }

    fn check(&self, body: &Body) -> Result<(), QueryError> {
        suppose::check(body)
    }
}
