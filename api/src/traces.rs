//! Traces of requests that bring records: from the request's head over the log and its epoch to the first stream that tells
//! what it changed. Sent by OTLP over HTTP.
//!
//! A record has no room for a trace: the log's bytes are the producer's. So its position is remembered until its epoch
//! comes, and the epoch until a stream tells of it; both for a while, and so many at most.

mod waiting;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::extract::Request;
use axum::http::StatusCode;
use gravity_events::{Position, Topic};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use parking_lot::Mutex;
use waiting::Waiting;

/// The pipeline whose epochs streams tell of.
pub const BOARDS: &str = "boards";
/// How long the collector may take; then what was to be told is lost.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where traces go, and of which requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceOptions {
    /// The collector: `http://host:4318`.
    pub endpoint: String,
    /// Of a million requests that bring no `traceparent` of their own, so many are traced.
    pub per_million: u32,
}

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The exporter could not be made.
    #[error("traces cannot be sent to {endpoint}: {source}")]
    Exporter {
        /// Where to.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
    /// There can be one per process.
    #[error("traces of this process are sent already")]
    Twice,
}

struct Traces {
    tracer: SdkTracer,
    per_million: u32,
    waiting: Mutex<Waiting>,
    /// Whether a stream has to look.
    any_for_streams: AtomicBool,
}

static TRACES: OnceLock<Traces> = OnceLock::new();

tokio::task_local! {
    /// The trace of the request that the task works on.
    static CURRENT: Context;
}

/// Ends the sending, once what was traced is told.
pub struct Sending(SdkTracerProvider);

impl Drop for Sending {
    fn drop(&mut self) {
        // A collector that is away costs nobody more than some traces.
        let _ = self.0.shutdown_with_timeout(EXPORT_TIMEOUT);
    }
}

/// Traces requests of this process from now on. Blocks for a moment.
pub fn install(options: &TraceOptions) -> Result<Sending, TraceError> {
    let endpoint = format!("{}/v1/traces", options.endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(&endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|source| TraceError::Exporter { endpoint, source })?;
    let resource = Resource::builder().with_service_name("gravity");
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let traces = Traces {
        tracer: provider.tracer("gravity"),
        per_million: options.per_million,
        waiting: Mutex::default(),
        any_for_streams: AtomicBool::new(false),
    };
    TRACES.set(traces).map_err(|_| TraceError::Twice)?;
    Ok(Sending(provider))
}

/// A request that is traced.
pub struct Traced {
    span: Span,
    /// For what is done on behalf of it.
    pub(crate) context: Context,
}

impl Traced {
    /// The trace of a request that begins now; None: it is not traced.
    pub(crate) fn begin(request: &Request, route: &str) -> Option<Traced> {
        let traces = TRACES.get()?;
        let parent = match request.headers().get("traceparent") {
            Some(header) => header.to_str().ok().and_then(parent).filter(SpanContext::is_sampled)?,
            None if rand::random_range(0..1_000_000) < traces.per_million => SpanContext::empty_context(),
            None => return None,
        };
        let method = request.method().as_str();
        let builder =
            SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes([
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("http.route", route.to_owned()),
            ]);
        let span = traces.tracer.build_with_context(builder, &Context::new().with_remote_span_context(parent));
        let context = Context::new().with_remote_span_context(span.span_context().clone());
        Some(Traced { span, context })
    }

    /// Its id, for log lines.
    pub(crate) fn id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    /// Runs what is done on behalf of it.
    pub(crate) async fn scope<F: Future>(context: Option<Context>, work: F) -> F::Output {
        match context {
            Some(context) => CURRENT.scope(context, work).await,
            None => work.await,
        }
    }

    /// It is answered.
    pub(crate) fn end(mut self, status: StatusCode) {
        self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}

/// The sender's trace (W3C Trace Context, version 00).
fn parent(header: &str) -> Option<SpanContext> {
    let mut parts = header.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let of_length = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_hexdigit());
    if version == "ff"
        || !of_length(version, 2)
        || !of_length(trace, 32)
        || !of_length(span, 16)
        || !of_length(flags, 2)
    {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

impl Traces {
    /// Something that has ended just now.
    fn note(&self, name: &'static str, parent: &Context, since: SystemTime, attributes: Vec<KeyValue>) {
        let builder = SpanBuilder::from_name(name).with_start_time(since).with_attributes(attributes);
        self.tracer.build_with_context(builder, parent).end();
    }
}

/// Records of the current request are durable, at these places. `since`: when they were given to the log.
pub(crate) fn appended(positions: &[Position], since: SystemTime) {
    let Some(traces) = TRACES.get() else { return };
    let Ok(context) = CURRENT.try_with(Context::clone) else { return };
    let Some(last) = positions.last() else { return };
    traces.note(
        "append",
        &context,
        since,
        vec![KeyValue::new("messaging.batch.message_count", positions.len() as i64)],
    );
    traces.waiting.lock().for_an_epoch(*last, context, SystemTime::now());
}

/// A pipeline has committed an epoch and is about to show it.
pub fn committed(pipeline: &'static str, epoch: u64, bound: &[(Topic, u32, u64)]) {
    let Some(traces) = TRACES.get() else { return };
    let mut waiting = traces.waiting.lock();
    for (context, since) in waiting.take_bound(bound) {
        let attributes =
            vec![KeyValue::new("gravity.pipeline", pipeline), KeyValue::new("gravity.epoch", epoch as i64)];
        traces.note("epoch", &context, since, attributes);
        // Only boards have streams.
        if pipeline == BOARDS {
            waiting.for_a_stream(epoch, context, SystemTime::now());
        }
    }
    traces.any_for_streams.store(waiting.any_for_streams(), Ordering::Release);
}

/// A stream is about to tell of a board as of this epoch. Costs a look at a flag, but for the first one of a traced epoch.
pub(crate) fn told(epoch: u64) {
    let Some(traces) = TRACES.get().filter(|traces| traces.any_for_streams.load(Ordering::Acquire)) else { return };
    let mut waiting = traces.waiting.lock();
    for (context, since) in waiting.take_epoch(epoch) {
        traces.note("stream", &context, since, vec![KeyValue::new("gravity.epoch", epoch as i64)]);
    }
    traces.any_for_streams.store(waiting.any_for_streams(), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_traces_are_taken_up_if_they_are_sound() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = parent(given).unwrap();
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled() && context.is_remote());
        assert!(!parent(&given.replace("-01", "-00")).unwrap().is_sampled());
        for hostile in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-\u{e4}bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert!(parent(hostile).is_none(), "{hostile}");
        }
    }
}
