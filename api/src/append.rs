//! Appending on behalf of a request.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use gravity_events::Position;
use gravity_ingest::log::{Appended, Log, LogError, Produce};

use crate::http::Problem;
use crate::{metrics, traces};

/// Appends records; goes on to the end even when the caller is gone, so that a client that closes its connection leaves
/// nothing half written. While the log's broker is lost it refuses at once: an append would wait, and hold the request
/// and its bytes as long.
pub(crate) async fn append(log: &dyn Log, records: Vec<Produce>) -> Result<Vec<Position>, Problem> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    // Not logged for each request: the log itself says when it loses its broker and finds it again.
    log.health().map_err(|error| Problem::of_log(&error))?;
    let topics: Vec<_> = records.iter().map(|r| r.topic).collect();
    let began_at = SystemTime::now();
    let positions = ToTheEnd(Some(log.append(records))).await?;
    traces::appended(&positions, began_at);
    for topic in topics {
        metrics::accepted(topic).inc();
    }
    Ok(positions)
}

/// An append that goes on by itself when whoever awaits it is gone. Costs a task only then.
struct ToTheEnd(Option<Appended>);

impl Future for ToTheEnd {
    type Output = Result<Vec<Position>, LogError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken while it is polled: one that panicked is not polled again.
        let Some(mut append) = self.0.take() else { return Poll::Ready(Err(LogError::Closed)) };
        let polled = append.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = Some(append);
        }
        polled
    }
}

impl Drop for ToTheEnd {
    fn drop(&mut self) {
        if let Some(append) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(append);
        }
    }
}
