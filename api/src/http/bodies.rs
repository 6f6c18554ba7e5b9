//! The bytes of all bodies that are worked on: bounded, whoever sends them.

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Problem;

/// So many bytes at most.
const MOST: usize = 256 << 20;
/// Counted in pieces of this size.
const PIECE: usize = 4 << 10;
/// Bodies up to this size are not counted: connections bound their number.
const SMALL: usize = 16 << 10;

static FREE: Semaphore = Semaphore::const_new(MOST / PIECE);

/// The part of a body that is counted.
pub struct Room {
    free: &'static Semaphore,
    bytes: usize,
    permit: Option<SemaphorePermit<'static>>,
}

impl Room {
    /// For a body that is about to come.
    pub fn new() -> Room {
        Room::of(&FREE)
    }

    fn of(free: &'static Semaphore) -> Room {
        Room { free, bytes: 0, permit: None }
    }

    /// So many bytes more. Errors: 503 with `Retry-After` when there is no room for them.
    pub fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes += bytes;
        let wanted = if self.bytes <= SMALL { 0 } else { self.bytes.div_ceil(PIECE) };
        let more = wanted - self.permit.as_ref().map_or(0, SemaphorePermit::num_permits);
        if more == 0 {
            return Ok(());
        }
        let busy = |_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many bytes are being worked on")
                .hint("send it again")
                .retry_after(1)
        };
        let permit = self.free.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)).map_err(busy)?;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
        Ok(())
    }

    /// The body, which keeps its room until nothing of it is left.
    pub fn keep_for(self, body: Bytes) -> Bytes {
        match self.permit {
            Some(permit) => Bytes::from_owner(Kept { body, _permit: permit }),
            None => body,
        }
    }
}

struct Kept {
    body: Bytes,
    _permit: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_as_long_as_anything_of_a_body_is_left() {
        static SOME: Semaphore = Semaphore::const_new(10);
        let mut first = Room::of(&SOME);
        first.take(SMALL).unwrap();
        assert_eq!(SOME.available_permits(), 10, "small ones are not counted");
        first.take(1).unwrap();
        first.take(PIECE).unwrap();
        assert_eq!(SOME.available_permits(), 4);
        let body = first.keep_for(Bytes::from(vec![7; SMALL + 1 + PIECE]));
        let piece = body.slice(3..5);
        drop(body);
        let mut second = Room::of(&SOME);
        let problem = second.take(5 * PIECE).unwrap_err();
        assert_eq!((problem.status, problem.code.as_ref(), problem.retry_after_s), (503, "busy", Some(1)));
        assert_eq!((piece[0], SOME.available_permits()), (7, 4));
        drop(piece);
        assert_eq!(SOME.available_permits(), 10);
    }
}
