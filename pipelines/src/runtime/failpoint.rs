//! Failpoints: named places of the commit at which a test kills the process or makes it fail.
//!
//! `GRAVITY_FAILPOINT=name:n:action` acts the n-th time (from 1) that the place `name` is passed by any pipeline of the
//! process; `action` is `kill` (SIGKILL to itself, as a power cut of the process), `fail` (the pipeline fails and
//! restarts) or `panic`. A test in the same process arms one pipeline by its [`Options`](super::Options). Unset, a
//! failpoint costs one look at a pointer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use super::PipelineError;

/// Every failpoint, in the order of a commit. Crash tests go through this list.
pub const ALL: &[&str] = &[
    "sequencer.before_send",
    "commit.before_append",
    "commit.after_append",
    "commit.after_sync",
    "commit.after_publish",
    "outputs.before_publish",
    "outputs.after_publish",
    "merge.before_identities",
    "merge.before_rename",
    "merge.after_rename",
    "merge.after_drop",
];

/// What happens at a failpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// An error.
    Fail,
    /// A panic.
    Panic,
}

#[derive(Debug)]
struct Armed {
    name: String,
    nth: u64,
    action: Action,
    passed: AtomicU64,
}

/// The failpoint that is armed, if one is. Clones count their passages together.
#[derive(Clone, Debug, Default)]
pub struct Failpoints(Option<Arc<Armed>>);

static OF_PROCESS: LazyLock<Failpoints> =
    LazyLock::new(|| std::env::var("GRAVITY_FAILPOINT").ok().and_then(|t| parse(&t)).unwrap_or_default());

fn parse(text: &str) -> Option<Failpoints> {
    let mut parts = text.split(':');
    let (name, nth, action) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    let action = match action {
        "kill" => Action::Kill,
        "fail" => Action::Fail,
        "panic" => Action::Panic,
        _ => return None,
    };
    Some(Failpoints::arm(name, nth, action))
}

impl Failpoints {
    /// As the environment says.
    pub fn of_process() -> Failpoints {
        OF_PROCESS.clone()
    }

    /// Acts at the `nth` passage of the place `name`.
    pub fn arm(name: &str, nth: u64, action: Action) -> Failpoints {
        Failpoints(Some(Arc::new(Armed { name: name.to_owned(), nth, action, passed: AtomicU64::new(0) })))
    }

    /// Whether it has acted.
    pub fn acted(&self) -> bool {
        self.0.as_ref().is_some_and(|a| a.passed.load(Ordering::Relaxed) >= a.nth)
    }

    /// Passes the place `name`.
    pub fn pass(&self, name: &'static str) -> Result<(), PipelineError> {
        debug_assert!(ALL.contains(&name), "failpoint {name} is not listed");
        let Some(armed) = &self.0 else { return Ok(()) };
        if armed.name != name || armed.passed.fetch_add(1, Ordering::Relaxed) + 1 != armed.nth {
            return Ok(());
        }
        match armed.action {
            Action::Fail => Err(PipelineError::Failpoint(name)),
            Action::Panic => panic!("failpoint {name}"),
            Action::Kill => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                loop {
                    std::thread::park();
                }
            }
        }
    }
}
