//! The watchdog: finds an author's function that does not come back.
//!
//! It cannot be stopped from within, and its worker serves everybody: so the pipeline is restarted without it, and its thread
//! is left behind. Pure code that is given a CPU gets on, so what counts is the CPU time of the thread: a machine that is
//! suspended, or busy with others, makes nobody late. What waits instead of computing is not pure; it has ten times as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use gravity_operators::watch::{Call, Watched};

use super::PipelineError;
use super::worker::Message;

/// CPU time that one call of an author's function may take, unless set otherwise.
pub const BUDGET: Duration = Duration::from_secs(5);

/// How often it looks; a look at an idle thread is one load.
const TICKS_PER_BUDGET: u32 = 10;
const TICK_MAX: Duration = Duration::from_millis(250);
/// What does not even compute has so many budgets.
const PATIENCE: u32 = 10;

/// A worker thread, as far as the watchdog knows it.
#[derive(Debug, Default)]
pub struct WatchedThread {
    /// What it is at.
    pub watched: Arc<Watched>,
    id: AtomicI32,
}

impl WatchedThread {
    /// Called by the thread when it starts.
    pub fn register(&self) {
        self.watched.register();
        self.id.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Release);
    }

    /// CPU time of the thread; none where the system does not say.
    fn cpu(&self) -> Option<Duration> {
        let id = self.id.load(Ordering::Acquire);
        let text = std::fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).ok()?;
        Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
    }
}

/// A call that was seen before.
struct Seen {
    call: u64,
    ticks: u32,
    cpu: Option<Duration>,
}

/// Looks at the threads until the pipeline ends; tells the committer of a call that is over its budget.
pub fn run(
    pipeline: &'static str,
    threads: &[Arc<WatchedThread>],
    budget: Duration,
    ended: &AtomicBool,
    out: &Sender<Message>,
) {
    let tick = (budget / TICKS_PER_BUDGET).min(TICK_MAX);
    let mut seen: Vec<Option<Seen>> = threads.iter().map(|_| None).collect();
    while !ended.load(Ordering::Acquire) {
        std::thread::park_timeout(tick);
        for (thread, seen) in threads.iter().zip(&mut seen) {
            let Some(call) = thread.watched.call() else {
                *seen = None;
                continue;
            };
            match seen {
                Some(before) if before.call == call => {
                    before.ticks += 1;
                    let cpu = before.cpu.zip(thread.cpu()).map(|(then, now)| now.saturating_sub(then));
                    let waited = tick * before.ticks;
                    if (cpu.unwrap_or(waited) >= budget || waited >= budget * PATIENCE)
                        && let Some(call) = thread.watched.what(call)
                    {
                        let overrun = Overrun { call, budget };
                        let _ =
                            out.send(Message::Fatal(PipelineError::Overrun { pipeline, overrun: Box::new(overrun) }));
                        return;
                    }
                }
                _ => *seen = Some(Seen { call, ticks: 0, cpu: thread.cpu() }),
            }
        }
    }
}

/// A call of an author's function that is over its budget.
#[derive(Clone, Debug)]
pub struct Overrun {
    /// Which.
    pub call: Call,
    /// The CPU time that it had.
    pub budget: Duration,
}

impl std::fmt::Display for Overrun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Call { operator, event, team } = &self.call;
        write!(
            f,
            "operator {operator} did not come back within {} ms for team {team} of event {}",
            self.budget.as_millis(),
            event.event
        )
    }
}
