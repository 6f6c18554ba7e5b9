//! Tells tails that there is something new, without polling.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// A counter that can be waited on.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    closed: bool,
}

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Changed,
    TimedOut,
    Closed,
}

impl Signal {
    /// To be taken before looking whether there is something.
    pub fn count(&self) -> u64 {
        self.state.lock().count
    }

    /// There is something new.
    pub fn raise(&self) {
        self.state.lock().count += 1;
        self.changed.notify_all();
    }

    /// There will be nothing new.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Sets a flag that one waiter looks at, and lets it look.
    pub fn wake(&self, flag: &AtomicBool) {
        let state = self.state.lock();
        flag.store(true, Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the count is no longer `seen`, or the flag is set.
    pub fn wait(&self, seen: u64, flag: &AtomicBool, deadline: Option<Instant>) -> Waited {
        let mut state = self.state.lock();
        loop {
            if state.count != seen || flag.load(Ordering::Acquire) {
                return Waited::Changed;
            }
            if state.closed {
                return Waited::Closed;
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(at) if self.changed.wait_until(&mut state, at).timed_out() => return Waited::TimedOut,
                Some(_) => {}
            }
        }
    }
}
