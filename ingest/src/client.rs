//! The HTTP client of all command-line clients: sends records, reads answers, survives a server that restarts.

mod error;
mod http;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
pub use error::ClientError;
pub use http::install_tls_provider;
pub(crate) use http::{http_client, say, without_credentials};
pub use outcome::{Outcome, Problem, Status};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

/// How long to insist.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Give up when the server has not worked for this long.
    pub give_up_after: Duration,
    /// Pause before the first new attempt; each next one is twice as long.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// Longest time that one answer may take from a server that is alive.
    pub longest_answer: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            give_up_after: Duration::from_secs(20),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            longest_answer: Duration::from_secs(300),
        }
    }
}

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<Url>,
    authorization: Option<HeaderValue>,
    retry: Retry,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server()).field("retry", &self.retry).finish_non_exhaustive()
    }
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// Why an attempt failed in a way that another may mend.
struct Failure {
    problem: String,
    pause: Option<Duration>,
    /// Silent for the whole time that a lost server is given.
    silent: bool,
}

impl Client {
    /// For the server at `base`, with a bearer token where one is needed.
    pub fn new(base: &str, token: Option<&str>) -> Result<Client, ClientError> {
        Client::with_retry(base, token, Retry::default())
    }

    /// The same, with other patience.
    pub fn with_retry(base: &str, token: Option<&str>, retry: Retry) -> Result<Client, ClientError> {
        let bad = |problem: &str| ClientError::BadUrl { url: base.into(), problem: problem.into() };
        let mut url = Url::parse(base).map_err(|e| bad(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(bad("it begins with neither http:// nor https://"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        url.set_query(None);
        url.set_fragment(None);
        let authorization = match token.map(str::trim).filter(|t| !t.is_empty()) {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::BadToken)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let connect = retry.give_up_after / 4;
        let http = http_client(&url, |b| b.connect_timeout(connect)).map_err(|e| ClientError::Setup(say(e)))?;
        Ok(Client { http, base: Arc::new(url), authorization, retry })
    }

    /// The server's address, without credentials.
    pub fn server(&self) -> String {
        without_credentials(&self.base).to_string()
    }

    /// Sends records (each one CloudEvent in structured mode) as one batch, in order, and says what became of each.
    /// Returns once they are durable, or with `wait_visible` once it is decided whether they count. Tried again while the
    /// server is away, which is safe: a record's identity lets it count once.
    pub async fn send_records(&self, records: &[Vec<u8>], wait_visible: bool) -> Result<Vec<Outcome>, ClientError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut body = Vec::with_capacity(records.iter().map(|r| r.len() + 1).sum::<usize>() + 1);
        for (n, record) in records.iter().enumerate() {
            body.push(if n == 0 { b'[' } else { b',' });
            body.extend_from_slice(record);
        }
        body.push(b']');
        let path = if wait_visible { "api/v1/records?wait=visible" } else { "api/v1/records" };
        let content = Some(("application/cloudevents-batch+json", Bytes::from(body)));
        let answer = self.request(Method::POST, path, "application/json", content).await?;
        // A batch of which nothing counts may come with an error status and still say what became of each record.
        match serde_json::from_slice::<outcome::Results>(&answer.body) {
            Ok(r) if r.results.len() == records.len() => Ok(r.results),
            _ if !answer.status.is_success() => Err(self.refused(answer)),
            Ok(r) => Err(self.bad_answer(format!("{} results for {} records", r.results.len(), records.len()))),
            Err(e) => Err(self.bad_answer(e.to_string())),
        }
    }

    /// GET of `path` (below the server's address) as JSON.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let text = self.get(path, "application/json").await?;
        serde_json::from_slice(&text).map_err(|e| self.bad_answer(e.to_string()))
    }

    /// GET of `path` as the text that the server gives for `accept`.
    pub async fn get_text(&self, path: &str, accept: &str) -> Result<String, ClientError> {
        let text = self.get(path, accept).await?;
        String::from_utf8(text.into()).map_err(|_| self.bad_answer("not UTF-8".into()))
    }

    /// POST of a JSON body to `path`; the answer as JSON. Tried again while the server is away, so only for what may be
    /// done twice.
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Setup(e.to_string()))?;
        let content = Some(("application/json", Bytes::from(body)));
        let answer = self.request(Method::POST, path, "application/json", content).await?;
        if !answer.status.is_success() {
            return Err(self.refused(answer));
        }
        serde_json::from_slice(&answer.body).map_err(|e| self.bad_answer(e.to_string()))
    }

