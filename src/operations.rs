//! What the HTTP interface asks of the process: status, readiness, verification, dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use gravity_api::operations::{
    DeadLetter, OperationError, Operations, PartitionLag, PipelineStatus, Retried, Status, Work,
};
use gravity_api::serving::burn::{Burn, BurnSnapshot};
use gravity_api::serving::{Boards, BoardsSnapshot};
use gravity_events::{Body, Position, Record, Topic};
use gravity_ingest::log::{Bound, Entry, Log, LogError, Produce, read_on};
use gravity_pipelines::runtime::{PipelineState, Runtime};
use gravity_pipelines::verify::{self, Board};
use parking_lot::Mutex;

use crate::node::Role;

/// The process, as the HTTP interface sees it.
pub struct NodeOperations {
    log: Arc<dyn Log>,
    boards: Arc<Boards>,
    /// None: this process has no burn pipeline.
    burn: Option<Arc<Burn>>,
    /// Boards first; empty once they are stopped.
    pipelines: Mutex<Vec<Runtime>>,
    roles: Vec<Role>,
    started: Instant,
    stopping: AtomicBool,
}

impl NodeOperations {
    /// For a process with these parts.
    pub fn new(
        log: Arc<dyn Log>,
        boards: Arc<Boards>,
        burn: Option<Arc<Burn>>,
        pipelines: Vec<Runtime>,
        roles: &[Role],
    ) -> NodeOperations {
        NodeOperations {
            log,
            boards,
            burn,
            pipelines: Mutex::new(pipelines),
            roles: roles.to_vec(),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
        }
    }

    /// From here on the process is not ready.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Stops the pipelines and waits for their last commit.
    pub fn stop_pipelines(&self) {
        let pipelines = std::mem::take(&mut *self.pipelines.lock());
        pipelines.into_iter().for_each(Runtime::stop);
    }

    fn statuses(&self) -> Vec<gravity_pipelines::runtime::PipelineStatus> {
        self.pipelines.lock().iter().map(Runtime::status).collect()
    }

    /// What is to be said of each pipeline. May wait for a broker.
    pub fn told(&self) -> Vec<PipelineStatus> {
        self.statuses().into_iter().map(|status| told(&*self.log, status)).collect()
    }
}

/// The pipeline, without its lag while the log's broker is lost. May wait for the broker.
fn told(log: &dyn Log, status: gravity_pipelines::runtime::PipelineStatus) -> PipelineStatus {
    let is_running = status.state == PipelineState::Running;
    let (state, reason) = match status.state {
        PipelineState::Starting => ("starting", None),
        PipelineState::Running => ("running", None),
        PipelineState::Failed(why) => ("restarting", Some(why)),
        PipelineState::Stopped => ("stopped", None),
    };
    let mut lag = Vec::new();
    // Asking a lost broker waits until it is back: every status request would keep a thread.
    let lost = log.health().err();
    for b in status.bound.iter().filter(|_| lost.is_none()) {
        let Ok((_, end)) = log.range(b.topic, b.partition) else { continue };
        let behind = end.saturating_sub(b.offset);
        lag.push(PartitionLag {
            topic: b.topic.name().to_owned(),
            partition: b.partition,
            bound: b.offset,
            end,
            lag: behind,
        });
    }
    let behind: u64 = lag.iter().map(|l| l.lag).sum();
    let time_to_drain_s = match behind {
        _ if lost.is_some() => None,
        0 => Some(0.0),
        n if status.rate > 0.0 && is_running => Some(n as f64 / status.rate),
        _ => None,
    };
    PipelineStatus {
        name: status.name.to_owned(),
        state: state.to_owned(),
        reason: reason.or_else(|| lost.map(|e| e.to_string())),
        epoch: status.epoch,
        epoch_duration_ms: status.epoch_duration_ms,
        lag,
        time_to_drain_s,
    }
}

fn failed(e: LogError) -> OperationError {
    OperationError::Unavailable(e.to_string())
}

/// Runs what may take long off the async threads.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OperationError> + Send + 'static,
) -> Work<Result<T, OperationError>> {
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|e| Err(OperationError::Failed(format!("it ended early: {e}"))))
    })
}

/// How long a verification waits for changes of rules to be done.
const SETTLED: Duration = Duration::from_secs(30);

