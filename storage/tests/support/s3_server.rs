//! A real server that speaks S3, for tests, by `scripts/parts`. Shared by the tests of the lake and those of the whole platform.
#![allow(dead_code)] // each test uses its part

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A server on a free port of 127.0.0.1 with the bucket `lake`. Its data goes with it.
pub struct S3Server {
    port: u16,
}

impl S3Server {
    /// Starts one, building it where it is missing.
    pub fn start() -> S3Server {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let server = S3Server { port };
        server.parts("start");
        server
    }

    /// kill -9; what it holds stays.
    pub fn kill(&self) {
        self.parts("kill");
    }

    /// Starts again on what is there.
    pub fn start_again(&self) {
        self.parts("start");
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        let cache = std::env::var("GRAVITY_CACHE")
            .unwrap_or_else(|_| format!("{}/.cache/gravity", std::env::var("HOME").expect("there is a home")));
        let pid = std::fs::read_to_string(format!("{cache}/run/s3-{}.pid", self.port)).expect("it runs");
        pid.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a number")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How `gravity` reaches it, as environment.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("GRAVITY_OBJECTS__ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("GRAVITY_OBJECTS__REGION", "us-east-1".into()),
            ("GRAVITY_OBJECTS__ACCESS_KEY_ID", "gravity".into()),
            ("GRAVITY_OBJECTS__SECRET_ACCESS_KEY", "gravity-secret".into()),
        ]
    }

    fn parts(&self, what: &str) {
        // The crate that includes this file is the project's folder or one in it.
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("scripts/parts"));
        let script = scripts.into_iter().find(|path| path.exists()).expect("the project has scripts/parts");
        let mut command = Command::new(script);
        command.args(["s3", what, &self.port.to_string()]).env("S3_OWNER", std::process::id().to_string());
        let output = command.output().expect("the script runs");
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.parts("stop");
    }
}