    /// POST of a JSON body to `path`; the answer's bytes, in the form that `accept` names. As [`Client::post_json`].
    pub async fn post_for(&self, path: &str, body: &impl serde::Serialize, accept: &str) -> Result<Bytes, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Setup(e.to_string()))?;
        let content = Some(("application/json", Bytes::from(body)));
        let answer = self.request(Method::POST, path, accept, content).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(self.refused(answer)) }
    }

    async fn get(&self, path: &str, accept: &str) -> Result<Bytes, ClientError> {
        let answer = self.request(Method::GET, path, accept, None).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(self.refused(answer)) }
    }

    /// Insists until there is an answer that another attempt would not change.
    async fn request(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        content: Option<(&'static str, Bytes)>,
    ) -> Result<Answer, ClientError> {
        let url = self
            .base
            .join(path.trim_start_matches('/'))
            .map_err(|e| ClientError::BadUrl { url: format!("{}{path}", self.server()), problem: e.to_string() })?;
        let mut failing_since = None;
        let mut pause = self.retry.first_pause;
        loop {
            let mut request = self.http.request(method.clone(), url.clone()).header(ACCEPT, accept);
            if let Some((kind, body)) = &content {
                request = request.header(CONTENT_TYPE, *kind).body(body.clone());
            }
            let began = Instant::now();
            let failure = match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let since = *failing_since.get_or_insert(if failure.silent { began } else { Instant::now() });
            let left = self.retry.give_up_after.saturating_sub(since.elapsed());
            if left.is_zero() {
                let waited = since.elapsed();
                return Err(ClientError::Lost { server: self.server(), waited, problem: failure.problem });
            }
            tracing::debug!(server = %self.server(), problem = failure.problem, "trying again");
            sleep(failure.pause.unwrap_or(pause).min(self.retry.longest_pause).min(left)).await;
            pause = (pause * 2).min(self.retry.longest_pause);
        }
    }

    async fn attempt(&self, mut request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let failed = |problem: String| Failure { problem, pause: None, silent: false };
        let exchange = async {
            let response = request.send().await.map_err(|e| failed(say(e)))?;
            let status = response.status();
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                let problem = format!("it answered {status}");
                return Err(Failure { problem, pause: after.map(Duration::from_secs), silent: false });
            }
            let body = response.bytes().await.map_err(|e| failed(say(e)))?;
            Ok(Answer { status, body })
        };
        tokio::select! {
            answer = exchange => answer,
            silent = self.watch() => Err(silent),
        }
    }

    /// An answer may take its time while the server is alive. Returns once it is not, or the answer took too long.
    async fn watch(&self) -> Failure {
        let began = Instant::now();
        let every = self.retry.give_up_after / 4;
        let mut alive_at = began;
        loop {
            sleep(every).await;
            if began.elapsed() >= self.retry.longest_answer {
                let problem = format!("no answer for {} s", began.elapsed().as_secs());
                return Failure { problem, pause: None, silent: true };
            }
            let probe = self.base.join("livez").map(|url| self.http.get(url).send());
            let alive = match probe {
                Ok(probe) => timeout(every, probe).await.is_ok_and(|r| r.is_ok_and(|r| !r.status().is_server_error())),
                Err(_) => false,
            };
            if alive {
                alive_at = Instant::now();
            } else if alive_at.elapsed() >= self.retry.give_up_after {
                return Failure { problem: "no answer".into(), pause: None, silent: true };
            }
        }
    }

    fn refused(&self, answer: Answer) -> ClientError {
        let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
        let status = answer.status;
        let text = || String::from_utf8_lossy(&answer.body).trim().chars().take(200).collect::<String>();
        let detail = problem.detail.or(problem.title).unwrap_or_else(|| match text() {
            empty if empty.is_empty() => status.canonical_reason().unwrap_or("no reason given").into(),
            text => text,
        });
        let hint = problem.hint.or_else(|| {
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                .then(|| "give a token that may do this in GRAVITY_TOKEN".into())
        });
        ClientError::Refused { server: self.server(), status: status.as_u16(), code: problem.code, detail, hint }
    }

    fn bad_answer(&self, problem: String) -> ClientError {
        ClientError::BadAnswer { server: self.server(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_tokens_are_checked() {
        for bad in ["", "127.0.0.1:8080", "ftp://x/", "http://", "file:///x"] {
            assert!(matches!(Client::new(bad, None), Err(ClientError::BadUrl { .. })), "{bad}");
        }
        assert!(matches!(Client::new("http://x", Some("a\nb")), Err(ClientError::BadToken)));
        let client = Client::new("http://u:secret@127.0.0.1:9/deep", Some(" t\n")).unwrap();
        assert_eq!(client.server(), "http://127.0.0.1:9/deep/");
        assert!(!format!("{client:?}").contains("secret"));
    }
}