/// What is shown, of a moment at which no change of rules is under way.
async fn settled(boards: &Boards, event: Option<&str>) -> Result<BoardsSnapshot, OperationError> {
    let mut epochs = boards.epochs();
    let until = tokio::time::Instant::now() + SETTLED;
    loop {
        epochs.mark_unchanged();
        let snapshot = boards.snapshot();
        let Some(changing) = snapshot.changing.iter().find(|e| event.is_none_or(|wanted| *wanted == ***e)) else {
            return Ok(snapshot);
        };
        if !matches!(tokio::time::timeout_at(until, epochs.changed()).await, Ok(Ok(()))) {
            let what = format!("a change of the rules of `{changing}` is under way, try again");
            return Err(OperationError::Unavailable(what));
        }
    }
}

/// Recomputes what is shown from the log.
fn compare(log: &dyn Log, snapshot: &BoardsSnapshot, event: Option<String>) -> Result<verify::Report, OperationError> {
    if let Some(e) = event.as_ref().filter(|e| !snapshot.events.iter().any(|s| s.header.event == **e)) {
        return Err(OperationError::UnknownEvent(e.clone()));
    }
    let bound: Vec<_> =
        snapshot.bound.iter().map(|&(topic, partition, offset)| Bound { topic, partition, offset }).collect();
    let mut shown = verify::Boards::new();
    for e in &snapshot.events {
        let board = Board {
            header: Some((*e.header.header).clone()),
            rows: e.rows().map(|r| (r.team.clone(), (*r.row).clone())).collect(),
            firsts: e.header.firsts.iter().map(|(p, f)| (p.clone(), f.clone())).collect(),
            worths: e.header.worths.iter().map(|(p, w)| (p.clone(), (**w).clone())).collect(),
        };
        shown.insert((e.header.event.clone(), e.header.view), board);
    }
    verify::verify(log, snapshot.epoch, &bound, &shown, event.as_deref()).map_err(failed)
}

/// The same for what is charged.
fn compare_burn(log: &dyn Log, snapshot: &BurnSnapshot) -> Result<verify::Report, OperationError> {
    let bound: Vec<_> =
        snapshot.bound.iter().map(|&(topic, partition, offset)| Bound { topic, partition, offset }).collect();
    let shown = snapshot.tenants.iter().map(|(tenant, currency, cells)| {
        (tenant.clone(), verify::burn::Burn { currency: currency.clone(), cells: cells.clone() })
    });
    // A tenant of which only somebody watches the burn has none.
    let shown = shown.filter(|(_, burn)| *burn != verify::burn::Burn::default()).collect();
    verify::burn::verify(log, snapshot.epoch, &bound, &shown).map_err(failed)
}

