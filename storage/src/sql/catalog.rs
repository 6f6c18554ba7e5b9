//! What a session sees: the schemas `lake` and `live`, of one tenant or of all.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, SchemaProvider, TableProvider};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::{col, lit};
use futures::future::BoxFuture;
use gravity_events::Id;
use tokio::sync::Mutex;

use crate::lake::schema::tables;
use crate::lake::table::LakeTable;

/// Whose rows a session sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// One tenant's.
    Tenant(Id),
}

impl Scope {
    /// The tenant, where it is one.
    pub fn tenant(&self) -> Option<&Id> {
        match self {
            Scope::All => None,
            Scope::Tenant(tenant) => Some(tenant),
        }
    }
}

/// What a schema says of a name.
pub(super) type Provided = Result<Option<Arc<dyn TableProvider>>>;

type Read = dyn Fn(&Scope) -> Result<Vec<RecordBatch>, ArrowError> + Send + Sync;

/// A table of what is shown now, read from memory when a query is planned.
pub struct LiveTable {
    /// Its name, in the schema `live`.
    pub name: &'static str,
    /// What it holds, for people.
    pub about: &'static str,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows that a scope sees.
    pub read: Box<Read>,
}

/// The tables of the lake, opened when they are first asked for. Shared by all sessions.
pub(super) struct LakeTables {
    objects: crate::objects::Objects,
    open: Vec<(&'static str, Mutex<Option<LakeTable>>)>,
}

impl LakeTables {
    pub fn new(objects: crate::objects::Objects) -> LakeTables {
        let open = tables().into_iter().map(|table| (table.name, Mutex::default())).collect();
        LakeTables { objects, open }
    }

    fn names(&self) -> Vec<String> {
        self.open.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// A table as it is now, of what a scope sees. Why it is boxed here: [`crate::sql`].
    fn provider<'a>(&'a self, name: &'a str, scope: &'a Scope) -> BoxFuture<'a, Provided> {
        Box::pin(self.now(name, scope))
    }

    async fn now(&self, name: &str, scope: &Scope) -> Provided {
        let Some((_, slot)) = self.open.iter().find(|(known, _)| *known == name) else { return Ok(None) };
        let failed = |e: crate::lake::LakeError| DataFusionError::External(Box::new(e));
        let mut slot = slot.lock().await;
        let table = match &mut *slot {
            Some(table) => {
                table.refresh().await.map_err(failed)?;
                table
            }
            none => {
                let spec = tables().into_iter().find(|t| t.name == name);
                let spec = spec.ok_or_else(|| DataFusionError::Internal(format!("no table {name}")))?;
                none.insert(LakeTable::open(&self.objects, Arc::new(spec)).await.map_err(failed)?)
            }
        };
        Ok(Some(match scope {
            Scope::All => table.provider().await.map_err(failed)?,
            Scope::Tenant(tenant) => {
                let own = table.provider_of(tenant).await.map_err(failed)?;
                // The files are the tenant's alone; the filter says so once more.
                let plan = LogicalPlanBuilder::scan(name, provider_as_source(own), None)?
                    .filter(col("tenant").eq(lit(tenant.as_str())))?
                    .build()?;
                Arc::new(ViewTable::new(plan, None))
            }
        }))
    }
}

struct LakeSchema {
    tables: Arc<LakeTables>,
    scope: Scope,
}

impl fmt::Debug for LakeSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LakeSchema({:?})", self.scope)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.names()
    }

    async fn table(&self, name: &str) -> Provided {
        self.tables.provider(name, &self.scope).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.open.iter().any(|(known, _)| *known == name)
    }
}

struct LiveSchema {
    tables: Arc<Vec<LiveTable>>,
    scope: Scope,
}

impl fmt::Debug for LiveSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveSchema({:?})", self.scope)
    }
}

#[async_trait]
impl SchemaProvider for LiveSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Provided {
        let Some(table) = self.tables.iter().find(|table| table.name == name) else { return Ok(None) };
        let batches = (table.read)(&self.scope)?;
        Ok(Some(Arc::new(MemTable::try_new(table.schema.clone(), vec![batches])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.name == name)
    }
}

/// The catalogue of a session.
pub(super) fn catalog(
    lake: &Arc<LakeTables>,
    live: &Arc<Vec<LiveTable>>,
    scope: &Scope,
) -> Result<Arc<dyn CatalogProvider>> {
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("lake", Arc::new(LakeSchema { tables: lake.clone(), scope: scope.clone() }))?;
    catalog.register_schema("live", Arc::new(LiveSchema { tables: live.clone(), scope: scope.clone() }))?;
    Ok(Arc::new(catalog))
}
