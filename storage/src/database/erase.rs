//! Erasing a person from the billing database. Invoices are left as they were issued: the law wants them kept, and they name teams
//! and models, not people.

use gravity_events::erasure::Erasure;
use sqlx::{AssertSqlSafe, Row};

use super::{Database, DatabaseError};

/// Columns that may name a person, of tables that have a tenant.
const COLUMNS: &[(&str, &[&str])] = &[
    ("accounts", &["team"]),
    ("budgets", &["budget", "team"]),
    ("reservations", &["reservation", "team", "lab", "item", "used"]),
];

impl Database {
    /// Erases a person from the tables of billing. How many values changed. Stopped in between, it may be done again.
    ///
    /// # Errors
    /// The database is away, or refuses.
    pub async fn erase(&self, erasure: &Erasure) -> Result<u64, DatabaseError> {
        let mut changed = 0;
        let mut tx = self.begin().await?;
        for (table, columns) in COLUMNS {
            for column in *columns {
                // Names are from the list above.
                let select = format!("SELECT DISTINCT {column} FROM {table} WHERE tenant = $1");
                let update = format!("UPDATE {table} SET {column} = $1 WHERE tenant = $2 AND {column} = $3");
                let tenant = erasure.tenant.as_str();
                let rows = sqlx::query(AssertSqlSafe(select)).bind(tenant).fetch_all(&mut *tx).await?;
                for row in rows {
                    let old: String = row.try_get(0)?;
                    if let Some(new) = erasure.text(&old) {
                        let update = sqlx::query(AssertSqlSafe(update.clone()));
                        changed += update.bind(new).bind(tenant).bind(old).execute(&mut *tx).await?.rows_affected();
                    }
                }
            }
        }
        for row in sqlx::query("SELECT id, record FROM outbox").fetch_all(&mut *tx).await? {
            let (id, record): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(new) = erasure.raw(record.as_bytes()).and_then(|new| String::from_utf8(new).ok()) {
                let new_id = erasure.text(&id).unwrap_or_else(|| id.clone());
                let update = sqlx::query("UPDATE outbox SET id = $1, record = $2 WHERE id = $3");
                changed += update.bind(new_id).bind(new).bind(id).execute(&mut *tx).await?.rows_affected();
            }
        }
        tx.commit().await?;
        self.shed_old_bytes().await?;
        Ok(changed)
    }

    /// Writes the tables anew, so that their files do not hold what was replaced.
    async fn shed_old_bytes(&self) -> Result<(), DatabaseError> {
        let pool = self.pool().await?;
        if self.is_file {
            for statement in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
                sqlx::raw_sql(statement).execute(pool).await?;
            }
            return Ok(());
        }
        for (table, _) in COLUMNS.iter().chain(&[("outbox", &[][..])]) {
            sqlx::raw_sql(AssertSqlSafe(format!("VACUUM FULL {table}"))).execute(pool).await?;
        }
        Ok(())
    }
}
