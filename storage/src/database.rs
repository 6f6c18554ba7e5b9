//! Databases of services: PostgreSQL, or an SQLite file where none is configured. One text of SQL for both.
//!
//! What both understand alike: `$1` for parameters, TEXT and BIGINT columns (no BOOLEAN, no NUMERIC), `ON CONFLICT`. Sums are
//! cast to BIGINT.

mod erase;

use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, SqlStr, Transaction};
use tokio::sync::OnceCell;

/// Migrations of the billing service. Listed by hand: the macro that reads the folder needs all of sqlx, built once more for the compiler.
pub static BILLING: LazyLock<Migrator> = LazyLock::new(|| {
    let step = |version, what: &'static str, sql| {
        Migration::new(version, what.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    };
    Migrator::with_migrations(vec![
        step(1, "ledger", include_str!("../migrations/billing/0001_ledger.sql")),
        step(2, "invoices", include_str!("../migrations/billing/0002_invoices.sql")),
    ])
});

/// Connections to a PostgreSQL server.
const CONNECTIONS: u32 = 8;
/// How long a request waits for a connection before it is told that the database is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tries of a transaction that collides with another.
pub const TRIES: u32 = 10;

/// Why a database did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Its address cannot be used.
    #[error(
        "`{url}` is no address of a database ({why}); expected postgres://user:password@host/name or sqlite://path"
    )]
    Address {
        /// As it was given, without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Its tables cannot be brought to this build's form.
    #[error("the tables of the {service} database cannot be brought up to date: {source}")]
    Migrate {
        /// Whose.
        service: &'static str,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed, or the server is away.
    #[error("the database failed: {0}")]
    Failed(#[from] sqlx::Error),
}

/// A service's database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    is_file: bool,
    service: &'static str,
    migrations: &'static Migrator,
    ready: Arc<OnceCell<()>>,
}

impl Database {
    /// Opens the database of a service. A server may be away: who asks then is told so, until it is back.
    ///
    /// # Errors
    /// The address cannot be used; a file cannot be opened, or its tables are of a newer build.
    pub async fn open(
        url: &str,
        service: &'static str,
        migrations: &'static Migrator,
    ) -> Result<Database, DatabaseError> {
        sqlx::any::install_default_drivers();
        let is_file = url.starts_with("sqlite:");
        let shown = || url.split_once('@').map_or(url, |(_, rest)| rest).to_owned();
        if !is_file && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(DatabaseError::Address { url: shown(), why: "another scheme".to_owned() });
        }
        let options = AnyConnectOptions::from_str(url)
            .map_err(|error| DatabaseError::Address { url: shown(), why: error.to_string() })?;
        let pool = AnyPoolOptions::new()
            // SQLite has one writer anyway. Queued here, nobody finds it busy.
            .max_connections(if is_file { 1 } else { CONNECTIONS })
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_file {
                        // FULL: what was committed survives the loss of power, also in WAL mode.
                        let settings =
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000";
                        sqlx::raw_sql(settings).execute(connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        let database = Database { pool, is_file, service, migrations, ready: Arc::default() };
        if is_file {
            database.ready().await?;
        }
        Ok(database)
    }

    /// Brings the tables up to date, once.
    ///
    /// # Errors
    /// The server does not answer, or the tables are of a newer build.
    pub async fn ready(&self) -> Result<(), DatabaseError> {
        let migrate = async || {
            // Told apart from tables that are not as they should be: it may be back in a moment.
            drop(self.pool.acquire().await?);
            let (service, migrated) = (self.service, self.migrations.run(&self.pool).await);
            migrated.map_err(|source| DatabaseError::Migrate { service, source })
        };
        self.ready.get_or_try_init(migrate).await.copied()
    }

    /// Opens an SQLite file, which is made where there is none.
    ///
    /// # Errors
    /// As of [`Database::open`].
    pub async fn file(
        path: &Path,
        service: &'static str,
        migrations: &'static Migrator,
    ) -> Result<Database, DatabaseError> {
        let mut url = url::Url::parse("sqlite:///").expect("a plain address");
        url.set_path(&path.to_string_lossy());
        url.set_query(Some("mode=rwc"));
        Database::open(url.as_str(), service, migrations).await
    }

    /// Its connections, for what needs no transaction.
    ///
    /// # Errors
    /// As of [`Database::ready`].
    pub async fn pool(&self) -> Result<&AnyPool, DatabaseError> {
        self.ready().await?;
        Ok(&self.pool)
    }

    /// Closes its connections: files are whole then, and nobody holds them.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Begins a transaction that writes. See [`crate::transaction`].
    ///
    /// # Errors
    /// No connection could be had.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, DatabaseError> {
        let begin = if self.is_file { "BEGIN IMMEDIATE" } else { "BEGIN" };
        Ok(self.pool().await?.begin_with(begin).await?)
    }
}

/// Does work in one transaction, and again when it collides with another's. What ends as Err is undone. A macro, since closures
/// that borrow and return futures which may move between threads cannot be written yet.
///
/// ```ignore
/// let closed: Result<bool, LedgerError> = transaction!(database, tx => close(&mut tx, id));
/// ```
#[macro_export]
macro_rules! transaction {
    ($database:expr, $tx:ident => $work:expr) => {{
        let mut tries = 0;
        loop {
            tries += 1;
            let attempt = async {
                let mut $tx = $database.begin().await?;
                let done = $work.await?;
                $tx.commit().await.map_err($crate::database::DatabaseError::from)?;
                Ok(done)
            };
            match attempt.await {
                Err(error)
                    if tries < $crate::database::TRIES && $crate::database::AsCollision::is_collision(&error) => {}
                other => break other,
            }
        }
    }};
}

/// Errors of which it can be told whether the same again may succeed.
pub trait AsCollision {
    /// Whether two transactions stood in each other's way.
    fn is_collision(&self) -> bool;
}

impl AsCollision for DatabaseError {
    fn is_collision(&self) -> bool {
        let DatabaseError::Failed(sqlx::Error::Database(error)) = self else { return false };
        // PostgreSQL: serialization failure, deadlock. SQLite: busy, and its extended forms.
        matches!(error.code().as_deref(), Some("40001" | "40P01" | "5" | "261" | "517"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_listed_in_order() {
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/billing"))
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        files.sort();
        let listed = BILLING.iter().map(|step| format!("{:04}_{}.sql", step.version, step.description));
        assert_eq!(listed.collect::<Vec<_>>(), files);
    }
}
