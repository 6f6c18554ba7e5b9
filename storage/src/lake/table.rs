//! One Delta table: rows and positions in one commit, compaction, and what its commits say of positions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::new_null_array;
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::prelude::{col, lit};
use datafusion::scalar::ScalarValue;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, DataType, PrimitiveType, StructField, Transaction};
use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
};
use deltalake::operations::create::CreateBuilder;
use deltalake::operations::vacuum::VacuumMode;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder, DeltaTableError, FilterOp, FilterValue};
use futures::TryStreamExt;
use gravity_events::Topic;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use url::Url;

use super::LakeError;
use super::columns::{self, Kind};
use super::schema::{PARTITIONED_BY, Row, Table};
use crate::objects::Objects;

/// Offsets up to which partitions are in a table.
pub type Positions = BTreeMap<(Topic, u32), u64>;

/// Commits between checkpoints, which spare readers the single commits.
const CHECKPOINT_COMMITS: &str = "50";

/// A table that is open.
pub struct LakeTable {
    /// What it holds.
    pub spec: Arc<Table>,
    pub(super) table: DeltaTable,
}

/// Commits are files that must not be there yet, on any store: that is all that a log of commits needs.
struct AnyStore;

impl LogStoreFactory for AnyStore {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}

/// Makes tables in buckets known. Done again it changes nothing.
fn register() {
    let s3 = Url::parse("s3://").expect("it is an address");
    logstore_factories().entry(s3).or_insert_with(|| Arc::new(AnyStore));
}

impl LakeTable {
    /// Opens a table, which is made where it is missing.
    pub async fn open(objects: &Objects, spec: Arc<Table>) -> Result<LakeTable, LakeError> {
        register();
        let failed = |source: DeltaTableError| LakeError::Table { table: spec.name, source: Box::new(source) };
        let url = objects.at(spec.name);
        let build =
            || DeltaTableBuilder::from_url(url.clone()).map(|b| b.with_storage_backend(objects.store(), url.clone()));
        let mut table = build().and_then(DeltaTableBuilder::build).map_err(failed)?;
        if !table.verify_deltatable_existence().await.map_err(failed)? {
            let create = CreateBuilder::new()
                .with_log_store(table.log_store())
                .with_table_name(spec.name)
                .with_comment(spec.about)
                .with_save_mode(SaveMode::Ignore)
                .with_columns(fields(&spec))
                .with_partition_columns(PARTITIONED_BY)
                .with_configuration([("delta.checkpointInterval", Some(CHECKPOINT_COMMITS))]);
            match create.await {
                Ok(_) => {}
                // Another made it at the same moment.
                Err(_) if table.verify_deltatable_existence().await.map_err(failed)? => {}
                Err(e) => return Err(failed(e)),
            }
        }
        table.load().await.map_err(failed)?;
        add_columns(&mut table, &spec).await.map_err(failed)?;
        Ok(LakeTable { spec, table })
    }

    pub(super) fn failed(&self, source: DeltaTableError) -> LakeError {
        LakeError::Table { table: self.spec.name, source: Box::new(source) }
    }

    /// Up to where partitions are in the table, as its own commits say; those that never were are left out.
    pub async fn positions(&self, partitions: &[(Topic, u32)]) -> Result<Positions, LakeError> {
        let snapshot = self.table.snapshot().map_err(|e| self.failed(e))?;
        let log_store = self.table.log_store();
        let mut positions = Positions::new();
        for &(topic, partition) in partitions {
            let version = snapshot.transaction_version(log_store.as_ref(), app_id(topic, partition)).await;
            if let Some(offset) = version.map_err(|e| self.failed(e))? {
                positions.insert((topic, partition), u64::try_from(offset).unwrap_or(0));
            }
        }
        Ok(positions)
    }

    /// Adds rows, and says in the same commit up to where partitions are in the table now.
    pub async fn append(&mut self, rows: &[Row], positions: &Positions) -> Result<(), LakeError> {
        let wrong = |source: ArrowError| LakeError::Rows { table: self.spec.name, source };
        let batch = columns::batch(&self.spec.columns, rows).map_err(wrong)?;
        self.append_batch(&batch, positions).await
    }

    /// As [`append`](Self::append), of rows that are columns already.
    pub async fn append_batch(&mut self, batch: &RecordBatch, positions: &Positions) -> Result<(), LakeError> {
        let transaction = |((topic, partition), offset): (&(Topic, u32), &u64)| {
            Transaction::new(app_id(*topic, *partition), i64::try_from(*offset).unwrap_or(i64::MAX))
        };
        let transactions = positions.iter().map(transaction).collect();
        let properties = CommitProperties::default().with_application_transactions(transactions);
        let wrong = |source: ArrowError| LakeError::Rows { table: self.spec.name, source };
        let failed = |source: DeltaTableError| self.failed(source);
        // Not `DeltaTable::write`, which makes and runs a plan of queries for each commit.
        let writer = RecordBatchWriter::for_table(&self.table).map_err(failed)?;
        let mut writer = writer.with_writer_properties(writer_properties(&self.spec, batch.num_rows()));
        let batch =
            sorted(batch, self.spec.sorted_by).and_then(|b| conform(&b, &writer.arrow_schema())).map_err(wrong)?;
        writer.write(batch).await.map_err(failed)?;
        let files = writer.flush().await.map_err(failed)?;
        let partition_by = Some(PARTITIONED_BY.map(str::to_owned).to_vec());
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
        let commit = CommitBuilder::from(properties).with_actions(files.into_iter().map(Action::Add).collect()).build(
            Some(self.table.snapshot().map_err(failed)?),
            self.table.log_store(),
            operation,
        );
        let commit = commit.await.map_err(failed)?;
        self.table.state = Some(commit.snapshot());
        Ok(())
    }

