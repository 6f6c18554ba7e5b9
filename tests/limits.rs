//! Bounds that keep one client, or one tenant, from having the server to itself.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use gravity_events::body::UsageTokens;
use gravity_events::{Body, Record};
use reqwest::StatusCode;
use support::Server;
use support::contest::{attempt, reference};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const EVENT: &str = "limits";

fn usage(n: u64) -> Vec<u8> {
    let body = UsageTokens { model: "m".into(), input_tokens: 1, ..UsageTokens::default() };
    let record = Record {
        id: format!("u{n}").into(),
        source: "/flood".into(),
        tenant: "flood".into(),
        event: None,
        subject: None,
        time_ms: Some(1_780_000_000_000),
        backfill: true,
        body: Body::UsageTokens(body),
    };
    gravity_events::codec::encode(&record)
}

/// Sends a batch, whatever becomes of it.
async fn batch(server: &Server, records: &[Vec<u8>]) -> reqwest::Response {
    let body = [b"[".as_slice(), &records.join(&b","[..]), b"]"].concat();
    let request = support::http().post(format!("{}/api/v1/records", server.url)).bearer_auth(server.token());
    let request = request.header("content-type", "application/cloudevents-batch+json").body(body);
    request.send().await.expect("an answer")
}

/// The records were refused for this reason, which concerns nobody else: another tenant's attempt counts at the very same time.
async fn refused_alone(server: &Server, answer: reqwest::Response, code: &str, attempt_of_other: u32) {
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "1");
    let problem: serde_json::Value = answer.json().await.expect("a problem");
    assert_eq!(problem["code"], code, "{problem}");
    let statuses = server.send(&attempt(EVENT, attempt_of_other, 20, 5), true).await;
    assert!(statuses.iter().all(|s| s == "counted"), "{statuses:?}");
}

/// How a tenant that is faster than it may be is answered, who comes back as told, and that nobody else is concerned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_too_fast_is_told_so_and_comes_through_at_its_rate() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = [("GRAVITY_LIMITS__TENANT_RECORDS", "1000"), ("GRAVITY_LIMITS__TENANT_RECORDS_PER_S", "1000")];
    let server = Server::start(dir.path(), &limits).await;
    server.send(&reference(EVENT, 20, 5), true).await;
    let (mut refused, mut sent) = (0, 0);
    while sent < 4_000 {
        let records: Vec<_> = (sent..sent + 1_000).map(usage).collect();
        let answer = batch(&server, &records).await;
        if answer.status() == StatusCode::ACCEPTED {
            sent += 1_000;
            continue;
        }
        refused += 1;
        refused_alone(&server, answer, "tenant_too_fast", refused).await;
    }
    assert!(
        refused >= 1,
        "4,000 records at once, of a tenant that may be 1,000 ahead and bring 1,000 more in a second"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_floods_is_told_to_wait_and_others_are_served_meanwhile() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = [("GRAVITY_LIMITS__TENANT_RECORDS", "500"), ("GRAVITY_LIMITS__TENANT_RECORDS_PER_S", "100000000")];
    let server = Server::start(dir.path(), &limits).await;
    server.send(&reference(EVENT, 20, 5), true).await;
    // What was refused is sent again, as a client would.
    let (mut taken, mut refused) = (0, 0);
    for from in (0..).step_by(1_000) {
        let records: Vec<_> = (from..from + 1_000).map(usage).collect();
        loop {
            let answer = batch(&server, &records).await;
            if answer.status() == StatusCode::ACCEPTED {
                taken += 1_000;
                break;
            }
            refused += 1;
            refused_alone(&server, answer, "tenant_busy", refused).await;
        }
        if refused >= 5 {
            break;
        }
        assert!(from < 2_000_000, "nobody was refused");
    }
    // Nothing of what was taken is lost.
    let sql = "select count(*) as n, count(distinct id) as ids from lake.usage where tenant = 'flood'";
    let until = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let rows: serde_json::Value =
            serde_json::from_str(&server.ok(&["sql", sql, "--format", "json"])).expect("JSON");
        if rows[0]["n"] == taken {
            assert_eq!(rows[0]["ids"], taken);
            break;
        }
        assert!(std::time::Instant::now() < until, "{rows} of {taken}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_connections_and_others_have_theirs() {
    const MOST: usize = 40;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[("GRAVITY_LIMITS__CONNECTIONS_PER_CLIENT", "40")]).await;
    let mut open = Vec::new();
    let answer = loop {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.expect("a connection");
        let mut answer = String::new();
        // One that may stay says nothing until it is asked.
        if tokio::time::timeout(Duration::from_millis(200), stream.read_to_string(&mut answer)).await.is_ok() {
            break answer;
        }
        open.push(stream);
        assert!(open.len() <= MOST, "{} connections", open.len());
    };
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let problem: serde_json::Value = serde_json::from_str(body).expect("whole");
    assert_eq!(problem["code"], "too_many_connections");
    // Somebody else.
    let other = reqwest::Client::builder().local_address("127.0.0.2".parse::<IpAddr>().ok()).no_proxy();
    let other = other.tls_certs_only([]).build().expect("a client");
    let served = other.get(format!("{}/livez", server.url)).send().await.expect("an answer");
    assert_eq!(served.status(), StatusCode::OK);
    // Who closes one may have another.
    drop(open.pop());
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while support::http().get(format!("{}/livez", server.url)).send().await.is_ok_and(|r| r.status() != StatusCode::OK)
    {
        assert!(std::time::Instant::now() < until, "the place is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
