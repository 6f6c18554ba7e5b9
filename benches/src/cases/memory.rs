//! Memory of the burn pipeline while more and more usage goes through it, of the same day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gravity_events::Topic;
use gravity_ingest::log::Log;
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions, Retention};
use serde::{Deserialize, Serialize};

use super::burn;
use crate::peers::Task;
use crate::report::{Row, at_most};
use crate::usage::memory_bytes;
use crate::{Run, log, part, say};

/// Records after which it is looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GrowTask {
    at: Task,
    marks: Vec<u64>,
}

/// Memory at each mark, bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grown {
    resident: Vec<u64>,
    peak: u64,
}

/// What is made and worked off between two looks.
const PART: u64 = 500_000;

/// Feeds a pipeline. Run in a process of its own.
pub fn grow(task: GrowTask) -> anyhow::Result<Grown> {
    gravity_pipelines::runtime::memory::avoid_huge_pages();
    // What was taken in goes, as on a server with `log.retention_bytes`.
    let few = Retention { age: None, bytes: Some(256 << 20) };
    let options = EmbeddedOptions {
        retention: BTreeMap::from([(Topic::Usage, few), (Topic::Burn, few), (Topic::Accepted, few)]),
        retention_every: Duration::from_secs(2),
        ..EmbeddedOptions::default()
    };
    let log = Arc::new(EmbeddedLog::open(&task.at.log, options)?);
    let (pipeline, watch) = burn::start(&task.at, log.clone())?;
    log::append_all(&*log, burn::prices())?;
    let (mut resident, mut made) = (Vec::new(), 0);
    for mark in task.marks {
        while made < mark {
            let next = (made + PART).min(mark);
            log::append_all(&*log, (made..next).map(burn::usage))?;
            watch.bounds.wait(&*log, &[Topic::Usage])?;
            made = next;
            if made.is_multiple_of(5_000_000) {
                say(format!(
                    "memory: {} M records, {} MB",
                    made / 1_000_000,
                    memory_bytes("self", "VmRSS:") / 1_000_000
                ));
            }
        }
        // What merges and retention have begun ends.
        std::thread::sleep(Duration::from_secs(10));
        resident.push(memory_bytes("self", "VmRSS:"));
    }
    pipeline.stop();
    log.close();
    Ok(Grown { resident, peak: memory_bytes("self", "VmHWM:") })
}

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    let marks = vec![run.scaled(10_000_000), run.scaled(50_000_000)];
    let at = Task { log: run.dir.join("log"), dir: run.dir.join("burn") };
    let grown: Grown = part::call("burn_grow", &GrowTask { at, marks: marks.clone() })?;
    let (few, many) = (grown.resident[0] as f64, grown.resident[1] as f64);
    Ok(vec![Row {
        case: "memory",
        load: format!(
            "{} M records of usage of one day, 5 % duplicates, through the burn pipeline",
            marks[1] / 1_000_000
        ),
        figure: format!("{:.0} MB resident (peak {:.0} MB)", many / 1e6, grown.peak as f64 / 1e6),
        peer: format!("after {} M: {:.0} MB", marks[0] / 1_000_000, few / 1e6),
        ratio: format!("{:.2}", many / few),
        target: at_most((many / few * 100.0).round() / 100.0, 1.1, ""),
    }])
}
