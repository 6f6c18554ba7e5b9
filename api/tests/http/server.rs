//! The server over real sockets: peers, streams, slow clients, the drain.

use std::time::Duration;

use gravity_api::{ServerOptions, serve_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, TOKEN, submission};

struct Server {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

async fn start(f: &Fixture, options: ServerOptions) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = f.state.shutdown.clone();
    let running = tokio::spawn(serve_with(listener, f.router.clone(), shutdown.clone(), options));
    Server { address, shutdown, running }
}

/// Sends a request and reads until the text has come, or the peer closes.
async fn send(socket: &mut TcpStream, request: &str) {
    socket.write_all(request.as_bytes()).await.unwrap();
}

async fn read_until(socket: &mut TcpStream, text: &str) -> String {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(text) {
        if socket.read_buf(&mut got).await.unwrap() == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&got).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

#[tokio::test]
async fn the_peer_is_known_to_the_routes() {
    let f = Fixture::new();
    let server = start(&f, ServerOptions::default()).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    send(&mut socket, &get("/metrics")).await;
    assert!(read_until(&mut socket, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    send(&mut socket, "GET /metrics HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 127.0.0.1\r\n\r\n").await;
    assert!(read_until(&mut socket, "\r\n\r\n").await.starts_with("HTTP/1.1 401"));
    server.shutdown.cancel();
    server.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_ends_streams_and_lets_appends_finish() {
    let f = Fixture::new();
    let server = start(&f, ServerOptions::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    send(&mut stream, &get("/api/v1/events/spring/board/stream")).await;
    assert!(read_until(&mut stream, "event: snapshot").await.contains("text/event-stream"));

    let permit = f.log.gate.clone().acquire_owned().await.unwrap();
    let body = submission("1", "1").to_string();
    let mut append = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/v1/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    send(&mut append, &head).await;
    // The handler reads the body: the request is in flight.
    assert!(read_until(&mut append, "100 Continue").await.contains("100"));
    server.shutdown.cancel();
    // The stream ends while the append is still held back.
    assert!(!read_until(&mut stream, "never").await.contains("never"));
    assert!(!server.running.is_finished());
    send(&mut append, &body).await;
    drop(permit);
    assert!(read_until(&mut append, "accepted").await.contains("HTTP/1.1 202"));
    server.running.await.unwrap().unwrap();
    assert_eq!(f.log.all().len(), 1);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn slow_heads_are_cut_off() {
    let f = Fixture::new();
    let server = start(&f, ServerOptions { head_timeout: Duration::from_millis(20), ..ServerOptions::default() }).await;
    for head in ["", "GET /livez HTTP/1.1\r\nx-slow: "] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        send(&mut socket, head).await;
        let answer = read_until(&mut socket, "never").await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    server.shutdown.cancel();
    server.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn peers_that_do_not_read_are_cut_off() {
    let f = Fixture::new();
    let server =
        start(&f, ServerOptions { write_timeout: Duration::from_millis(20), ..ServerOptions::default() }).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    // Many requests on one connection, none of whose answers is read, until the server gives it up.
    let one = get("/openapi.json");
    while socket.write_all(one.as_bytes()).await.is_ok() {}
    server.shutdown.cancel();
    server.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_their_turn() {
    let f = Fixture::new();
    let server = start(&f, ServerOptions { connections_max: 1, ..ServerOptions::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    send(&mut first, &get("/livez")).await;
    read_until(&mut first, "ok").await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    send(&mut second, &get("/livez")).await;
    let early = tokio::time::timeout(Duration::from_millis(50), read_until(&mut second, "ok")).await;
    assert!(early.is_err(), "the second was answered while the first was open");
    drop(first);
    assert!(read_until(&mut second, "ok").await.contains("200 OK"));
    server.shutdown.cancel();
    drop(second);
    server.running.await.unwrap().unwrap();
}
