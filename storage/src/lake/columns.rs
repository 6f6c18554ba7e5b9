//! Rows to Arrow: a table is a list of columns, each with what it takes from a row.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Milliseconds since 1970; as a day, the day that it is in (UTC).
    Time(i64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(text.into())
    }
}

impl<'a> From<&'a gravity_events::Id> for Value<'a> {
    fn from(id: &'a gravity_events::Id) -> Value<'a> {
        Value::Text(id.as_str().into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Value<'a> {
        value.map_or(Value::Null, Into::into)
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// 64 bits.
    Int,
    /// 64 bits.
    Float,
    /// Yes or no.
    Bool,
    /// A moment, UTC, to the microsecond.
    Time,
    /// A day, UTC.
    Day,
}

impl Kind {
    /// Its Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Day => DataType::Date32,
        }
    }
}

/// A column of rows of type `R`.
pub struct Column<R> {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it means, for people.
    pub about: &'static str,
    /// What it takes from a row.
    pub get: for<'a> fn(&'a R) -> Value<'a>,
}

/// The column of a name.
pub fn column<R>(
    name: &'static str,
    kind: Kind,
    about: &'static str,
    get: for<'a> fn(&'a R) -> Value<'a>,
) -> Column<R> {
    Column { name, kind, about, get }
}

/// The Arrow schema of columns. All may be null: columns are added, and older files lack them.
pub fn schema<R>(columns: &[Column<R>]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|c| Field::new(c.name, c.kind.arrow(), true)).collect::<Vec<_>>()))
}

/// Rows as a batch.
pub fn batch<R>(columns: &[Column<R>], rows: &[R]) -> Result<RecordBatch, ArrowError> {
    let arrays = columns.iter().map(|column| array(column, rows)).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema(columns), arrays)
}

fn array<R>(column: &Column<R>, rows: &[R]) -> Result<ArrayRef, ArrowError> {
    let wrong = |value: &Value<'_>| {
        ArrowError::SchemaError(format!("column {} holds {:?}, not {value:?}", column.name, column.kind))
    };
    macro_rules! build {
        ($builder:expr, $pattern:pat => $value:expr) => {{
            let mut builder = $builder;
            for row in rows {
                match (column.get)(row) {
                    Value::Null => builder.append_null(),
                    $pattern => builder.append_value($value),
                    other => return Err(wrong(&other)),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    let n = rows.len();
    Ok(match column.kind {
        Kind::Text => build!(StringBuilder::with_capacity(n, n * 16), Value::Text(text) => text),
        Kind::Int => build!(Int64Builder::with_capacity(n), Value::Int(number) => number),
        Kind::Float => build!(Float64Builder::with_capacity(n), Value::Float(number) => number),
        Kind::Bool => build!(BooleanBuilder::with_capacity(n), Value::Bool(flag) => flag),
        Kind::Time => build!(
            TimestampMicrosecondBuilder::with_capacity(n).with_timezone("UTC"),
            Value::Time(ms) => ms.saturating_mul(1_000)
        ),
        Kind::Day => build!(
            Date32Builder::with_capacity(n),
            Value::Time(ms) => i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(Option<&'static str>, i64);

    const COLUMNS: &[Column<Row>] = &[
        Column { name: "name", kind: Kind::Text, about: "", get: |r| r.0.into() },
        Column { name: "at", kind: Kind::Time, about: "", get: |r| Value::Time(r.1) },
        Column { name: "day", kind: Kind::Day, about: "", get: |r| Value::Time(r.1) },
    ];

    #[test]
    fn rows_become_columns() {
        let batch = batch(COLUMNS, &[Row(Some("a"), 86_400_001), Row(None, -1)]).unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&[batch]).unwrap().to_string();
        assert!(shown.contains("| a    | 1970-01-02T00:00:00.001Z | 1970-01-02 |"), "{shown}");
        assert!(shown.contains("|      | 1969-12-31T23:59:59.999Z | 1969-12-31 |"), "{shown}");
    }

    #[test]
    fn a_column_of_another_kind_is_an_error() {
        let wrong = [Column { name: "n", kind: Kind::Int, about: "", get: |r: &Row| r.0.into() }];
        assert!(batch(&wrong, &[Row(Some("x"), 0)]).unwrap_err().to_string().contains("column n"));
    }
}