impl Operations for NodeOperations {
    fn status(&self) -> Work<Status> {
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            roles: self.roles.iter().map(|r| r.name().to_owned()).collect(),
            pipelines: Vec::new(),
        };
        let (log, pipelines) = (self.log.clone(), self.statuses());
        Box::pin(async move {
            // On Kafka this asks the broker, which may be gone without our knowing yet.
            let all = move || pipelines.into_iter().map(|pipeline| told(&*log, pipeline)).collect();
            status.pipelines = tokio::task::spawn_blocking(all).await.unwrap_or_default();
            status
        })
    }

    fn ready(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Acquire) {
            return Err("the process is stopping".to_owned());
        }
        let statuses = self.statuses();
        // Flags may come later: what restarts among them keeps nobody from their board.
        if let Some(begins) = statuses.iter().skip(1).find(|s| matches!(s.state, PipelineState::Starting)) {
            return Err(format!("the {} pipeline reads its journal", begins.name));
        }
        match statuses.into_iter().next().map(|s| s.state) {
            Some(PipelineState::Running) => Ok(()),
            Some(PipelineState::Failed(why)) => Err(format!("the boards pipeline restarts: {why}")),
            Some(PipelineState::Starting) => Err("the boards pipeline reads its journal".to_owned()),
            Some(PipelineState::Stopped) | None => Err("the boards pipeline is stopped".to_owned()),
        }
    }

    fn verify(&self, event: Option<String>) -> Work<Result<serde_json::Value, OperationError>> {
        let (log, boards, burn) = (self.log.clone(), self.boards.clone(), self.burn.clone());
        Box::pin(async move {
            let snapshot = settled(&boards, event.as_deref()).await?;
            blocking(move || {
                let mut report = compare(&*log, &snapshot, event.clone())?;
                if let Some(burn) = burn.filter(|_| event.is_none()) {
                    report.add(compare_burn(&*log, &burn.snapshot())?);
                }
                serde_json::to_value(report).map_err(|e| OperationError::Failed(e.to_string()))
            })
            .await
        })
    }
    fn dead_letters(&self, limit: usize, after: Option<String>) -> Work<Result<Vec<DeadLetter>, OperationError>> {
        let log = self.log.clone();
        blocking(move || {
            let after = after.as_deref().map(parse_id).transpose()?;
            let mut letters: BTreeMap<Position, DeadLetter> = BTreeMap::new();
            each_dead_letter(&*log, |position, letter| {
                if after.is_none_or(|a| position > a) {
                    letters.insert(position, DeadLetter { data_base64: None, ..letter });
                    if letters.len() > limit {
                        letters.pop_last();
                    }
                }
            })?;
            Ok(letters.into_values().collect())
        })
    }

    fn dead_letter(&self, id: String) -> Work<Result<Option<DeadLetter>, OperationError>> {
        let log = self.log.clone();
        blocking(move || {
            let wanted = parse_id(&id)?;
            let mut found = None;
            each_dead_letter(&*log, |position, letter| {
                if position == wanted {
                    found = Some(letter);
                }
            })?;
            Ok(found)
        })
    }

    fn retry(&self, ids: Vec<String>) -> Work<Result<Vec<Retried>, OperationError>> {
        let log = self.log.clone();
        Box::pin(async move {
            let wanted: Vec<Position> = ids.iter().map(|i| parse_id(i)).collect::<Result<_, _>>()?;
            let read = log.clone();
            let found = blocking(move || {
                let mut found = BTreeMap::new();
                each_dead_letter(&*read, |position, letter| {
                    if wanted.contains(&position) {
                        found.insert(position, letter);
                    }
                })?;
                Ok((wanted, found))
            });
            let (wanted, found) = found.await?;
            let mut results = Vec::new();
            for (id, position) in ids.into_iter().zip(wanted) {
                let Some(letter) = found.get(&position) else {
                    results.push(Retried { id, status: "unknown".to_owned(), offset: None });
                    continue;
                };
                let bytes =
                    letter.data_base64.as_ref().and_then(|d| base64::engine::general_purpose::STANDARD.decode(d).ok());
                let Some(bytes) = bytes.filter(|b| b.len() as u64 == letter.bytes) else {
                    results.push(Retried { id, status: "incomplete".to_owned(), offset: None });
                    continue;
                };
                // Bytes that are no record have no key of their own; any partition will do for them.
                let key = gravity_events::codec::decode(&bytes).map_or_else(|_| id.clone(), |r| r.key());
                let produce = Produce { topic: position.topic, key: key.into(), partition: None, value: bytes.into() };
                let positions = log.append(vec![produce]).await.map_err(failed)?;
                results.push(Retried {
                    id,
                    status: "appended".to_owned(),
                    offset: positions.first().map(|p| p.offset),
                });
            }
            Ok(results)
        })
    }
}

fn parse_id(id: &str) -> Result<Position, OperationError> {
    let invalid = || OperationError::Invalid {
        field: "id",
        problem: format!("is `{id}`, expected topic/partition/offset as `gravity deadletter list` prints it"),
    };
    let mut parts = id.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
    Ok(Position {
        offset: offset.and_then(|o| o.parse().ok()).ok_or_else(invalid)?,
        partition: partition.and_then(|p| p.parse().ok()).ok_or_else(invalid)?,
        topic: topic.and_then(Topic::from_name).ok_or_else(invalid)?,
    })
}

fn each_dead_letter(log: &dyn Log, mut each: impl FnMut(Position, DeadLetter)) -> Result<(), OperationError> {
    let each = |entry: Entry| {
        let Ok(Record { body: Body::RecordRefused(r), .. }) = gravity_events::codec::decode(&entry.value) else {
            return;
        };
        let Some(topic) = Topic::from_name(&r.topic) else { return };
        let letter = DeadLetter {
            id: format!("{}/{}/{}", r.topic, r.partition, r.offset),
            topic: r.topic.to_string(),
            partition: r.partition,
            offset: r.offset,
            code: r.code.to_string(),
            detail: r.detail,
            at: Some(gravity_events::time::format_rfc3339_ms(entry.appended_at_ms)),
            bytes: r.length,
            sha256: Some(r.sha256),
            data_base64: Some(r.data_base64),
        };
        each(Position { topic, partition: r.partition, offset: r.offset }, letter);
    };
    read_on(log, Topic::DeadLetter, &mut BTreeMap::new(), each).map_err(failed)
}
