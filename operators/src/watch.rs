//! What a thread computes for an author, said to whoever watches that it comes back.
//!
//! An author's function that never ends cannot be stopped from within; a watchdog beside the thread has to know whose it is.
//! Saying it costs a few nanoseconds per call.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use gravity_events::Id;
use parking_lot::Mutex;

use crate::boards::facts::EventKey;
use crate::scoring::dimensions::CATALOGUE;

thread_local! {
    static MINE: OnceCell<Arc<Watched>> = const { OnceCell::new() };
}

/// What a thread is at.
#[derive(Debug, Default)]
pub struct Watched {
    /// Odd within a call of an author's function; never the same twice.
    calls: AtomicU64,
    /// The operator's place in the catalogue.
    operator: AtomicU32,
    /// For which team of which event.
    team: Mutex<Option<(EventKey, Id)>>,
}

/// A call of an author's function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The operator.
    pub operator: &'static str,
    /// The event.
    pub event: EventKey,
    /// The team whose work it scores.
    pub team: Id,
}

impl Watched {
    /// What this thread computes is watched from now on.
    pub fn register(self: &Arc<Self>) {
        MINE.with(|mine| {
            let _ = mine.set(self.clone());
        });
    }

    /// The number of the call that the thread is in.
    pub fn call(&self) -> Option<u64> {
        Some(self.calls.load(Ordering::Acquire)).filter(|call| call % 2 == 1)
    }

    /// What that call is, if the thread is still in it.
    pub fn what(&self, call: u64) -> Option<Call> {
        let operator = CATALOGUE.get(self.operator.load(Ordering::Acquire) as usize)?.name;
        let (event, team) = self.team.lock().clone()?;
        (self.call() == Some(call)).then_some(Call { operator, event, team })
    }
}

/// The following calls are for this team.
pub fn team(event: &EventKey, team: &Id) {
    MINE.with(|mine| {
        if let Some(mine) = mine.get() {
            *mine.team.lock() = Some((event.clone(), team.clone()));
        }
    });
}

/// Calls an author's function: the operator at this place of the catalogue.
pub fn call<T>(operator: u32, work: impl FnOnce() -> T) -> T {
    MINE.with(|mine| {
        let Some(mine) = mine.get() else { return work() };
        // Only this thread writes.
        let call = mine.calls.load(Ordering::Relaxed);
        mine.operator.store(operator, Ordering::Relaxed);
        mine.calls.store(call + 1, Ordering::Release);
        let result = work();
        mine.calls.store(call + 2, Ordering::Release);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_seen_from_beside_while_it_lasts() {
        let watched = Arc::new(Watched::default());
        let (go, gone) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        let of_thread = watched.clone();
        let thread = std::thread::spawn(move || {
            of_thread.register();
            team(&EventKey::new("t", "e"), &"a".into());
            call(0, || {
                go.0.send(()).unwrap();
                gone.1.recv().unwrap();
            });
        });
        go.1.recv().unwrap();
        let call = watched.call().expect("it is in a call");
        let what = watched.what(call).expect("and says which");
        assert_eq!((what.operator, what.team.as_str()), (CATALOGUE[0].name, "a"));
        assert_eq!(watched.what(call + 2), None, "of another call it says nothing");
        gone.0.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!((watched.call(), watched.what(call)), (None, None));
        assert_eq!(super::call(0, || 7), 7, "a thread that nobody watches");
    }
}
