//! The handlers: statuses, headers, conditional requests, streams.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures::StreamExt;
use gravity_api::serving::handlers::{Viewer, routes};
use gravity_api::serving::{Boards, SseFrame};
use gravity_events::board::View;
use serde_json::Value;
use tower::ServiceExt;

use crate::client::{parse, retry_ms};
use crate::world::{epoch_of, options, publish};

struct Server {
    boards: Arc<Boards>,
}

impl Server {
    fn new() -> Server {
        let mut options = options();
        options.kept_versions = 2;
        let boards = Boards::new(options);
        publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1), ("2", 2), ("3", 3)]));
        publish(&boards, epoch_of(2, View::Jury, 1, &[("1", 1)]));
        Server { boards }
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], viewer: Option<Viewer>) -> axum::response::Response {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().extend(
            viewer
                .map(|viewer| {
                    let mut extensions = axum::http::Extensions::new();
                    extensions.insert(viewer);
                    extensions
                })
                .unwrap_or_default(),
        );
        routes().with_state(self.boards.clone()).oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)], jury: bool) -> (StatusCode, HeaderMap, Vec<u8>) {
        let response = self.send(path, headers, jury.then_some(Viewer { may_see_jury: true })).await;
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let server = Server::new();
    let (status, headers, body) = server.get("/events/final/board?limit=2", &[], false).await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
    assert_eq!(headers["cache-control"], "no-cache");
    let etag = headers["etag"].to_str().unwrap().to_owned();
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((json["rows"].as_array().unwrap().len(), &json["total_rows"]), (2, &3.into()));
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".into()] {
        let (status, headers, body) =
            server.get("/events/final/board?limit=2", &[("if-none-match", &known)], false).await;
        assert_eq!((status, body.len(), &headers["etag"]), (StatusCode::NOT_MODIFIED, 0, &etag.parse().unwrap()));
    }
    let next = json["next_cursor"].as_str().unwrap();
    let (_, headers, body) = server.get(&format!("/events/final/board?limit=2&cursor={next}"), &[], false).await;
    assert_ne!(headers["etag"], etag);
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&json["from"], &json["rows"][0]["team"], &json["next_cursor"]), (&2.into(), &"1".into(), &Value::Null));
    publish(&server.boards, epoch_of(3, View::Public, 2, &[("1", 9)]));
    let (status, ..) = server.get("/events/final/board?limit=2", &[("if-none-match", &etag)], false).await;
    assert_eq!(status, StatusCode::OK);
    let (status, headers, _) = server.get("/events/final/board/teams/1", &[], false).await;
    let etag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(status, StatusCode::OK);
    let (status, ..) = server.get("/events/final/board/teams/1", &[("if-none-match", &etag)], false).await;
    assert_eq!(status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_a_problem_object() {
    let server = Server::new();
    for version in 2..=4 {
        publish(&server.boards, epoch_of(version + 1, View::Public, version, &[("1", version as u32 + 5)]));
    }
    for (path, status, code) in [
        ("/events/none/board", 404, "unknown_event"),
        ("/events/final/board?division=d", 404, "unknown_division"),
        ("/events/final/board/teams/77", 404, "unknown_team"),
        ("/events/final/board?at=1", 410, "version_gone"),
        ("/events/final/board?at=9", 404, "version_not_yet"),
        ("/events/final/board?at=last", 400, "bad_query"),
        ("/events/final/board?limit=0", 400, "bad_query"),
        ("/events/final/board?limit=-1", 400, "bad_query"),
        ("/events/final/board?view=private", 400, "bad_query"),
        ("/events/final/board?cursor=zzz", 400, "bad_cursor"),
        ("/events/final/board?cursor=zzz&from=0", 400, "bad_query"),
        ("/events/final/board?cursor=zzz&at=4", 400, "bad_query"),
        ("/events/final/board?view=jury", 401, "jury_only"),
        ("/events/none/board?view=jury", 401, "jury_only"),
        ("/events/final/board/teams/1?view=jury", 401, "jury_only"),
        ("/events/final/board/stream?view=jury", 401, "jury_only"),
        ("/events/none/board/stream", 404, "unknown_event"),
        ("/events/final/board/stream?limit=0", 400, "bad_query"),
    ] {
        let (got, headers, body) = server.get(path, &[], false).await;
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((got.as_u16(), &json["code"], &json["status"]), (status, &code.into(), &status.into()), "{path}");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(json["hint"].as_str().is_some_and(|hint| !hint.is_empty()) && json["detail"].is_string());
    }
    let (status, ..) = server.get("/events/final/board?limit=100000", &[], false).await;
    assert_eq!(status, StatusCode::OK, "more than are sent at once is no error: the page has a cursor");
}

#[tokio::test]
async fn the_jury_sees_its_view() {
    let server = Server::new();
    let (status, headers, body) = server.get("/events/final/board?view=jury", &[], true).await;
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &json["view"], &json["epoch"]), (StatusCode::OK, &"jury".into(), &2.into()));
    assert_eq!(headers["cache-control"], "private, no-cache");
    let (_, _, body) = server.get("/events", &[], true).await;
    let json: Value = serde_json::from_slice(&body).unwrap();
    let event = &json["events"][0];
    assert_eq!((&event["event"], &event["view"], &event["version"]), (&"final".into(), &"public".into(), &1.into()));
    assert!(event.get("tenant").is_none() && event.get("started_at").is_some() && event["frozen"] == false);
}

#[tokio::test]
async fn a_stream_resumes_from_the_header_before_the_parameter() {
    let server = Server::new();
    publish(&server.boards, epoch_of(3, View::Public, 2, &[("1", 9)]));
    type Headers = [(&'static str, &'static str)];
    let cases: [(&str, &Headers, &str); 5] = [
        ("", &[], "snapshot"),
        ("?last_event_id=1", &[], "delta"),
        ("?last_event_id=7", &[("last-event-id", "1")], "delta"),
        ("?last_event_id=what", &[], "snapshot"),
        ("?last_event_id=2&team=1", &[], "you"),
    ];
    for (query, headers, first) in cases {
        let response = server.send(&format!("/events/final/board/stream{query}"), headers, None).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let mut body = response.into_body().into_data_stream();
        retry_ms(&body.next().await.unwrap().unwrap());
        let (event, id, _) = parse(&SseFrame(body.next().await.unwrap().unwrap()));
        assert_eq!((event.as_str(), id), (first, 2), "{query}");
    }
    assert_eq!(server.boards.subscribers(), 0, "a body that is dropped is a stream that is closed");
    let body = server.send("/events/final/board/stream", &[], None).await.into_body();
    server.boards.close();
    retry_ms(&to_bytes(body, usize::MAX).await.unwrap());
}
