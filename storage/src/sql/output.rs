//! Answers as bytes: an Arrow stream, JSON or CSV.

use std::io::Write;
use std::sync::Arc;

use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::{ArrayWriter, WriterBuilder as JsonBuilder};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parking_lot::Mutex;

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

/// Writes an answer batch by batch, so that nobody holds all of it.
pub struct Encoder {
    writer: Writer,
    out: Shared,
    is_empty: bool,
}

enum Writer {
    Arrow(Box<StreamWriter<Shared>>),
    Json(ArrayWriter<Shared>),
    Csv(Box<arrow::csv::Writer<Shared>>),
}

/// What writers write into, and what is taken out between.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Encoder {
    /// For an answer with these columns.
    pub fn new(format: Format, schema: &SchemaRef) -> Result<Encoder, ArrowError> {
        let out = Shared::default();
        let writer = match format {
            Format::Arrow => Writer::Arrow(StreamWriter::try_new(out.clone(), schema)?.into()),
            Format::Json => Writer::Json(JsonBuilder::new().with_explicit_nulls(true).build(out.clone())),
            Format::Csv => {
                let mut writer = WriterBuilder::new().with_header(true).build(out.clone());
                // A header also where there are no rows.
                writer.write(&RecordBatch::new_empty(schema.clone()))?;
                Writer::Csv(writer.into())
            }
        };
        Ok(Encoder { writer, out, is_empty: true })
    }

    /// The bytes of the next rows.
    pub fn rows(&mut self, batch: &RecordBatch) -> Result<Bytes, ArrowError> {
        self.is_empty &= batch.num_rows() == 0;
        match &mut self.writer {
            Writer::Arrow(writer) => writer.write(batch)?,
            Writer::Json(writer) => writer.write(batch)?,
            Writer::Csv(writer) => writer.write(batch)?,
        }
        Ok(self.taken())
    }

    /// The bytes after the last rows.
    pub fn end(mut self) -> Result<Bytes, ArrowError> {
        match &mut self.writer {
            Writer::Arrow(writer) => writer.finish()?,
            // Without a row it would say nothing at all.
            Writer::Json(_) if self.is_empty => return Ok(Bytes::from_static(b"[]")),
            Writer::Json(writer) => writer.finish()?,
            Writer::Csv(_) => {}
        }
        Ok(self.taken())
    }

    fn taken(&self) -> Bytes {
        std::mem::take(&mut *self.out.0.lock()).into()
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    #[test]
    fn answers_in_every_format() {
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)];
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let (a, b) = (Int64Array::from(vec![Some(1), None]), StringArray::from(vec!["x", "y, z"]));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(a), Arc::new(b)]).unwrap();
        let encoded = |format, batches: &[RecordBatch]| {
            let mut encoder = Encoder::new(format, &schema).unwrap();
            let mut out: Vec<u8> = Vec::new();
            batches.iter().for_each(|batch| out.extend(encoder.rows(batch).unwrap()));
            out.extend(encoder.end().unwrap());
            out
        };
        let text = |format, batches: &[RecordBatch]| String::from_utf8(encoded(format, batches)).unwrap();
        assert_eq!(text(Format::Json, from_ref(&batch)), r#"[{"a":1,"b":"x"},{"a":null,"b":"y, z"}]"#);
        let twice = [batch.clone(), RecordBatch::new_empty(schema.clone()), batch.clone()];
        let rows = r#"{"a":1,"b":"x"},{"a":null,"b":"y, z"}"#;
        assert_eq!(text(Format::Json, &twice), format!("[{rows},{rows}]"));
        assert_eq!(text(Format::Json, &[]), "[]");
        assert_eq!(text(Format::Json, &[RecordBatch::new_empty(schema.clone())]), "[]");
        assert_eq!(text(Format::Csv, from_ref(&batch)), "a,b\n1,x\n,\"y, z\"\n");
        assert_eq!(text(Format::Csv, &[]), "a,b\n");
        let bytes = encoded(Format::Arrow, from_ref(&batch));
        let read = arrow::ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
        assert_eq!(read.map(Result::unwrap).collect::<Vec<_>>(), [batch]);
    }
}
