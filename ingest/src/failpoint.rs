//! Failpoints: named places at which a test kills the process or makes it fail.
//!
//! `GRAVITY_FAILPOINT=name:n:action` acts the n-th time (from 1) that the place `name` is passed in the process; `action` is
//! `kill` (SIGKILL to itself, as a power cut of the process), `fail` (whoever passes it fails and begins again), `panic`, or
//! `hold` (whoever passes it then or later stays there while there is a file of the name `GRAVITY_FAILPOINT_HOLD`). A test in
//! the same process arms one of those who pass by its options. Unset, a failpoint costs one look at a pointer.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Those of pipelines, in the order of a commit. Crash tests go through this list.
pub const PIPELINES: &[&str] = &[
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

/// Those of the lake's writer.
pub const LAKE: &[&str] = &[
    "lake.before_read",
    "lake.before_write",
    "lake.after_write",
    "lake.before_hold",
    "lake.before_compact",
    "lake.after_compact",
    "lake.before_upkeep",
    "lake.after_upkeep",
];

/// Those of the ledger of budgets, in the order of a reservation's life.
pub const LEDGER: &[&str] = &[
    "ledger.before_reserve",
    "ledger.after_reserve",
    "ledger.before_settle",
    "ledger.after_settle",
    "ledger.before_append",
    "ledger.after_append",
    "ledger.before_apply",
    "ledger.after_apply",
];

/// That of erasing a person: passed between its steps.
pub const ERASE: &[&str] = &["erase.step"];

/// How often who is held looks whether it may go on.
const HOLD_LOOK: Duration = Duration::from_millis(10);

/// A failpoint that was to fail was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failpoint {0}")]
pub struct Hit(pub &'static str);

/// What happens at a failpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// An error.
    Fail,
    /// A panic.
    Panic,
    /// Staying there.
    Hold,
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
        "hold" => Action::Hold,
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
    pub fn pass(&self, name: &'static str) -> Result<(), Hit> {
        debug_assert!([PIPELINES, LAKE, LEDGER, ERASE].concat().contains(&name), "failpoint {name} is not listed");
        let Some(armed) = &self.0 else { return Ok(()) };
        if armed.name != name {
            return Ok(());
        }
        let passed = armed.passed.fetch_add(1, Ordering::Relaxed) + 1;
        if passed < armed.nth || (passed > armed.nth && armed.action != Action::Hold) {
            return Ok(());
        }
        match armed.action {
            Action::Fail => Err(Hit(name)),
            Action::Panic => panic!("failpoint {name}"),
            Action::Hold => {
                let file = std::env::var_os("GRAVITY_FAILPOINT_HOLD").unwrap_or_default();
                while Path::new(&file).exists() {
                    std::thread::sleep(HOLD_LOOK);
                }
                Ok(())
            }
            Action::Kill => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                loop {
                    std::thread::park();
                }
            }
        }
    }
}
