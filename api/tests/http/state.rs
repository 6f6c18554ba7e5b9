//! Setting an event up and moving its state.

use std::sync::atomic::Ordering;

use gravity_events::board::BoardHeader;
use gravity_events::body::{EventExtended, Moment};
use gravity_events::{Body, Record, codec};
use serde_json::{Value, json};

use super::fixture::{Fixture, HOUR_MS, START_MS, header};

const STATE: &str = "/api/v1/events/spring/state";
const NOW_MS: i64 = START_MS + HOUR_MS;

fn last(f: &Fixture) -> Record {
    let all = f.log.all();
    codec::decode(&all.last().unwrap().value).unwrap()
}

#[tokio::test]
async fn each_action_is_its_record() {
    let at = |ms: i64| Moment { at: Some(ms), contest_time_ms: None };
    let running = || BoardHeader { freeze_ms: Some(HOUR_MS / 2), ended_at_ms: None, thawed_at_ms: None, ..header() };
    let ended = || BoardHeader { ended_at_ms: Some(NOW_MS), ..running() };
    for (header, request, body) in [
        (BoardHeader { started_at_ms: None, ..running() }, json!({"action": "start"}), Body::EventStarted(at(NOW_MS))),
        (running(), json!({"action": "start", "at": "2026-03-14T08:00:00Z"}), Body::EventStarted(at(START_MS))),
        (
            running(),
            json!({"action": "freeze"}),
            Body::EventFrozen(Moment { at: Some(NOW_MS), contest_time_ms: Some(HOUR_MS) }),
        ),
        (
            running(),
            json!({"action": "freeze", "at": "2026-03-14T08:30:00Z"}),
            Body::EventFrozen(Moment { at: Some(START_MS + HOUR_MS / 2), contest_time_ms: Some(HOUR_MS / 2) }),
        ),
        (running(), json!({"action": "thaw"}), Body::EventThawed(at(NOW_MS))),
        (running(), json!({"action": "end"}), Body::EventEnded(at(NOW_MS))),
        (ended(), json!({"action": "finalize"}), Body::EventFinalized(at(NOW_MS))),
        (
            running(),
            json!({"action": "extend", "duration_ms": 6 * HOUR_MS, "reason": "power cut"}),
            Body::EventExtended(EventExtended { duration_ms: Some(6 * HOUR_MS), reason: Some("power cut".into()) }),
        ),
    ] {
        let f = Fixture::new();
        f.show(header, 2);
        let answer = f.post_json(STATE, request.clone()).await;
        assert_eq!(answer.status, 202, "{:?}", answer.json());
        let record = last(&f);
        assert_eq!(record.body, body, "{request}");
        assert_eq!(
            (record.tenant.as_str(), record.event.as_deref(), record.time_ms),
            ("uni", Some("spring"), Some(NOW_MS))
        );
        assert_eq!(answer.json()["result"]["status"], "accepted");
        assert_eq!(answer.json()["record"], record.id.as_str());
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let f = Fixture::new();
    for (request, field) in [
        (json!({"action": "melt"}), "action"),
        (json!({}), "action"),
        (json!({"action": "extend"}), "duration_ms"),
        (json!({"action": "extend", "duration_ms": 0}), "duration_ms"),
        (json!({"action": "extend", "duration_ms": i64::MAX}), "duration_ms"),
        (json!({"action": "extend", "duration_ms": 1, "at": "2026-03-14T08:00:00Z"}), "at"),
        (json!({"action": "thaw", "duration_ms": 1}), "duration_ms"),
        (json!({"action": "thaw", "reason": "x"}), "reason"),
        (json!({"action": "freeze", "at": "2026-03-14T07:59:59Z"}), "at"),
        (json!({"action": "end", "at": "2026-03-14T07:00:00Z"}), "at"),
        (json!({"action": "start", "at": "soon"}), "at"),
        (json!({"action": "start", "att": "2026-03-14T07:00:00Z"}), "att"),
    ] {
        let (_, fields) = f.post_json(STATE, request.clone()).await.problem(422);
        assert_eq!(fields, [field], "{request}");
    }
    f.show(BoardHeader { started_at_ms: None, ..header() }, 2);
    for action in ["freeze", "end", "finalize"] {
        assert_eq!(f.post_json(STATE, json!({"action": action})).await.problem(409).0, "event_not_started");
    }
    assert!(f.log.all().is_empty());
}

#[tokio::test]
async fn an_event_moves_forward_only() {
    let f = Fixture::new();
    let running = || BoardHeader { freeze_ms: None, ended_at_ms: None, thawed_at_ms: None, ..header() };
    let frozen = || BoardHeader { freeze_ms: Some(2 * HOUR_MS), ..running() };
    let ended = || BoardHeader { ended_at_ms: Some(NOW_MS), ..frozen() };
    let last = || BoardHeader { finalized_at_ms: Some(NOW_MS), ..ended() };
    let cases = [
        (running(), json!({"action": "start"}), "event_started"),
        (running(), json!({"action": "thaw"}), "event_not_frozen"),
        (frozen(), json!({"action": "thaw"}), "event_not_frozen"),
        (running(), json!({"action": "finalize"}), "event_not_ended"),
        (BoardHeader { thawed_at_ms: Some(NOW_MS), ..frozen() }, json!({"action": "freeze"}), "event_thawed"),
        (ended(), json!({"action": "freeze"}), "event_ended"),
        (ended(), json!({"action": "start", "at": "2026-03-14T08:00:00Z"}), "event_ended"),
        (last(), json!({"action": "start", "at": "2026-03-14T08:00:00Z"}), "event_finalized"),
        (last(), json!({"action": "extend", "duration_ms": 6 * HOUR_MS}), "event_finalized"),
        (last(), json!({"action": "end"}), "event_finalized"),
    ];
    for (n, (header, request, code)) in cases.into_iter().enumerate() {
        f.show(header, 2 + n as u64);
        assert_eq!(f.post_json(STATE, request.clone()).await.problem(409).0, code, "{request}");
    }
    assert!(f.log.all().is_empty());
    // A thaw may be said again, also of what is final.
    f.show(BoardHeader { thawed_at_ms: Some(NOW_MS), ..last() }, 100);
    assert_eq!(f.post_json(STATE, json!({"action": "thaw"})).await.status, 202);
}

#[tokio::test]
async fn a_key_moves_the_state_once() {
    let f = Fixture::new();
    let send = |body: Value| {
        f.post_with(STATE, "application/json", &[("idempotency-key", "k")], body.to_string()).await_json()
    };
    let first = send(json!({"action": "freeze"})).await;
    f.now_ms.fetch_add(60_000, Ordering::SeqCst);
    assert_eq!(send(json!({"action": "freeze"})).await, first);
    assert_eq!(f.log.all().len(), 1);
    assert_eq!(send(json!({"action": "thaw"})).await["code"], "key_reused");
}

trait AwaitJson {
    fn await_json(self) -> impl Future<Output = Value>;
}

impl<F: Future<Output = super::fixture::Answer>> AwaitJson for F {
    async fn await_json(self) -> Value {
        self.await.json()
    }
}

#[tokio::test]
async fn waiting_says_that_it_is_in_force() {
    let f = Fixture::new();
    let path = format!("{STATE}?wait=visible");
    let commit = async {
        while f.log.all().is_empty() {
            tokio::task::yield_now().await;
        }
        f.commit(&[]);
    };
    let (answer, ()) = tokio::join!(f.post_json(&path, json!({"action": "end"})), commit);
    assert_eq!((answer.status.as_u16(), &answer.json()["result"]["status"]), (200, &json!("counted")));
}

fn event_file() -> Value {
    json!({"event": {"id": "autumn", "tenant": "uni", "name": "Autumn", "duration": "5h", "freeze": "1h"},
        "problem": [{"id": "a"}], "team": [{"id": "1", "name": "One"}]})
}

#[tokio::test]
async fn an_event_file_is_applied_with_the_same_ids_each_time() {
    let f = Fixture::new();
    let answer = f.post_json("/api/v1/events", event_file()).await;
    assert_eq!(answer.status, 202);
    let records = answer.json()["records"].as_u64().unwrap() as usize;
    let first = f.log.all();
    assert_eq!((first.len(), answer.json()["event"].as_str()), (records, Some("autumn")));
    let toml = "[event]\nid = \"autumn\"\ntenant = \"uni\"\nname = \"Autumn\"\nduration = \"5h\"\nfreeze = \"1h\"\n[[problem]]\nid = \"a\"\n[[team]]\nid = \"1\"\nname = \"One\"\n";
    assert_eq!(f.post("/api/v1/events", "application/toml", toml).await.status, 202);
    let values: std::collections::BTreeSet<_> = f.log.all().into_iter().map(|e| e.value).collect();
    assert_eq!((f.log.all().len(), values.len()), (2 * records, records));
}

#[tokio::test]
async fn applying_and_waiting_counts_what_changed() {
    let f = Fixture::new();
    let commit = |refuse: Option<&'static str>| {
        let (f, before) = (&f, f.log.all());
        async move {
            loop {
                let new: Vec<_> = f.log.all().into_iter().filter(|e| !before.contains(e)).collect();
                if !new.is_empty() {
                    let refused: Vec<_> = new.iter().filter_map(|e| Some((e.position, refuse?))).collect();
                    return f.commit(&refused);
                }
                tokio::task::yield_now().await;
            }
        }
    };
    let path = "/api/v1/events?wait=visible";
    let (answer, ()) = tokio::join!(f.post_json(path, event_file()), commit(None));
    assert_eq!((answer.status.as_u16(), &answer.json()["unchanged"]), (200, &json!(0)));
    assert_eq!(answer.json()["counted"], answer.json()["records"]);
    let (answer, ()) = tokio::join!(f.post_json(path, event_file()), commit(Some("duplicate")));
    assert_eq!((answer.status.as_u16(), &answer.json()["counted"]), (200, &json!(0)));
    let (answer, ()) = tokio::join!(f.post_json(path, event_file()), commit(Some("wrong_tenant")));
    assert_eq!(answer.problem(409).0, "wrong_tenant");
}

#[tokio::test]
async fn a_wrong_event_file_names_its_field() {
    let f = Fixture::new();
    let mut file = event_file();
    file["event"]["duraton"] = "5h".into();
    let answer = f.post_json("/api/v1/events", file).await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("`duration`"));
    assert_eq!(answer.problem(422), ("unknown_key".into(), vec!["event.duraton".into()]));
    let mut file = event_file();
    file["event"]["id"] = "spring".into();
    file["event"]["tenant"] = "other".into();
    assert_eq!(f.post_json("/api/v1/events", file).await.problem(409), ("event_taken".into(), vec!["event.id".into()]));
    assert!(f.log.all().is_empty());
}
