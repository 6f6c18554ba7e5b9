//! Erasing a person from a table that nobody writes: its rows, the objects that rows were in before, and the log of commits,
//! whose statistics quote from the rows.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, Expr, Volatility, create_udf};
use datafusion::prelude::{col, lit};
use datafusion::scalar::ScalarValue;
use deltalake::checkpoints::create_checkpoint;
use futures::TryStreamExt;
use gravity_events::erasure::Erasure;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::LakeError;
use super::columns::Kind;
use super::schema::PARTITIONED_BY;
use super::table::{FILTER_IDS_MAX, LakeTable, writer_properties};

/// The tenant of rows that are nobody's: what could not be read.
const NOBODY: &str = "-";

impl LakeTable {
    /// Erases a person. How many rows changed. Afterwards there are no older versions of the table. Stopped in between, it may be
    /// done again.
    ///
    /// # Errors
    /// Objects cannot be read or written, or another commits at the same time.
    pub async fn erase(&mut self, erasure: &Erasure) -> Result<u64, LakeError> {
        let texts = self.spec.columns.iter().filter(|column| column.kind == Kind::Text);
        let texts: Vec<&str> = texts.map(|column| column.name).filter(|name| !PARTITIONED_BY.contains(name)).collect();
        let erased = function(Arc::new(erasure.clone()));
        let differs = |name: &&str| erased(col(*name)).not_eq(col(*name));
        let own = col("tenant").in_list(vec![lit(erasure.tenant.as_str()), lit(NOBODY)], false);
        let mut rows = 0;
        if let Some(any) = texts.iter().map(differs).reduce(Expr::or) {
            let properties = writer_properties(&self.spec, FILTER_IDS_MAX);
            let mut update =
                self.table.clone().update().with_predicate(own.and(any)).with_writer_properties(properties);
            for name in texts {
                update = update.with_update(name, erased(col(name)));
            }
            let (table, metrics) = update.await.map_err(|e| self.failed(e))?;
            self.table = table;
            rows = metrics.num_updated_rows as u64;
        }
        self.vacuum(Duration::ZERO).await?;
        self.forget_commits().await?;
        Ok(rows)
    }

    /// Leaves of the log of commits what says how the table is now.
    async fn forget_commits(&mut self) -> Result<(), LakeError> {
        self.refresh().await?;
        create_checkpoint(&self.table, None).await.map_err(|e| self.failed(e))?;
        let version = self.table.version().ok_or_else(|| LakeError::Interrupted("the table has no version".into()))?;
        let store = self.table.log_store().object_store(None);
        let wrong = |e: object_store::Error| LakeError::Interrupted(format!("the log of commits: {e}"));
        let found: Vec<_> = store.list(Some(&Path::from("_delta_log"))).try_collect().await.map_err(wrong)?;
        for object in found {
            let named = object.location.filename().and_then(|name| name.get(..20)?.parse::<u64>().ok());
            if named.is_some_and(|of| i128::from(of) < i128::from(version)) {
                store.delete(&object.location).await.map_err(wrong)?;
            }
        }
        Ok(())
    }
}

/// What a text becomes, as an expression.
fn function(erasure: Arc<Erasure>) -> impl Fn(Expr) -> Expr {
    let erased = move |values: &[ColumnarValue]| {
        let of = |text: Option<&str>| text.map(|text| erasure.text(text).unwrap_or_else(|| text.to_owned()));
        Ok(match &values[0] {
            ColumnarValue::Array(texts) => {
                let texts = texts.as_string::<i32>();
                let new: StringArray = texts.iter().map(of).collect();
                debug_assert_eq!(new.len(), texts.len());
                ColumnarValue::Array(Arc::new(new))
            }
            ColumnarValue::Scalar(ScalarValue::Utf8(text)) => {
                ColumnarValue::Scalar(ScalarValue::Utf8(of(text.as_deref())))
            }
            ColumnarValue::Scalar(other) => ColumnarValue::Scalar(other.clone()),
        })
    };
    let function = create_udf("erased", vec![DataType::Utf8], DataType::Utf8, Volatility::Immutable, Arc::new(erased));
    move |text: Expr| function.call(vec![text])
}
