//! Answers as bytes: an Arrow stream, JSON or CSV.

use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::{ArrayWriter, WriterBuilder as JsonBuilder};
use arrow::record_batch::RecordBatch;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An Arrow IPC stream.
    Arrow,
    /// An array of row objects.
    Json,
    /// RFC 4180, with a header.
    Csv,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// An answer in a format.
pub fn encoded(format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut out = Vec::new();
    match format {
        Format::Arrow => {
            let mut writer = StreamWriter::try_new(&mut out, schema)?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()?;
        }
        Format::Json => {
            let mut writer: ArrayWriter<_> = JsonBuilder::new().with_explicit_nulls(true).build(&mut out);
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()?;
            if out.is_empty() {
                out.extend_from_slice(b"[]");
            }
        }
        Format::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(&mut out);
            // A header also where there are no rows.
            writer.write(&RecordBatch::new_empty(schema.clone()))?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;
    use std::sync::Arc;

    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    #[test]
    fn answers_in_every_format() {
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)];
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let (a, b) = (Int64Array::from(vec![Some(1), None]), StringArray::from(vec!["x", "y, z"]));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(a), Arc::new(b)]).unwrap();
        let text =
            |format, batches: &[RecordBatch]| String::from_utf8(encoded(format, &schema, batches).unwrap()).unwrap();
        assert_eq!(text(Format::Json, from_ref(&batch)), r#"[{"a":1,"b":"x"},{"a":null,"b":"y, z"}]"#);
        assert_eq!(text(Format::Json, &[]), "[]");
        assert_eq!(text(Format::Csv, from_ref(&batch)), "a,b\n1,x\n,\"y, z\"\n");
        assert_eq!(text(Format::Csv, &[]), "a,b\n");
        let bytes = encoded(Format::Arrow, &schema, from_ref(&batch)).unwrap();
        let read = arrow::ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
        assert_eq!(read.map(Result::unwrap).collect::<Vec<_>>(), [batch]);
    }
}
