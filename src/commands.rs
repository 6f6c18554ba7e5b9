//! The commands, one file each. Data goes to standard output, everything else to standard error.

pub mod analytics;
pub mod apply;
pub mod backup;
pub mod board;
pub mod budgets;
pub mod burn;
pub mod changes;
pub mod deadletter;
pub mod erase;
pub mod event;
pub mod import;
pub mod labs;
pub mod meters;
pub mod operator;
pub mod rejudge;
pub mod rescore;
pub mod resolve;
pub mod score;
pub mod series;
pub mod similarity;
pub mod sql;
pub mod status;
mod table;
pub mod token;
pub mod up;
pub mod verify;

use std::path::PathBuf;

use clap::Args;
use gravity_ingest::client::Client;

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// Stable JSON
    Json,
}

/// Where the server is and who asks.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// Address of the server
    #[arg(long, env = "GRAVITY_SERVER", default_value = "http://127.0.0.1:8080", global = true)]
    pub server: String,
    /// Bearer token; by default the file `admin.token` in the data folder
    #[arg(long, env = "GRAVITY_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// Data folder of the server, where its token lies
    #[arg(long, env = "GRAVITY_DATA_DIR", default_value = "gravity-data", global = true)]
    pub data_dir: PathBuf,
}

impl ServerArgs {
    /// A client for it.
    pub fn client(&self) -> anyhow::Result<Client> {
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None => std::fs::read_to_string(self.data_dir.join(up::TOKEN_FILE)).ok(),
        };
        Ok(Client::new(&self.server, token.as_deref())?)
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Percent-encodes one part of a path or one value of a query.
pub fn encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for b in part.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
