//! A proxy in front of a server whose connections fail in every way that networks and busy servers have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Ways to fail.
pub const FAULTS: [&str; 4] = ["closed at once", "stalled", "answer cut off", "told to slow down"];

/// A proxy on a free port of 127.0.0.1.
pub struct FaultyProxy {
    /// Its port.
    pub port: u16,
    /// How often each way to fail was taken, in the order of [`FAULTS`].
    pub faults: Arc<[AtomicU64; 4]>,
}

impl FaultyProxy {
    /// Starts one. About every sixth connection fails; none lives for long. A stalled one says nothing for `stall`.
    pub async fn start(to: u16, stall: Duration) -> FaultyProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults: Arc<[AtomicU64; 4]> = Arc::default();
        let counted = faults.clone();
        tokio::spawn(async move {
            let mut n = 0_u64;
            while let Ok((client, _)) = listener.accept().await {
                n += 1;
                tokio::spawn(serve(client, to, n, stall, counted.clone()));
            }
        });
        FaultyProxy { port, faults }
    }
}

async fn serve(mut client: TcpStream, to: u16, n: u64, stall: Duration, faults: Arc<[AtomicU64; 4]>) {
    // Well mixed, and the same every time for the same number.
    let dice = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % 100;
    let fault = |at: usize| {
        faults[at].fetch_add(1, Ordering::Relaxed);
    };
    match dice {
        0..5 => fault(0),
        5..7 => {
            fault(1);
            tokio::time::sleep(stall).await;
        }
        7..12 => {
            // The server does what it is asked, and the client does not learn it.
            fault(2);
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            let mut answer = [0; 20];
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            tokio::select! {
                _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                _ = from_server.read_exact(&mut answer) => {}
            }
            let _ = to_client.write_all(&answer[..5]).await;
        }
        12..16 => {
            fault(3);
            let mut request = [0; 4_096];
            let _ = client.read(&mut request).await;
            let answer = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = client.write_all(answer).await;
        }
        _ => {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            let life = Duration::from_millis(100 + dice * 5);
            let _ = tokio::time::timeout(life, copy_bidirectional(&mut client, &mut server)).await;
        }
    }
}
