//! A real PostgreSQL for tests, by `scripts/parts`. Shared by the tests of services and those of the whole platform.
#![allow(dead_code)] // each test uses its part

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A server on a free port of 127.0.0.1. Its data goes with it.
pub struct PostgresServer {
    port: u16,
}

impl PostgresServer {
    /// Starts one, installing PostgreSQL where it is missing.
    pub fn start() -> PostgresServer {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let server = PostgresServer { port };
        server.parts("start");
        server
    }

    /// Its address, for a client.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// kill -9; the data stays.
    pub fn kill(&self) {
        self.parts("kill");
    }

    /// Starts again on the data that is there.
    pub fn start_again(&self) {
        self.parts("start");
    }

    fn parts(&self, what: &str) {
        // The crate that includes this file is the project's folder or one in it.
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("scripts/parts"));
        let script = scripts.into_iter().find(|path| path.exists()).expect("the project has scripts/parts");
        let mut command = Command::new(script);
        command.args(["postgres", what, &self.port.to_string()]).env("POSTGRES_OWNER", std::process::id().to_string());
        let output = command.output().expect("the script runs");
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.parts("stop");
    }
}
