//! Appends on their way to the committer: bounded in bytes.

use std::sync::Arc;

use gravity_events::Position;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batch::record_bytes;
use crate::log::{LogError, Produce};

/// What the committer answers: the position of each record, in order.
pub(super) type Answer = Result<Vec<Position>, LogError>;

/// One append.
#[derive(Debug)]
pub(super) struct Request {
    /// Each record and the place of its partition in the log's list.
    pub records: Vec<(usize, Produce)>,
    pub answer: oneshot::Sender<Answer>,
    /// Gives the room back when the request is done.
    _room: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) struct Queue {
    room: Arc<Semaphore>,
    room_bytes: usize,
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Request>,
    closed: bool,
}

impl Queue {
    pub fn new(room_bytes: usize) -> Queue {
        let room_bytes = room_bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Queue {
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            state: Mutex::default(),
            filled: Condvar::new(),
        }
    }

    /// Queues an append: at once where there is room, else when the future is awaited. One larger than the whole queue
    /// goes alone.
    pub fn push(self: &Arc<Self>, records: Vec<(usize, Produce)>) -> impl Future<Output = Answer> + Send + use<> {
        let bytes: usize = records.iter().map(|(_, r)| record_bytes(r)).sum();
        let bytes = bytes.min(self.room_bytes) as u32;
        let (answer, answered) = oneshot::channel();
        // An append that comes at once must not overtake one that waits: the semaphore is fair.
        let mut waiting = Some((records, answer));
        let mut refused = false;
        if let Ok(room) = self.room.clone().try_acquire_many_owned(bytes)
            && let Some((records, answer)) = waiting.take()
        {
            refused = !self.put(Request {
                records,
                answer,
                _room: room,
            });
        }
        let queue = self.clone();
        async move {
            if let Some((records, answer)) = waiting {
                let room = queue
                    .room
                    .clone()
                    .acquire_many_owned(bytes)
                    .await
                    .map_err(|_| LogError::Closed)?;
                refused = !queue.put(Request {
                    records,
                    answer,
                    _room: room,
                });
            }
            if refused {
                return Err(LogError::Closed);
            }
            answered.await.unwrap_or(Err(LogError::Closed))
        }
    }

    fn put(&self, request: Request) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.waiting.push(request);
        drop(state);
        self.filled.notify_one();
        true
    }

    /// Waits for appends and takes all that wait. `None` when the queue is closed and empty.
    pub fn take(&self) -> Option<Vec<Request>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
        Some(std::mem::take(&mut state.waiting))
    }

    /// Refuses what comes from here on. What waits in the queue is still written.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
        self.filled.notify_all();
    }

    /// Closes the queue and drops what waits in it, when the value is dropped.
    pub fn end_on_drop(self: &Arc<Self>) -> impl Drop + use<> {
        struct End(Arc<Queue>);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.close();
                self.0.state.lock().waiting.clear();
            }
        }
        End(self.clone())
    }
}
