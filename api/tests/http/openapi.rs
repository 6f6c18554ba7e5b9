//! The document: complete, and the same as the committed copy.

use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use super::fixture::{Fixture, TOKEN};

#[test]
fn the_committed_copy_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let now = gravity_api::openapi::document();
    if std::env::var_os("GRAVITY_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "docs/openapi.json differs: run the tests with GRAVITY_UPDATE_GOLDEN=1 and review the change"
    );
}

#[tokio::test]
async fn every_documented_route_is_there_and_documents_its_refusals() {
    let f = Fixture::new();
    let document = f.get("/openapi.json").await.json();
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            routes += 1;
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            let is_protected = operation["security"] == serde_json::json!([{"token": []}]);
            let concrete = path
                .replace("{event}", "spring")
                .replace("{team}", "1")
                .replace("{tenant}", "acme")
                .replace("{collection}/{id}", "teams/1")
                .replace("{collection}", "teams")
                .replace("{submission}", "s1")
                .replace("{month}/{number}", "2026-05/0")
                .replace("{dialect}", "openai")
                .replace("{view}", "funnel")
                .replace("{meter}", "tokens")
                .replace("{id}", "d1")
                .replace("{path}", "board.js");
            let request = |token: bool| {
                let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(&concrete);
                if token {
                    request = request.header("authorization", format!("Bearer {TOKEN}"));
                }
                request.body(Body::empty()).unwrap()
            };
            let status = |response: axum::response::Response| response.status().as_u16();
            let answer = tower::ServiceExt::oneshot(f.router.clone(), request(true)).await.unwrap();
            let with = answer.status().as_u16();
            if with == 404 {
                // What a route does not find has a code of its own.
                let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
                assert!(!String::from_utf8_lossy(&body).contains(r#""code":"not_found""#), "{method} {path}");
            }
            assert!(with != 405 && with < 500, "{method} {path}: {with}");
            assert!(operation["responses"][with.to_string()].is_object(), "{method} {path} does not document {with}");
            let without = status(tower::ServiceExt::oneshot(f.router.clone(), request(false)).await.unwrap());
            assert_eq!(without == 401, is_protected || path == "/metrics", "{method} {path}: {without}");
            if without == 401 {
                assert!(operation["responses"]["401"].is_object(), "{method} {path} does not document 401");
            }
        }
    }
    // As many as there are in the router: see `app::routes`.
    assert_eq!(routes, gravity_api::app::route_count(&f.state));
}

#[tokio::test]
async fn every_error_is_a_problem_in_the_document() {
    let document: Value = serde_json::from_str(&gravity_api::openapi::document()).unwrap();
    let operations = document["paths"].as_object().unwrap().values().flat_map(|m| m.as_object().unwrap().values());
    for operation in operations {
        for (status, response) in operation["responses"].as_object().unwrap() {
            if status.starts_with('4') || status.starts_with('5') {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{} {status}", operation["operationId"]);
            }
        }
    }
}
