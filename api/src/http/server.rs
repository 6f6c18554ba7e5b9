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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::metrics;

/// Bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Open connections at most; further ones wait in the system's queue.
    pub connections_max: usize,
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
            head_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
        }
    }
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
    let aborted = CancellationToken::new();
    loop {
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
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let (router, stopping) = (router.clone(), shutdown.clone());
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            answer(router.clone(), stopping.clone(), peer, request.map(Body::new))
        });
        let io = TokioIo::new(Impatient { stream, timeout: options.write_timeout, waiting: None });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.head_timeout)
            .max_buf_size(64 << 10)
            .serve_connection(io, service);
        let connection = graceful.watch(connection);
        let aborted = aborted.clone();
        tokio::spawn(async move {
            metrics::CONNECTIONS.inc();
            let ended = tokio::select! {
                ended = connection => ended.map_err(|e| e.to_string()),
                () = aborted.cancelled() => Err("cut off: it did not end in time".into()),
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, error, "a connection ended early");
            }
            metrics::CONNECTIONS.dec();
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(options.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight when the drain timeout was over");
        aborted.cancel();
    }
    Ok(())
}

/// One request; a stream among the answers ends when the server stops.
async fn answer(
    router: Router,
    stopping: CancellationToken,
    peer: SocketAddr,
    mut request: Request,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request).await?;
    let is_stream =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
    if !is_stream {
        return Ok(response);
    }
    Ok(response.map(|body| Body::from_stream(body.into_data_stream().take_until(stopping.cancelled_owned()))))
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
