//! The embedded log does what a log must do.
#![allow(clippy::unwrap_used)] // tests

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gravity_events::Topic;
use gravity_ingest::log::Log;
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions, Reserve, Retention};

#[path = "conformance/suite.rs"]
mod conformance;
#[path = "support/scratch.rs"]
mod scratch;

use conformance::{LogUnderTest, Setup};

struct Embedded {
    dir: PathBuf,
    options: EmbeddedOptions,
    log: Option<Arc<EmbeddedLog>>,
    _folder: tempfile::TempDir,
}

impl Embedded {
    fn make(setup: Setup) -> Box<dyn LogUnderTest> {
        let folder = scratch::folder();
        let dir = folder.path().join("log");
        let count = |t: Topic| if t == Topic::Reference { 1 } else { setup.partitions };
        let mut options = EmbeddedOptions {
            partitions: Topic::ALL.into_iter().map(|t| (t, count(t))).collect(),
            reserve: Reserve::NONE,
            ..EmbeddedOptions::default()
        };
        if setup.retain_little {
            let at_once = Retention {
                age: Some(Duration::ZERO),
                bytes: None,
            };
            options.segment_bytes = 500;
            options.retention = BTreeMap::from([(Topic::Telemetry, at_once)]);
        }
        let log = Some(Arc::new(EmbeddedLog::open(&dir, options.clone()).unwrap()));
        Box::new(Embedded {
            dir,
            options,
            log,
            _folder: folder,
        })
    }

    fn embedded(&self) -> &Arc<EmbeddedLog> {
        self.log.as_ref().unwrap()
    }
}

impl LogUnderTest for Embedded {
    fn log(&self) -> Arc<dyn Log> {
        self.embedded().clone()
    }

    fn reopen(&mut self) {
        self.embedded().close();
        self.log = None;
        self.log = Some(Arc::new(EmbeddedLog::open(&self.dir, self.options.clone()).unwrap()));
        assert_eq!(self.embedded().repairs(), []);
    }

    fn retain(&mut self) -> bool {
        self.embedded().apply_retention().unwrap();
        true
    }
}

conformance::tests!(Embedded::make);
