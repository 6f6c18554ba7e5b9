//! Answers questions, within limits.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::SqlError;
use super::catalog::{LakeTables, LiveTable, Scope, catalog};
use super::views::ViewsSchema;
use crate::objects::Objects;

/// What queries may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all queries together; what is beyond goes to disk where it can.
    pub memory_bytes: usize,
    /// Disk of all queries together.
    pub spill_bytes: u64,
    /// Time of one query.
    pub time: Duration,
    /// Rows of one answer.
    pub rows: usize,
    /// Queries at once.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes: 512 << 20,
            spill_bytes: 8 << 30,
            time: Duration::from_secs(60),
            rows: 1_000_000,
            concurrency: 4,
        }
    }
}

/// The catalogue of a session.
pub(super) const CATALOG: &str = "gravity";
/// Largest consumers that an error of memory names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::new(3).expect("3 is more than 0");

/// The engine: one for a process.
pub struct SqlEngine {
    lake: Arc<LakeTables>,
    live: Arc<Vec<LiveTable>>,
    runtime: Arc<RuntimeEnv>,
    running: Arc<Semaphore>,
    limits: Limits,
    /// Where queries run; None: where they are asked.
    threads: Option<Handle>,
}

/// An answer that is being computed. Dropping it ends the query.
pub struct Answer {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    /// None: its end was told.
    computing: Option<AbortOnDropHandle<()>>,
    until: Instant,
    limits: Limits,
    rows: usize,
    _running: OwnedSemaphorePermit,
}

impl SqlEngine {
    /// Over the lake in a place for objects, and live tables. `spill`: a folder for what does not fit into memory.
    pub fn new(objects: Objects, live: Vec<LiveTable>, spill: PathBuf, limits: Limits) -> Result<SqlEngine, SqlError> {
        let failed = |e: datafusion::error::DataFusionError| SqlError::Failed(e.strip_backtrace());
        std::fs::create_dir_all(&spill)
            .map_err(|e| SqlError::Failed(format!("cannot create the folder {}: {e}", spill.display())))?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![spill]))
            .with_max_temp_directory_size(limits.spill_bytes);
        let pool = TrackConsumersPool::new(FairSpillPool::new(limits.memory_bytes), CONSUMERS_NAMED);
        let runtime = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(disk)
            .with_memory_pool(Arc::new(pool))
            .build_arc()
            .map_err(failed)?;
        Ok(SqlEngine {
            lake: Arc::new(LakeTables::new(objects)),
            live: Arc::new(live),
            runtime,
            running: Arc::new(Semaphore::new(limits.concurrency)),
            limits,
            threads: None,
        })
    }

    /// The same, whose queries run on these threads: what plans and computes must not hold up those that answer requests.
    pub fn on(mut self, threads: Handle) -> SqlEngine {
        self.threads = Some(threads);
        self
    }

    /// Where queries run.
    pub(super) fn threads(&self) -> Handle {
        self.threads.clone().unwrap_or_else(Handle::current)
    }

    /// What queries may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The places of queries that are answered.
    pub(super) fn running(&self) -> Arc<Semaphore> {
        self.running.clone()
    }

    /// A session that sees what a scope sees.
    pub fn session(&self, scope: &Scope) -> Result<SessionContext, SqlError> {
        let (lake, live, of, runtime) = (self.lake.clone(), self.live.clone(), scope.clone(), self.runtime.clone());
        // Views are planned on what this scope sees, too.
        let tables = move || {
            let context = SessionContext::new_with_config_rt(session_config(), runtime.clone());
            context.register_catalog(CATALOG, catalog(&lake, &live, &of)?);
            Ok(context)
        };
        let tables: Arc<dyn Fn() -> Result<SessionContext, DataFusionError> + Send + Sync> = Arc::new(tables);
        let context = SessionContext::new_with_config_rt(session_config(), self.runtime.clone());
        let own = catalog(&self.lake, &self.live, scope).map_err(SqlError::planning)?;
        let views = Arc::new(ViewsSchema { session: tables });
        own.register_schema("views", views).map_err(SqlError::planning)?;
        context.register_catalog(CATALOG, own);
        Ok(context)
    }

    /// Plans a query and begins to answer it. Only what reads is taken: no DDL, DML, COPY or SET.
    pub async fn query(&self, scope: &Scope, sql: &str) -> Result<Answer, SqlError> {
        let busy = |_| SqlError::Busy { limit: self.limits.concurrency };
        let running = self.running.clone().try_acquire_owned().map_err(busy)?;
        let until = Instant::now() + self.limits.time;
        let (context, sql) = (self.session(scope)?, sql.to_owned());
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let limit_mb = self.limits.memory_bytes >> 20;
        let begin = async move {
            let frame = context.sql_with_options(&sql, options).await.map_err(SqlError::planning)?;
            let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
            let batches = frame.execute_stream().await.map_err(|e| SqlError::running(e, limit_mb))?;
            Ok((schema, batches))
        };
        let begin = AbortOnDropHandle::new(self.threads().spawn(begin));
        let begun = tokio::time::timeout_at(until, begin).await;
        let begun = begun.map_err(|_| SqlError::Time { limit: self.limits.time })?;
        let (schema, mut of_plan) = begun.map_err(|_| broken())??;
        let (tell, batches) = mpsc::channel(1);
        let computing = self.threads().spawn(async move {
            while let Some(batch) = of_plan.next().await {
                if tell.send(batch).await.is_err() {
                    break;
                }
            }
        });
        let computing = Some(AbortOnDropHandle::new(computing));
        Ok(Answer { schema, batches, computing, until, limits: self.limits.clone(), rows: 0, _running: running })
    }
}

/// The engine is others' code, which panics now and then: that ends the query alone.
pub(super) fn broken() -> SqlError {
    SqlError::Failed("the engine broke off: its log says where".to_owned())
}

fn session_config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, "lake")
        .with_information_schema(true);
    config.options_mut().execution.parquet.pushdown_filters = true;
    config
}

impl Answer {
    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The next rows; None at the end.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        let batch = match tokio::time::timeout_at(self.until, self.batches.recv()).await {
            Err(_) => return Some(Err(SqlError::Time { limit: self.limits.time })),
            Ok(None) => return self.computing.take()?.await.err().map(|_| Err(broken())),
            Ok(Some(Err(e))) => return Some(Err(SqlError::running(e, self.limits.memory_bytes >> 20))),
            Ok(Some(Ok(batch))) => batch,
        };
        self.rows += batch.num_rows();
        if self.rows > self.limits.rows {
            return Some(Err(SqlError::Rows { limit: self.limits.rows }));
        }
        Some(Ok(batch))
    }

    /// All rows.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, SqlError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use tokio::task::JoinHandle;

    #[tokio::test]
    async fn an_answer_that_breaks_off_says_so() {
        let (tell, batches) = mpsc::channel(1);
        let computing: JoinHandle<()> = tokio::spawn(async move {
            let _tell = tell;
            panic!("a fault of the engine")
        });
        let mut answer = Answer {
            schema: Arc::new(Schema::empty()),
            batches,
            computing: Some(AbortOnDropHandle::new(computing)),
            until: Instant::now() + Duration::from_secs(10),
            limits: Limits::default(),
            rows: 0,
            _running: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        };
        assert!(matches!(answer.next().await, Some(Err(SqlError::Failed(_)))));
        assert!(answer.next().await.is_none());
    }
}
