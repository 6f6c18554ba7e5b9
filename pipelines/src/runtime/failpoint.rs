//! Failpoints: named places of the commit at which a test kills the process or makes it fail.
//!
//! `GRAVITY_FAILPOINT=name:n:action` acts the n-th time (from 1) that the place `name` is passed; `action` is `kill`
//! (SIGKILL to itself, as a power cut of the process) or `fail` (the pipeline fails and restarts). Unset, a failpoint
//! costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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
    "merge.before_rename",
    "merge.after_rename",
    "merge.after_drop",
];

#[derive(Clone, Copy)]
enum Action {
    Kill,
    Fail,
}

struct Armed {
    name: String,
    after: u64,
    action: Action,
    passed: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

fn parse(text: &str) -> Option<Armed> {
    let mut parts = text.split(':');
    let (name, after, action) = (parts.next()?, parts.next()?, parts.next()?);
    let action = match action {
        "kill" => Action::Kill,
        "fail" => Action::Fail,
        _ => return None,
    };
    Some(Armed { name: name.to_owned(), after: after.parse().ok()?, action, passed: AtomicU64::new(0) })
}

/// Passes the place `name`.
pub fn pass(name: &'static str) -> Result<(), PipelineError> {
    debug_assert!(ALL.contains(&name), "failpoint {name} is not listed");
    let armed = ARMED.get_or_init(|| std::env::var("GRAVITY_FAILPOINT").ok().and_then(|t| parse(&t)));
    let Some(armed) = armed else { return Ok(()) };
    if armed.name != name || armed.passed.fetch_add(1, Ordering::Relaxed) + 1 != armed.after {
        return Ok(());
    }
    match armed.action {
        Action::Fail => Err(PipelineError::Failpoint(name)),
        Action::Kill => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}