    /// Takes in what others committed.
    pub async fn refresh(&mut self) -> Result<(), LakeError> {
        self.table.update_state().await.map_err(|e| self.failed(e))
    }

    /// Puts small files of a part together. How many files it took away.
    pub async fn compact(&mut self) -> Result<u64, LakeError> {
        let optimize =
            self.table.clone().optimize().with_writer_properties(writer_properties(&self.spec, FILTER_IDS_MAX));
        let (table, metrics) = optimize.with_max_concurrent_tasks(1).await.map_err(|e| self.failed(e))?;
        self.table = table;
        Ok(metrics.num_files_removed)
    }

    /// Takes away all rows of days before one (days since 1970): whole parts, without reading any. How many files held them.
    pub async fn drop_days_before(&mut self, day: i32) -> Result<usize, LakeError> {
        let is_old = col("day").lt(lit(ScalarValue::Date32(Some(day))));
        let (table, metrics) = self.table.clone().delete().with_predicate(is_old).await.map_err(|e| self.failed(e))?;
        self.table = table;
        Ok(metrics.num_removed_files)
    }

    /// Deletes objects that no row has been in for so long: what was compacted or taken away, and what a killed writer left. A
    /// reader that began earlier than that may miss them. How many.
    pub async fn vacuum(&mut self, unused: Duration) -> Result<usize, LakeError> {
        let unused = chrono::Duration::from_std(unused).unwrap_or(chrono::Duration::MAX);
        let vacuum = self.table.clone().vacuum().with_mode(VacuumMode::Full).with_retention_period(unused);
        let (table, metrics) = vacuum.with_enforce_retention_duration(false).await.map_err(|e| self.failed(e))?;
        self.table = table;
        Ok(metrics.files_deleted.len())
    }

    /// Files that hold its rows now.
    pub fn files(&self) -> Result<usize, LakeError> {
        Ok(self.table.get_file_uris().map_err(|e| self.failed(e))?.count())
    }

    /// For DataFusion, of one tenant: made of its files, and of no others.
    pub async fn provider_of(&self, tenant: &str) -> Result<Arc<dyn TableProvider>, LakeError> {
        let own = [("tenant", FilterOp::Eq, FilterValue::Scalar(tenant))];
        let files = self.table.get_active_add_actions_by_partitions(&own).map_ok(|file| as_address(&file.path()));
        let files: Vec<String> = files.try_collect().await.map_err(|e| self.failed(e))?;
        let provider = self.table.table_provider().with_file_paths(files).await;
        provider.map_err(|e| self.failed(DeltaTableError::from(e)))
    }

    /// For DataFusion, as it is now.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>, LakeError> {
        self.table.table_provider().await.map_err(|e| self.failed(DeltaTableError::from(e)))
    }
}

fn fields(spec: &Table) -> impl Iterator<Item = StructField> {
    spec.columns.iter().map(|c| StructField::new(c.name, delta_type(c.kind), true))
}

/// Gives a table that an older release made what it lacks. Rows that are there have nothing in it.
async fn add_columns(table: &mut DeltaTable, spec: &Table) -> DeltaResult<()> {
    loop {
        let there = table.snapshot()?.schema();
        let lacking: Vec<StructField> = fields(spec).filter(|field| there.field(field.name()).is_none()).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let version = table.version();
        match table.clone().add_columns().with_fields(lacking).await {
            Ok(wider) => *table = wider,
            Err(e) => {
                // Another did it at the same moment?
                table.update_state().await?;
                if table.version() == version {
                    return Err(e);
                }
            }
        }
    }
}

/// Rows in the columns of their table, of which a newer release may have added some.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| {
        let values = batch.column_by_name(field.name()).cloned();
        values.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect())
}

/// The path of a file as part of an address: paths have their odd characters as `%..` already, and those are meant as they stand.
fn as_address(path: &str) -> String {
    path.replace('%', "%25")
}

fn app_id(topic: Topic, partition: u32) -> String {
    format!("gravity/{}/{partition}", topic.name())
}

fn delta_type(kind: Kind) -> DataType {
    DataType::Primitive(match kind {
        Kind::Text => PrimitiveType::String,
        Kind::Int => PrimitiveType::Long,
        Kind::Float => PrimitiveType::Double,
        Kind::Bool => PrimitiveType::Boolean,
        Kind::Time => PrimitiveType::Timestamp,
        Kind::Day => PrimitiveType::Date,
    })
}

/// Sorted files have narrow statistics, so that a reader leaves most of them alone.
fn sorted(batch: &RecordBatch, by: &[&str]) -> Result<RecordBatch, ArrowError> {
    let options = Some(SortOptions { descending: false, nulls_first: true });
    let columns = PARTITIONED_BY.iter().chain(by).filter_map(|name| batch.column_by_name(name));
    let columns: Vec<SortColumn> = columns.map(|values| SortColumn { values: values.clone(), options }).collect();
    take_record_batch(batch, &lexsort_to_indices(&columns, None)?)
}

/// Ids that a filter of a file is made for, at most: some 120 KB.
pub(super) const FILTER_IDS_MAX: usize = 100_000;

pub(super) fn writer_properties(spec: &Table, rows: usize) -> WriterProperties {
    let mut properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    // Ids are all different: min and max say nothing of them, and a filter does.
    for name in spec.looked_up {
        let column = ColumnPath::from(*name);
        properties = properties
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_fpp(column.clone(), 0.01);
        properties = properties.set_column_bloom_filter_max_ndv(column, rows.min(FILTER_IDS_MAX) as u64);
    }
    properties.build()
}
