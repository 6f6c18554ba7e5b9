//! Where alerts end: what PagerDuty and a mail server are told, said to none of them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What was told, in order.
pub type Told<T> = Arc<Mutex<Vec<T>>>;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Takes events as PagerDuty's Events API v2 does.
pub async fn pager() -> (SocketAddr, Told<Value>) {
    let (listener, address) = listener().await;
    let told = Told::default();
    let take = |State(told): State<Told<Value>>, Json(event): Json<Value>| async move {
        told.lock().push(event);
        (axum::http::StatusCode::ACCEPTED, Json(serde_json::json!({"status": "success"})))
    };
    let router = Router::new().route("/v2/enqueue", post(take)).with_state(told.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, told)
}

/// Takes traces as a collector does (OTLP over HTTP, JSON): their spans.
pub async fn collector() -> (SocketAddr, Told<Value>) {
    let (listener, address) = listener().await;
    let told = Told::default();
    let take = |State(told): State<Told<Value>>, Json(body): Json<Value>| async move {
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let scopes = list(&body, "resourceSpans").into_iter().flat_map(|resource| list(&resource, "scopeSpans"));
        told.lock().extend(scopes.flat_map(|scope| list(&scope, "spans")));
        Json(serde_json::json!({}))
    };
    let router = Router::new().route("/v1/traces", post(take)).with_state(told.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, told)
}

/// Takes mails as a relay does (RFC 5321).
pub async fn mail() -> (SocketAddr, Told<String>) {
    let (listener, address) = listener().await;
    let told = Told::default();
    let taken = told.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let told = taken.clone();
            tokio::spawn(async move { converse(stream, told).await });
        }
    });
    (address, told)
}

async fn converse(stream: TcpStream, told: Told<String>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 relay\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.to_ascii_uppercase().split(' ').next().unwrap_or_default() {
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    mail.push_str(&line);
                    mail.push('\n');
                }
                told.lock().push(mail);
                "250 taken\r\n"
            }
            "QUIT" => return write.write_all(b"221 bye\r\n").await,
            _ => "250 ok\r\n",
        };
        write.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
