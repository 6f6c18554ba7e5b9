//! Clients that mean no good.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use gravity_operators::harness::dice::Dice;

/// Opens connections that say nothing.
pub async fn idle(port: u16, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    while open.len() < count {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => open.push(stream),
            // The queue of connections that wait to be taken is full for a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    open
}

/// Sends the same piece again and again, slowly, until the server has enough of it or the task is aborted.
fn drip(port: u16, begin: String, piece: &'static str) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
            let mut sent = stream.write_all(begin.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                sent = stream.write_all(piece.as_bytes()).await;
            }
        }
    })
}

/// Heads that never end.
pub fn slow_heads(port: u16, count: usize) -> Vec<JoinHandle<()>> {
    (0..count).map(|_| drip(port, "GET / HTTP/1.1\r\nhost: x\r\n".into(), "x-a: b\r\n")).collect()
}

/// Bodies that never end, of a client with a token.
pub fn slow_bodies(port: u16, token: &str, count: usize) -> Vec<JoinHandle<()>> {
    let head = format!(
        "POST /api/v1/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/cloudevents-batch+json\r\ncontent-length: 1000000\r\n\r\n["
    );
    (0..count).map(|_| drip(port, head.clone(), " ")).collect()
}

/// Streams that are asked for and never read.
pub async fn deaf_streams(port: u16, path: &str, count: usize) -> Vec<TcpStream> {
    let mut open = idle(port, count).await;
    for stream in &mut open {
        let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
    }
    open
}

/// Sends bytes, closes its side and gives the first bytes of the answer; None when there was none.
pub async fn raw(port: u16, bytes: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    // The server may have enough before all is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = vec![0; 4_096];
    let n = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut answer)).await.expect("an end").ok()?;
    (n > 0).then(|| String::from_utf8_lossy(&answer[..n]).into_owned())
}

/// Bytes that are no request, or an absurd one.
pub fn garbage(random: &mut Dice) -> Vec<u8> {
    match random.below(8) {
        0 => (0..1 + random.below(5_000)).map(|_| random.any() as u8).collect(),
        1 => [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 1 << 20], b"\r\n\r\n".to_vec()].concat(),
        2 => [b"GET / HTTP/1.1\r\n".to_vec(), b"x: a\r\n".repeat(50_000), b"\r\n".to_vec()].concat(),
        3 => [b"GET /".to_vec(), vec![b'a'; 1 << 20], b" HTTP/1.1\r\n\r\n".to_vec()].concat(),
        4 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff".to_vec(),
        5 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        6 => {
            b"POST /api/v1/records HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
                .to_vec()
        }
        _ => b"POST /api/v1/records HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n".to_vec(),
    }
}
