//! Why the server could not do what a client asked.

use std::time::Duration;

/// What went wrong, and what to do about it. Never shows credentials.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address cannot be used.
    #[error("`{url}` is not a server's address: {problem}; expected one such as http://127.0.0.1:8080")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The token cannot be sent.
    #[error("the token has characters that no HTTP header may have; copy it again, without line breaks")]
    BadToken,
    /// TLS or the resolver could not be set up.
    #[error("cannot set up an HTTP client: {0}")]
    Setup(String),
    /// No answer, or only failures, for too long.
    #[error(
        "lost {server}: {problem}, for {} s; is it running (`gravity up`), and is --server right? Run the command again: \
         nothing counts twice",
        .waited.as_secs()
    )]
    Lost {
        /// The server.
        server: String,
        /// For how long.
        waited: Duration,
        /// The last failure.
        problem: String,
    },
    /// The server said no.
    #[error("{server} answered {status}: {detail}{}", .hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
    Refused {
        /// The server.
        server: String,
        /// HTTP status.
        status: u16,
        /// Code of the problem, such as `wrong_tenant`.
        code: Option<String>,
        /// What was wrong.
        detail: String,
        /// What to do.
        hint: Option<String>,
    },
    /// An answer that this program does not understand.
    #[error("{server} answered what was not expected ({problem}); is it a gravity server of this version?")]
    BadAnswer {
        /// The server.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
}
