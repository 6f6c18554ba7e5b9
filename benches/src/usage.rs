//! What a process has used.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What some work took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Used {
    /// Wall seconds.
    pub wall_s: f64,
    /// CPU seconds of all threads.
    pub cpu_s: f64,
    /// Most resident memory so far, bytes.
    pub peak_bytes: u64,
}

/// Measures from its making on.
pub struct Meter {
    began: Instant,
    cpu_s: f64,
}

impl Meter {
    /// Begins.
    pub fn start() -> Meter {
        Meter { began: Instant::now(), cpu_s: own_cpu_s() }
    }

    /// What this process used since.
    pub fn used(&self) -> Used {
        Used {
            wall_s: self.began.elapsed().as_secs_f64(),
            cpu_s: own_cpu_s() - self.cpu_s,
            peak_bytes: memory_bytes("self", "VmHWM:"),
        }
    }
}

fn own_cpu_s() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Nanoseconds of the clock that all processes of the machine share.
pub fn monotonic_ns() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Lets this process open as many files as it may.
pub fn open_all_files() -> anyhow::Result<()> {
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, files)?)
}

/// CPU seconds of another process, in steps of 10 ms.
pub fn cpu_s_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command's name may hold spaces; fields are counted from behind its bracket.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// A line of /proc/PID/status, in bytes: `VmRSS:` now, `VmHWM:` at most.
pub fn memory_bytes(pid: &str, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix(line)?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
