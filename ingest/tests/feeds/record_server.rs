//! A server that takes records, with mishaps as planned.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gravity_events::{Record, codec};
use gravity_ingest::client::{Client, Retry};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mishap {
    None,
    /// Answers this status and stores nothing.
    Status(u16),
    /// The connection breaks before anything is stored.
    CutBefore,
    /// Stored, but the answer never comes.
    CutAfter,
}

#[derive(Default)]
pub struct Taken {
    /// Records that count, in the order of the log.
    pub records: Vec<Record>,
    /// Sizes of all requests, failed ones included: records, bytes.
    pub requests: Vec<(usize, usize)>,
    /// Query and headers of the last request.
    pub last: Option<(String, HeaderMap)>,
    by_id: HashMap<(String, String, String), Value>,
}

type Plan = Box<dyn Fn(usize) -> Mishap + Send + Sync>;

struct Shared {
    taken: Mutex<Taken>,
    plan: Plan,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    probes: watch::Sender<usize>,
    count: watch::Sender<usize>,
    /// Answers wait for this, where set.
    gate: Option<Notify>,
}

pub struct RecordServer {
    pub url: String,
    shared: Arc<Shared>,
}

impl RecordServer {
    pub async fn start() -> RecordServer {
        RecordServer::with(|_| Mishap::None).await
    }

    /// `plan` says what happens to request number n, from 0.
    pub async fn with(plan: impl Fn(usize) -> Mishap + Send + Sync + 'static) -> RecordServer {
        RecordServer::build(Box::new(plan), None).await
    }

    /// Answers only after [`RecordServer::open`].
    pub async fn gated() -> RecordServer {
        RecordServer::build(Box::new(|_| Mishap::None), Some(Notify::new())).await
    }

    async fn build(plan: Plan, gate: Option<Notify>) -> RecordServer {
        let shared = Arc::new(Shared {
            taken: Mutex::default(),
            plan,
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            probes: watch::Sender::new(0),
            count: watch::Sender::new(0),
            gate,
        });
        let app = Router::new()
            .route("/api/v1/records", post(records))
            .route("/livez", get(livez))
            .route("/text", get(|headers: HeaderMap| async move { format!("{:?}", headers.get("accept")) }))
            .route("/json", get(|| async { Json(json!({"n": 5})) }))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        RecordServer { url, shared }
    }

    /// A client that is soon out of patience.
    pub fn client(&self) -> Client {
        Client::with_retry(&self.url, Some("tok"), quick(Duration::from_secs(5))).unwrap()
    }

    pub fn taken(&self) -> parking_lot::MutexGuard<'_, Taken> {
        self.shared.taken.lock()
    }

    pub fn most_under_way(&self) -> usize {
        self.shared.most_under_way.load(Ordering::SeqCst)
    }

    pub fn open(&self) {
        self.shared.gate.as_ref().expect("a gated server").notify_one();
    }

    pub async fn wait_for_probes(&self, n: usize) {
        self.shared.probes.subscribe().wait_for(|have| *have >= n).await.unwrap();
    }

    pub async fn wait_for_records(&self, n: usize) {
        self.shared.count.subscribe().wait_for(|have| *have >= n).await.unwrap();
    }
}

pub fn quick(give_up_after: Duration) -> Retry {
    Retry {
        give_up_after,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(20),
        longest_answer: Duration::from_secs(60),
    }
}

async fn livez(State(shared): State<Arc<Shared>>) -> &'static str {
    shared.probes.send_modify(|n| *n += 1);
    "ok"
}

/// A response that breaks off: the client sees a connection that was cut.
pub fn cut() -> Response {
    let broken = futures::stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("cut"))]);
    Body::from_stream(broken).into_response()
}

async fn records(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let now = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_under_way.fetch_max(now, Ordering::SeqCst);
    if let Some(gate) = &shared.gate {
        gate.notified().await;
    }
    // Gives other requests a chance to arrive meanwhile.
    tokio::task::yield_now().await;
    let response = answer(&shared, uri, headers, &body);
    shared.under_way.fetch_sub(1, Ordering::SeqCst);
    response
}

fn answer(shared: &Shared, uri: Uri, headers: HeaderMap, body: &[u8]) -> Response {
    assert_eq!(headers["content-type"], "application/cloudevents-batch+json");
    let batch: Vec<Value> = serde_json::from_slice(body).unwrap();
    let mut taken = shared.taken.lock();
    let mishap = (shared.plan)(taken.requests.len());
    taken.requests.push((batch.len(), body.len()));
    taken.last = Some((uri.query().unwrap_or_default().to_string(), headers));
    match mishap {
        Mishap::Status(status) => {
            let problem = json!({"code": "planned", "detail": "as planned", "hint": "do so"});
            return (StatusCode::from_u16(status).unwrap(), Json(problem)).into_response();
        }
        Mishap::CutBefore => return cut(),
        Mishap::None | Mishap::CutAfter => {}
    }
    let results: Vec<Value> = batch.into_iter().map(|v| take(&mut taken, v)).collect();
    shared.count.send_replace(taken.records.len());
    if mishap == Mishap::CutAfter {
        return cut();
    }
    Json(json!({ "results": results })).into_response()
}

fn take(taken: &mut Taken, value: Value) -> Value {
    let record = match codec::decode(value.to_string().as_bytes()) {
        Ok(record) => record,
        Err(e) => return json!({"status": "refused", "problem": {"code": e.code(), "detail": e.to_string()}}),
    };
    if record.body.kind() == "usage.vm" {
        return json!({"status": "refused", "problem": {"code": "no_vms", "detail": "no machines here"}});
    }
    let id = (record.tenant.to_string(), record.source.to_string(), record.id.to_string());
    match taken.by_id.get(&id) {
        Some(known) if *known == value => json!({"status": "duplicate"}),
        Some(_) => json!({"status": "conflict", "problem": {"code": "conflict", "detail": "other data"}}),
        None => {
            taken.by_id.insert(id, value);
            taken.records.push(record);
            json!({"status": "counted", "topic": "t", "partition": 0, "offset": taken.records.len()})
        }
    }
}
