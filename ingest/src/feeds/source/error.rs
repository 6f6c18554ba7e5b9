//! Why a feed cannot be read.

/// What is wrong with the source, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address is not a contest's.
    #[error(
        "the address of the feed cannot be used: {problem}; expected https://HOST/.../contests/ID or .../event-feed"
    )]
    BadUrl {
        /// What is wrong.
        problem: String,
    },
    /// The file or stream cannot be read.
    #[error("cannot read {what}: {error}; expected a file of one JSON object per line, or `-`, or an http(s) address")]
    Unreadable {
        /// Which.
        what: String,
        /// Why not.
        error: std::io::Error,
    },
    /// A file of an audit trail is not what it should be.
    #[error("cannot read {what}: {problem}; expected a folder with log.json and teams.json")]
    Trail {
        /// Which file.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The Contest API says no.
    #[error("{feed} answered {status}: {problem}")]
    Refused {
        /// Its address.
        feed: String,
        /// HTTP status.
        status: u16,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The Contest API was never reached.
    #[error("cannot reach {feed}: {problem}; check the address and that this machine may connect to it")]
    Unreachable {
        /// Its address.
        feed: String,
        /// The last failure.
        problem: String,
    },
    /// A thread or an HTTP client could not be made.
    #[error("cannot begin to read {what}: {problem}")]
    Setup {
        /// Which.
        what: String,
        /// Why not.
        problem: String,
    },
}
