//! Code of authors behind a guard: a panic in it becomes a message, and stops nobody else's work.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs pure code; the message of its panic, where it panics.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let leave = Leave;
    // The code is pure: whatever it left half done is dropped with it.
    let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message_of(&*panic));
    drop(leave);
    result
}

/// Whether this thread is within [`guarded`]: a panic hook need not print what will be told.
pub fn is_guarded() -> bool {
    DEPTH.get() > 0
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_message() {
        let message = guarded(|| {
            assert!(is_guarded());
            let _ = guarded(|| panic!("inner"));
            assert!(is_guarded());
            let nothing: Vec<u8> = Vec::new();
            nothing[1]
        });
        assert_eq!(message, Err("index out of bounds: the len is 0 but the index is 1".into()));
        assert!(!is_guarded());
        assert_eq!(guarded(|| 3), Ok(3));
    }
}
