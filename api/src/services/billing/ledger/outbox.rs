//! The outbox: records that a transaction wants on the log. Appended until they are durable there, then removed.

use gravity_events::{Body, Record, codec};
use gravity_ingest::log::{Log, Produce};
use gravity_storage::transaction;
use sqlx::Row;

use super::{Ledger, LedgerError, Tx};
use crate::metrics;

/// Records that are appended together.
const BATCH: i64 = 500;

/// Puts a record in. `id` is its place: the same again is the same record.
pub(super) async fn put(tx: &mut Tx, id: &str, record: &Record, now_ms: i64) -> Result<(), LedgerError> {
    const SQL: &str = "INSERT INTO outbox (id, created_at_ms, record) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
    let text = String::from_utf8(codec::encode(record)).expect("a record is JSON");
    sqlx::query(SQL).bind(id).bind(now_ms).bind(text).execute(&mut **tx).await?;
    Ok(())
}

/// Why the outbox does not get empty.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database is away.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log is.
    #[error("the log took nothing: {0}")]
    Log(#[from] gravity_ingest::log::LogError),
}

impl Ledger {
    /// Appends what is in the outbox. How many records it was; 0: it is empty.
    ///
    /// After a crash in between records are appended again: by their identity they count once.
    pub(super) async fn relay(&self, log: &dyn Log) -> Result<usize, OutboxError> {
        const TAKE: &str = "SELECT id, record FROM outbox ORDER BY created_at_ms, id LIMIT $1";
        let pool = self.pool().await?;
        let rows = sqlx::query(TAKE).bind(BATCH).fetch_all(pool).await.map_err(LedgerError::from)?;
        let mut ids: Vec<String> = Vec::with_capacity(rows.len());
        let mut records: Vec<Produce> = Vec::with_capacity(rows.len());
        let mut marks_bp: Vec<u32> = Vec::new();
        for row in &rows {
            let id: String = row.try_get(0).map_err(LedgerError::from)?;
            let text: String = row.try_get(1).map_err(LedgerError::from)?;
            match codec::decode(text.as_bytes()) {
                Ok(record) => {
                    if let Body::BudgetAlert(alert) = &record.body {
                        marks_bp.push(alert.mark_bp);
                    }
                    records.push(Produce::from(&record));
                }
                // Written by this service: only another build could have written what this one cannot read.
                Err(error) => tracing::error!(%id, %error, "a record of the outbox cannot be read and is dropped"),
            }
            ids.push(id);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        self.failpoints.pass("ledger.before_append").map_err(LedgerError::from)?;
        log.append(records).await?;
        for mark_bp in marks_bp {
            metrics::BUDGET_ALERTS.with_label_values(&[mark_bp.to_string()]).inc();
        }
        self.failpoints.pass("ledger.after_append").map_err(LedgerError::from)?;
        let removed: Result<(), LedgerError> = transaction!(self.database, tx => remove(&mut tx, &ids));
        removed?;
        Ok(ids.len())
    }
}

async fn remove(tx: &mut Tx, ids: &[String]) -> Result<(), LedgerError> {
    for id in ids {
        sqlx::query("DELETE FROM outbox WHERE id = $1").bind(id.as_str()).execute(&mut **tx).await?;
    }
    Ok(())
}
