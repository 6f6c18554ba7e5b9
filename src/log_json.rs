//! The log as lines of JSON, for Loki and its like: `at`, `level`, `service`, `target`, `message`, and what is known of the
//! request, lab or pipeline it is about, each as a member of its own (`trace_id`, `request_id`, `lab_id`, `pipeline`, ..).

use std::fmt::{self, Debug};
use std::time::SystemTime;

use gravity_events::time::format_rfc3339_ms;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats an event as one line.
#[derive(Clone, Copy, Debug)]
pub struct Json;

/// Collects fields; of two of one name the first counts.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        self.0.entry(name).or_insert(value);
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
}

impl<'w> FormatFields<'w> for Json {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        let mut found = Fields::default();
        fields.record(&mut found);
        // Fields that come later are put behind those that are there: see `of_span`.
        writeln!(writer, "{}", Value::Object(found.0))
    }
}

/// What [`FormatFields`] wrote for a span, line by line.
fn of_span(text: &str) -> Map<String, Value> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
    lines.flatten().collect()
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis());
        fields.put("at", format_rfc3339_ms(i64::try_from(now_ms).unwrap_or(i64::MAX)).into());
        fields.put("level", event.metadata().level().as_str().into());
        fields.put("service", "gravity".into());
        fields.put("target", event.metadata().target().into());
        event.record(&mut fields);
        // The innermost span knows best.
        for span in context.event_scope().into_iter().flatten() {
            if let Some(text) = span.extensions().get::<FormattedFields<N>>() {
                of_span(text).into_iter().for_each(|(name, value)| fields.put(&name, value));
            }
        }
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_what_its_spans_know_and_is_json_whatever_it_says() {
        let lines = Lines::default();
        let to = lines.clone();
        let log =
            tracing_subscriber::fmt().fmt_fields(Json).event_format(Json).with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(log, || {
            let span =
                tracing::info_span!("request", request_id = "r1", trace_id = tracing::field::Empty, route = "/x");
            span.record("trace_id", "4bf9");
            let _entered = span.enter();
            tracing::warn!(
                lab_id = "lab-1",
                count = 3,
                ratio = 0.5,
                done = true,
                route = "inner",
                "two\nlines, \"quoted\""
            );
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1);
        let mut line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(line.remove("at").is_some_and(|at| at.as_str().unwrap().ends_with('Z')));
        assert!(line.remove("target").is_some());
        let wanted = serde_json::json!({
            "level": "WARN", "service": "gravity", "message": "two\nlines, \"quoted\"", "lab_id": "lab-1", "count": 3,
            "ratio": 0.5, "done": true, "request_id": "r1", "trace_id": "4bf9", "route": "inner"
        });
        assert_eq!(Value::Object(line), wanted);
    }
}
