//! HTTP/1.1 by hand: as little as possible between the load and the socket.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A kept-alive connection.
pub struct Client {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

/// The bytes of a request that appends records: one by itself, or several as a batch.
pub fn append_request(address: &str, token: &str, records: &[Vec<u8>]) -> Vec<u8> {
    request("/api/v1/records", address, token, records)
}

/// The same, answered when they count.
pub fn append_and_wait_request(address: &str, token: &str, records: &[Vec<u8>]) -> Vec<u8> {
    request("/api/v1/records?wait=visible", address, token, records)
}

fn request(path: &str, address: &str, token: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let (kind, body) = match records {
        [one] => ("application/cloudevents+json", one.clone()),
        many => ("application/cloudevents-batch+json", [b"[".as_slice(), &many.join(&b","[..]), b"]"].concat()),
    };
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    request
}

impl Client {
    /// Connects; `token` may be empty.
    pub async fn connect(address: &str, token: &str) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        Ok(Client { stream, head: format!("host: {address}\r\n{authorization}"), buffer: Vec::new() })
    }

    /// Connects from one of the machine's addresses, without a token.
    pub async fn connect_from(from: Ipv4Addr, address: &str) -> anyhow::Result<Client> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(address.parse()?).await?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, head: format!("host: {address}\r\n"), buffer: Vec::new() })
    }

    /// GET; gives status and body.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.ask(path).await?;
        self.answer().await
    }

    /// Sends a GET without waiting for the answer.
    pub async fn ask(&mut self, path: &str) -> anyhow::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.head);
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// Sends bytes without waiting for anything.
    pub async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Sends a request that is ready made.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.answer().await
    }

    /// Reads until there are headers, and takes them: status, length of the body (None: chunked).
    pub async fn headers(&mut self) -> anyhow::Result<(u16, Option<usize>)> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end);
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status")?;
        let length = head.lines().find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        Ok((status, length))
    }

    async fn answer(&mut self) -> anyhow::Result<(u16, Vec<u8>)> {
        let (status, length) = self.headers().await?;
        match length {
            Some(length) => {
                while self.buffer.len() < length {
                    self.more().await?;
                }
                let rest = self.buffer.split_off(length);
                Ok((status, std::mem::replace(&mut self.buffer, rest)))
            }
            None => {
                let mut body = Vec::new();
                while let Some(chunk) = self.chunk().await? {
                    body.extend_from_slice(&chunk);
                }
                Ok((status, body))
            }
        }
    }

    /// The next chunk of a chunked body; None at its end.
    pub async fn chunk(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let size = std::str::from_utf8(&self.buffer[..line])?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
                let whole = line + 2 + size + 2;
                if self.buffer.len() >= whole {
                    let rest = self.buffer.split_off(whole);
                    let chunk = std::mem::replace(&mut self.buffer, rest);
                    return Ok((size > 0).then(|| chunk[line + 2..line + 2 + size].to_vec()));
                }
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        self.buffer.reserve(16 << 10);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}
