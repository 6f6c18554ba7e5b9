//! A real Kafka for tests, by `scripts/parts`. Shared by the tests of the log and those of the whole platform.
//!
//! ```ignore
//! #[path = "support/kafka_server.rs"]
//! mod kafka_server;
//! ```

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// One node on free ports of 127.0.0.1. Its data goes with it.
pub struct KafkaServer {
    port: u16,
    controller: u16,
    /// Where its clients are told to find it, where that is another port.
    advertised: Option<u16>,
}

impl KafkaServer {
    /// Starts a node, installing Kafka where it is missing.
    pub fn start() -> KafkaServer {
        KafkaServer::start_behind(|_| None)
    }

    /// The same, behind what is put in front of its port: gives the port of that.
    #[allow(dead_code)] // each test uses its part
    pub fn start_behind(front: impl FnOnce(u16) -> Option<u16>) -> KafkaServer {
        let free = || TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = |l: &TcpListener| l.local_addr().expect("it is bound").port();
        let (a, b) = (free(), free());
        let server = KafkaServer { port: port(&a), controller: port(&b), advertised: front(port(&a)) };
        drop((a, b));
        server.parts(&["start", &server.port.to_string(), &server.controller.to_string()], false);
        server
    }

    /// The node that the tests of one binary share. It ends with the process.
    pub fn shared() -> &'static KafkaServer {
        static SHARED: OnceLock<KafkaServer> = OnceLock::new();
        SHARED.get_or_init(KafkaServer::start)
    }

    /// `host:port`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.advertised.unwrap_or(self.port))
    }

    /// kill -9; the data stays.
    pub fn kill(&self) {
        self.parts(&["kill", &self.port.to_string()], true);
    }

    /// Starts again on the data that is there.
    pub fn start_again(&self) {
        self.parts(&["start", &self.port.to_string(), &self.controller.to_string()], true);
    }

    fn parts(&self, arguments: &[&str], keep: bool) {
        // The crate that includes this file is the project's folder or one in it.
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("scripts/parts"));
        let script = scripts.into_iter().find(|path| path.exists()).expect("the project has scripts/parts");
        let mut command = Command::new(script);
        command.arg("kafka").args(arguments).env("KAFKA_OWNER", std::process::id().to_string());
        if let Some(port) = self.advertised {
            command.env("KAFKA_EXTRA", format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}"));
        }
        if keep {
            command.env("KAFKA_KEEP", "1");
        } else {
            command.env_remove("KAFKA_KEEP");
        }
        let output = command.output().expect("the script runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        self.parts(&["stop", &self.port.to_string()], false);
    }
}
