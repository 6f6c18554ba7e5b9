//! A server's state with one event in progress, and short ways to ask it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use gravity_api::http::problem::PROBLEM_JSON;
use gravity_api::operations::{DeadLetter, OperationError, Operations, PipelineStatus, Retried, Status, Work};
use gravity_api::serving::{Boards, BoardsOptions};
use gravity_api::visibility::Visibility;
use gravity_api::{AppState, router};
use gravity_events::board::{
    BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, View,
};
use gravity_events::body::BoardNoted;
use gravity_events::publish::{BoardChange, BoardVersion, BoardsEpoch, BoardsSink, Refused};
use gravity_events::{Id, Position};
use gravity_storage::objects::Objects;
use gravity_storage::sql::{Limits, SqlEngine};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt;

use super::log::MemoryLog;
use super::queries::FixedQueries;

pub const TOKEN: &str = "t0ken";
pub const START_MS: i64 = 1_773_475_200_000;
pub const HOUR_MS: i64 = 3_600_000;

/// Operations that say what they are told to.
#[derive(Default)]
pub struct FakeOperations {
    pub not_ready: Mutex<Option<String>>,
}

fn letter(n: u32) -> DeadLetter {
    DeadLetter {
        id: format!("d{n}"),
        topic: "gravity.submissions.v1".into(),
        code: "syntax".into(),
        ..DeadLetter::default()
    }
}

impl Operations for FakeOperations {
    fn status(&self) -> Work<Status> {
        let pipelines = vec![PipelineStatus { name: "boards".into(), epoch: 7, ..PipelineStatus::default() }];
        Box::pin(async { Status { version: "1".into(), roles: vec!["api".into()], pipelines, ..Status::default() } })
    }
    fn ready(&self) -> Result<(), String> {
        self.not_ready.lock().clone().map_or(Ok(()), Err)
    }
    fn verify(&self, event: Option<String>) -> Work<Result<Value, OperationError>> {
        Box::pin(async move {
            match event.as_deref() {
                Some("nowhere") => Err(OperationError::UnknownEvent("nowhere".into())),
                Some("busy") => Err(OperationError::Unavailable("one is running".into())),
                _ => Ok(serde_json::json!({"event": event, "differences": 0})),
            }
        })
    }
    fn dead_letters(&self, limit: usize, after: Option<String>) -> Work<Result<Vec<DeadLetter>, OperationError>> {
        Box::pin(async move {
            let from = match after.as_deref() {
                None => 0,
                Some(id) => match id.strip_prefix('d').and_then(|n| n.parse().ok()) {
                    Some(n) => n,
                    None => {
                        return Err(OperationError::Invalid { field: "after", problem: "is no id".into() });
                    }
                },
            };
            Ok((from + 1..=3).take(limit).map(letter).collect())
        })
    }
    fn dead_letter(&self, id: String) -> Work<Result<Option<DeadLetter>, OperationError>> {
        Box::pin(async move { Ok((id == "d1").then(|| letter(1))) })
    }
    fn retry(&self, ids: Vec<String>) -> Work<Result<Vec<Retried>, OperationError>> {
        let retried = |id| Retried { id, status: "appended".into(), offset: Some(1) };
        Box::pin(async move { Ok(ids.into_iter().map(retried).collect()) })
    }
}

/// A server without a network.
pub struct Fixture {
    pub log: Arc<MemoryLog>,
    pub boards: Arc<Boards>,
    pub visibility: Arc<Visibility>,
    pub operations: Arc<FakeOperations>,
    pub queries: Arc<FixedQueries>,
    pub now_ms: Arc<AtomicI64>,
    pub state: AppState,
    pub router: Router,
    epoch: AtomicI64,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The problem, checked for its shape; its code and the fields at fault.
    pub fn problem(&self, status: u16) -> (String, Vec<String>) {
        let p = self.json();
        assert_eq!((self.status.as_u16(), p["status"].as_u64()), (status, Some(u64::from(status))), "{p}");
        assert_eq!(self.headers[header::CONTENT_TYPE], PROBLEM_JSON);
        let code = p["code"].as_str().unwrap().to_owned();
        assert_eq!(p["type"], format!("urn:gravity:problem:{code}"));
        assert!(!p["title"].as_str().unwrap().is_empty() && !p["detail"].as_str().unwrap().is_empty(), "{p}");
        assert_eq!(p["request_id"], self.headers["x-request-id"].to_str().unwrap());
        let fields =
            p["errors"].as_array().map(|e| e.iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect());
        (code, fields.unwrap_or_default())
    }
}

