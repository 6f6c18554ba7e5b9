//! Ends the wait of a tail.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// What a waiting poll waits for. librdkafka calls back when its queue stops being empty; the waker uses the same
/// condition, so that both end a wait at once and nothing looks at a clock.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    filled: bool,
    woken: bool,
}

impl Signal {
    /// The queue has stopped being empty.
    pub(super) fn fill(&self) {
        self.state.lock().filled = true;
        self.changed.notify_all();
    }

    /// Ends the wait, this one or the next.
    pub(super) fn wake(&self) {
        self.state.lock().woken = true;
        self.changed.notify_all();
    }

    /// Forgets that the queue was filled: it is about to be emptied.
    pub(super) fn drain(&self) {
        self.state.lock().filled = false;
    }

    /// Whether the waker was used; it counts once.
    pub(super) fn take_wake(&self) -> bool {
        std::mem::take(&mut self.state.lock().woken)
    }

    /// Waits for either, at most until then.
    pub(super) fn wait(&self, until: Instant) {
        let mut state = self.state.lock();
        while !state.filled && !state.woken && !self.changed.wait_until(&mut state, until).timed_out() {}
    }
}
