//! A row per record in an embedded key-value store.

use std::path::Path;

use gravity_ingest::log::Entry;
use redb::{Database, Durability, TableDefinition};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const BATCH: usize = 1_000;

/// The store, and the rows that are not in it yet.
pub struct Rows {
    db: Database,
    batch: Vec<Entry>,
}

impl Rows {
    /// An empty store.
    pub fn create(path: &Path) -> anyhow::Result<Rows> {
        Ok(Rows { db: Database::create(path)?, batch: Vec::with_capacity(BATCH) })
    }

    /// Puts the record under its key, durable after 1,000 of them at the latest.
    pub fn put(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.batch.push(entry.clone());
        if self.batch.len() == BATCH { self.commit() } else { Ok(()) }
    }

    /// Makes all durable.
    pub fn commit(&mut self) -> anyhow::Result<()> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for entry in self.batch.drain(..) {
                let mut key = entry.key.to_vec();
                key.extend_from_slice(&entry.position.offset.to_be_bytes());
                table.insert(key.as_slice(), &*entry.value)?;
            }
        }
        Ok(transaction.commit()?)
    }
}