/// SQL over an empty lake.
fn sql() -> SqlEngine {
    let spill = std::env::temp_dir().join("gravity-test-spill");
    SqlEngine::new(Objects::memory(), Vec::new(), spill, Limits::default()).unwrap()
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::with_patience(Duration::from_secs(30))
    }

    pub fn with_patience(wait: Duration) -> Fixture {
        let log = MemoryLog::new();
        let boards = Boards::new(BoardsOptions::new([7; 32]));
        let visibility = Visibility::with_limits(Visibility::boards_topics(), wait, 1_000);
        let operations = Arc::new(FakeOperations::default());
        let now_ms = Arc::new(AtomicI64::new(START_MS + HOUR_MS));
        let clock = now_ms.clone();
        let state = AppState::new(log.clone(), boards.clone(), visibility.clone(), operations.clone(), TOKEN, &[9; 32])
            .with_burn(Arc::default(), Visibility::of_second([gravity_events::Topic::Reference]))
            .with_sql(Arc::new(sql()))
            .with_clock(Arc::new(move || clock.load(Ordering::SeqCst)));
        let router = router(state.clone());
        let queries = Arc::new(FixedQueries::default());
        boards.answer_with(queries.clone());
        boards.remember_with(log.clone());
        let epoch = AtomicI64::new(0);
        let fixture = Fixture { log, boards, visibility, operations, queries, now_ms, state, router, epoch };
        fixture.show(header(), 1);
        fixture
    }

    /// Publishes the event with this header. Team 2 is hidden, team 3 solved in the freeze: jury only, both.
    pub fn show(&self, header: BoardHeader, version: u64) {
        let (tenant, event) = (Id::from("uni"), Id::from("spring"));
        let mut changes = Vec::new();
        for view in [View::Public, View::Jury] {
            let key = BoardKey::Header { tenant: tenant.clone(), event: event.clone() };
            changes.push(BoardChange { view, key, value: Some(BoardValue::Header(header.clone().into())) });
            let first = FirstSolve { team: "1".into(), submission: "s1".into(), contest_time_ms: 600_000 };
            let key = BoardKey::First { tenant: tenant.clone(), event: event.clone(), problem: "p1".into() };
            changes.push(BoardChange { view, key, value: Some(BoardValue::First(first.into())) });
            for (team, row) in rows(view) {
                let key = BoardKey::Row { tenant: tenant.clone(), event: event.clone(), team: team.into() };
                changes.push(BoardChange { view, key, value: Some(BoardValue::Row(row.into())) });
            }
        }
        let versions = [View::Public, View::Jury]
            .into_iter()
            .flat_map(|view| [(view, ""), (view, "g1")])
            .map(|(view, division)| BoardVersion {
                tenant: tenant.clone(),
                event: event.clone(),
                view,
                division: division.into(),
                version,
            })
            .collect();
        let epoch = BoardsEpoch { epoch: self.next_epoch(), changes, versions, ..BoardsEpoch::default() };
        self.queries.boards.lock().clone_from(&epoch);
        self.boards.publish(Arc::new(epoch));
    }

    /// An epoch in which nothing moves but the change log.
    pub fn publish_notes(&self, notes: Vec<(Id, BoardNoted)>) {
        self.boards.publish(Arc::new(BoardsEpoch { epoch: self.next_epoch(), notes, ..BoardsEpoch::default() }));
    }

    fn next_epoch(&self) -> u64 {
        1 + self.epoch.fetch_add(1, Ordering::SeqCst) as u64
    }

    /// Commits an epoch with everything in the log, but for what is refused.
    pub fn commit(&self, refused: &[(Position, &'static str)]) {
        let refused = refused
            .iter()
            .map(|(position, code)| Refused { position: *position, code, detail: format!("was refused as {code}") })
            .collect();
        let epoch = BoardsEpoch { epoch: self.next_epoch(), bound: self.log.ends(), refused, ..BoardsEpoch::default() };
        self.visibility.publish(Arc::new(epoch));
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn get_as_admin(&self, path: &str) -> Answer {
        self.ask(Request::get(path).header("authorization", format!("Bearer {TOKEN}")).body(Body::empty()).unwrap())
            .await
    }

    pub async fn post(&self, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        self.post_with(path, kind, &[], body).await
    }

    pub async fn post_with(&self, path: &str, kind: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request =
            Request::post(path).header("content-type", kind).header("authorization", format!("Bearer {TOKEN}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(body.into()).unwrap()).await
    }

    pub async fn post_json(&self, path: &str, body: Value) -> Answer {
        self.post(path, "application/json", body.to_string()).await
    }
}

/// The event in progress: started, five hours, freeze after four.
pub fn header() -> BoardHeader {
    let problem = |id: &str, label: &str| BoardProblem {
        problem: id.into(),
        label: label.into(),
        name: format!("Problem {label}"),
        rgb: None,
    };
    BoardHeader {
        name: "Spring".into(),
        started_at_ms: Some(START_MS),
        duration_ms: Some(5 * HOUR_MS),
        freeze_ms: Some(4 * HOUR_MS),
        penalty_min: 20,
        problems: vec![problem("p1", "A"), problem("p2", "B")],
        divisions: vec![Division { division: "g1".into(), name: "Group".into() }],
        ..BoardHeader::default()
    }
}

fn rows(view: View) -> Vec<(&'static str, BoardRow)> {
    let row = |name: &str, solved: u32, hidden: bool| BoardRow {
        name: name.into(),
        organization: Some("U".into()),
        divisions: vec!["g1".into()],
        hidden,
        solved,
        penalty: i64::from(solved) * 10,
        last_solved_min: i64::from(solved) * 10,
        last_scored_at_ms: 0,
        cells: (solved > 0)
            .then(|| Cell { problem: "p1".into(), judged: 1, pending: 0, solved_min: Some(10), ..Cell::default() })
            .into_iter()
            .collect(),
        ..BoardRow::default()
    };
    match view {
        View::Public => vec![("1", row("First", 1, false)), ("3", row("Third", 0, false))],
        View::Jury => {
            vec![("1", row("First", 1, false)), ("2", row("Secret Team", 1, true)), ("3", row("Third", 2, false))]
        }
    }
}

/// A submission as a CloudEvent.
pub fn submission(id: &str, team: &str) -> Value {
    serde_json::json!({
        "specversion": "1.0", "id": id, "source": "judge", "type": "submission.received", "tenant": "uni", "event": "spring",
        "time": "2026-03-14T08:10:00Z", "data": {"submission": format!("s-{id}"), "team": team, "problem": "p1"},
    })
}

/// The position that a result names.
pub fn position(result: &Value) -> Position {
    Position {
        topic: gravity_events::Topic::from_name(result["topic"].as_str().unwrap()).unwrap(),
        partition: result["partition"].as_u64().unwrap() as u32,
        offset: result["offset"].as_u64().unwrap(),
    }
}
