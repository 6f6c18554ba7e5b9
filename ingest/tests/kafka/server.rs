//! A real broker for tests.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use gravity_events::Topic;
use gravity_ingest::log::kafka::{KafkaLog, KafkaOptions};

/// One Kafka node on free ports of 127.0.0.1. Its data goes with it.
pub struct KafkaServer {
    port: u16,
    controller: u16,
}

impl KafkaServer {
    /// Starts a node, installing Kafka where it is missing.
    pub fn start() -> KafkaServer {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (a, b) = (free(), free());
        let (port, controller) = (a.local_addr().unwrap().port(), b.local_addr().unwrap().port());
        drop((a, b));
        let server = KafkaServer { port, controller };
        server.parts(&["start", &port.to_string(), &controller.to_string()], false);
        server
    }

    /// The node that the tests of one binary share. It ends with the process.
    pub fn shared() -> &'static KafkaServer {
        static SHARED: OnceLock<KafkaServer> = OnceLock::new();
        SHARED.get_or_init(KafkaServer::start)
    }

    /// `host:port`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// kill -9; the data stays.
    pub fn kill(&self) {
        self.parts(&["kill", &self.port.to_string()], true);
    }

    /// Starts again on the data that is there.
    pub fn start_again(&self) {
        self.parts(&["start", &self.port.to_string(), &self.controller.to_string()], true);
    }

    /// Options with topic names that no other test uses, three partitions each but one for reference and epochs.
    pub fn options(&self) -> KafkaOptions {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut options = KafkaOptions::new(self.brokers());
        options.prefix = format!("t{}.", NEXT.fetch_add(1, Ordering::Relaxed));
        let many = Topic::ALL.into_iter().filter(|t| !matches!(t, Topic::Reference | Topic::Epochs));
        options.partitions = many.map(|t| (t, 3)).collect();
        options
    }

    /// A log of its own.
    pub fn log(&self) -> KafkaLog {
        KafkaLog::open(self.options()).unwrap()
    }

    fn parts(&self, arguments: &[&str], keep: bool) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/parts");
        let mut command = Command::new(script);
        command.arg("kafka").args(arguments).env("KAFKA_OWNER", std::process::id().to_string());
        if keep {
            command.env("KAFKA_KEEP", "1");
        } else {
            command.env_remove("KAFKA_KEEP");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        self.parts(&["stop", &self.port.to_string()], false);
    }
}
