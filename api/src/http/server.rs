//! The server: accepts, bounds, times out and drains connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header;
use axum::response::Response;
use futures::StreamExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::peers::Peers;
use crate::metrics;

/// Bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Open connections at most; further ones wait in the system's queue.
    pub connections_max: usize,
    /// Of one address at most; further ones are answered 429. 0: no bound, for servers behind a gateway.
    pub connections_of_peer_max: usize,
    /// How long a request's head may take, and how long a kept connection may idle.
    pub head_timeout: Duration,
    /// How long a peer may leave a full buffer unread.
    pub write_timeout: Duration,
    /// How long requests in flight may go on once a shutdown began.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            connections_max: 30_000,
            connections_of_peer_max: 10_000,
            head_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Connections that the system holds until they are accepted. Where its queue is full it forgets those that it has told
/// the peer are open: thousands come within one second when a contest begins, or a server comes back.
const BACKLOG: u32 = 16_384;

/// Listens on an address (host and port), with room for a rush.
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in tokio::net::lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Connections of a server before this one may still be waiting to be forgotten.
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Serves until `shutdown`, with the default bounds. See [`serve_with`].
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    serve_with(listener, router, shutdown, ServerOptions::default()).await
}

/// Serves HTTP/1.1 until `shutdown` is cancelled; then takes no new connection, ends every stream, lets requests in
/// flight finish and returns. Give the same token to [`crate::app::AppState`], so that readiness fails first.
pub async fn serve_with(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    options: ServerOptions,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(options.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let peers = Peers::new(options.connections_of_peer_max);
    let served = Arc::new(Served { router, stopping: shutdown.clone() });
    loop {
        // Those that have ended; awaiting them costs a connection nothing while it is served.
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, peer)| (slot, stream, peer))
        };
        let (slot, stream, peer) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or a peer gone before its turn: others may still be served.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        let Some(of_peer) = peers.clone().open(peer.ip()) else {
            connections.spawn(turn_away(stream));
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let served = served.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            served.clone().answer(peer, request.map(Body::new))
        });
        let io = TokioIo::new(Impatient { stream, timeout: options.write_timeout, waiting: None });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.head_timeout)
            .max_buf_size(64 << 10)
            .serve_connection(io, service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let _open = (Open::new(slot), of_peer);
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(options.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight when the drain timeout was over");
        connections.shutdown().await;
    }
    Ok(())
}

/// An open connection: counted, and in its slot, until it is dropped.
struct Open(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Open {
    fn new(slot: OwnedSemaphorePermit) -> Open {
        metrics::CONNECTIONS.inc();
        Open(slot)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::CONNECTIONS.dec();
    }
}

/// Says why, and closes.
async fn turn_away(mut stream: TcpStream) {
    const BODY: &str = r#"{"type":"urn:gravity:problem:too_many_connections","title":"Too Many Requests","status":429,"code":"too_many_connections","detail":"this address has as many connections as one may have","hint":"close some, or reuse them"}"#;
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\nretry-after: 5\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let said = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // Whoever does not read it knows it anyway.
    let _ = tokio::time::timeout(Duration::from_secs(1), said).await;
}

/// What every connection is served with.
struct Served {
    router: Router,
    stopping: CancellationToken,
}

impl Served {
    /// One request; a stream among the answers ends when the server stops.
    async fn answer(self: Arc<Served>, peer: SocketAddr, mut request: Request) -> Result<Response, Infallible> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.router.clone().call(request).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream")) {
            return Ok(response);
        }
        let stopping = self.stopping.clone().cancelled_owned();
        Ok(response.map(|body| Body::from_stream(body.into_data_stream().take_until(stopping))))
    }
}

/// A connection whose writes time out: a peer that reads nothing must not hold its buffers for ever.
struct Impatient {
    stream: TcpStream,
    timeout: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn bounded<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let timeout = self.timeout;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
