//! Live streams of a board.
//!
//! A subscriber holds which state it has, and nothing else of the board: when it is ready for more, it is given one
//! frame from that state to the newest, shared with all who need the same. So a slow one skips versions instead of
//! queueing them, and a fast one costs a pointer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use gravity_events::Id;
use gravity_events::board::View;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::cache::{Key, What};
use super::query::{LIMIT_MAX, checked_limit, place, team_json};
use super::state::{BoardState, Shown};
use super::{Boards, ServeError, delta};
use crate::traces;

/// Which board's stream, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamQuery {
    /// The event.
    pub event: Id,
    /// Public or jury.
    pub view: View,
    /// The division; empty for all.
    pub division: Id,
    /// First rows that are followed: 1 or more, cut to [`super::LIMIT_MAX`].
    pub limit: usize,
    /// A team whose own place is sent too.
    pub team: Option<Id>,
    /// The version that the client has (`Last-Event-ID`).
    pub last_version: Option<u64>,
}

/// Bytes of one or more whole messages of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseFrame(pub Bytes);

/// How soon a client comes back that lost its stream: from the least on, milliseconds, within the spread.
const RETRY_MIN_MS: u64 = 1_000;
const RETRY_SPREAD_MS: u64 = 4_000;
const HEARTBEAT: &[u8] = b": hb\n\n";

/// What decides a team's answer, but for its version: its position, and the identity and rank of each row.
type Seen = (usize, Vec<(u64, Option<u32>)>);

struct Subscription {
    boards: Arc<Boards>,
    view: View,
    limit: usize,
    team: Option<Id>,
    /// What the client says it has; looked up once.
    last_version: Option<u64>,
    /// Id and version of the state that the client has.
    has: Option<(u64, u64)>,
    /// The team's answer that the client has; inner `None`: not on the board.
    seen: Option<Option<Seen>>,
    /// The rest of an update that was begun.
    rest: Option<Bytes>,
    /// The first thing that the client gets, until it has it.
    retry: Option<Bytes>,
    newest: watch::Receiver<Option<Arc<Shown>>>,
    /// When the next heartbeat is due: the start plus a whole number of periods.
    heartbeat_at: Instant,
    _counted: Counted,
}

/// Counts an open stream until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Boards {
    /// Opens a stream. It ends when the board goes or [`Boards::close`] is called. Must be called within a Tokio runtime.
    /// Errors: unknown event or division, limit 0, too many streams.
    pub fn subscribe(
        self: &Arc<Self>,
        query: &StreamQuery,
    ) -> Result<impl Stream<Item = SseFrame> + Send + 'static + use<>, ServeError> {
        let limit = checked_limit(query.limit, LIMIT_MAX)?;
        self.shown(&query.event, query.view, &query.division)?;
        let unknown = || ServeError::UnknownEvent { event: query.event.to_string() };
        let event = self.event(&query.event, query.view)?;
        let newest = event.boards.get(&query.division).ok_or_else(unknown)?.channel.subscribe();
        drop(event);
        let open = self.subscribers.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(self.subscribers.clone());
        if open >= self.options.max_subscribers {
            return Err(ServeError::TooManySubscribers { open });
        }
        let subscription = Subscription {
            boards: self.clone(),
            view: query.view,
            limit,
            team: query.team.clone(),
            last_version: query.last_version,
            has: None,
            seen: None,
            rest: None,
            retry: Some(retry(self.opened(query.view).fetch_add(1, Ordering::Relaxed))),
            newest,
            heartbeat_at: Instant::now() + self.options.heartbeat,
            _counted: counted,
        };
        Ok(futures::stream::unfold(subscription, |mut subscription| async move {
            let frame = subscription.next().await?;
            Some((SseFrame(frame), subscription))
        }))
    }
}

/// Tells a client how soon to come back. All lose their streams at once when the server restarts, and must not come
/// back at once: the `n`th of a view waits as long as the golden ratio says, which spreads any run of them evenly.
fn retry(n: u64) -> Bytes {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let share = (u128::from(n.wrapping_mul(GOLDEN)) * u128::from(RETRY_SPREAD_MS)) >> 64;
    format!("retry: {}\n\n", u128::from(RETRY_MIN_MS) + share).into()
}

impl Subscription {
    /// The next bytes to send; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(retry) = self.retry.take() {
            return Some(retry);
        }
        loop {
            if let Some(rest) = self.rest.take() {
                return Some(rest);
            }
            // First, so that a board that changes all the time does not hold it up.
            if self.heartbeat_due() {
                return Some(Bytes::from_static(HEARTBEAT));
            }
            let shown = self.newest.borrow_and_update().clone();
            // After the line above, so that the wake-up of a close that comes now is not missed.
            if self.boards.closed.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(frame) = shown.and_then(|shown| self.update(&shown)) {
                return Some(frame);
            }
            tokio::select! {
                biased;
                () = sleep_until(self.heartbeat_at) => {}
                changed = self.newest.changed() => changed.ok()?,
            }
        }
    }

    /// Whether a heartbeat is due; then the next is at the period after now.
    fn heartbeat_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.heartbeat_at;
        while now >= self.heartbeat_at {
            self.heartbeat_at += self.boards.options.heartbeat.max(Duration::from_millis(1));
        }
        due
    }

    /// What brings the client to the newest state, if it does not have that.
    fn update(&mut self, shown: &Shown) -> Option<Bytes> {
        let newest = shown.newest();
        let cache = self.boards.cache(self.view);
        let limit = self.limit;
        let base = match (self.has, self.last_version.take()) {
            (Some((id, version)), _) => shown.kept(version).filter(|state| state.id == id),
            (None, last) => last.and_then(|version| shown.kept(version)),
        };
        let has_newest = base.is_some_and(|base| base.id == newest.id);
        if has_newest && self.has.is_some() {
            return None;
        }
        self.has = Some((newest.id, newest.version));
        traces::told(newest.epoch);
        let board = match base {
            _ if has_newest => None,
            Some(base) => Some(cache.get(Key { state: newest.id, what: What::Delta { base: base.id, limit } }, || {
                delta::delta(base, newest, limit)
            })),
            None => Some(
                cache.get(Key { state: newest.id, what: What::Snapshot { limit } }, || delta::snapshot(newest, limit)),
            ),
        };
        let you = self.you(newest);
        match board {
            Some(board) => {
                self.rest = you;
                Some(board)
            }
            None => you,
        }
    }

    /// The team's answer, if it is another than the client has.
    fn you(&mut self, newest: &BoardState) -> Option<Bytes> {
        let team = self.team.as_ref()?;
        let now = place(newest, team).map(|(position, _, window)| {
            (position, window.iter().map(|row| (row.row.serial, row.rank)).collect::<Vec<_>>())
        });
        if self.seen.as_ref() == Some(&now) {
            return None;
        }
        // Teams that are not on the board share one answer, so that made-up names do not fill the cache.
        let shared = if now.is_some() { team.clone() } else { Id::default() };
        self.seen = Some(now);
        let key = Key { state: newest.id, what: What::You(shared) };
        let frame = || delta::frame(newest.version, "you", &team_json(newest, team));
        Some(self.boards.cache(self.view).get(key, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_spread_over_the_whole_time() {
        let ms = |n| -> u64 {
            let text = String::from_utf8(retry(n).to_vec()).unwrap();
            text.strip_prefix("retry: ").and_then(|t| t.strip_suffix("\n\n")).unwrap().parse().unwrap()
        };
        for first in [0, 1, 7_919, u64::MAX - 10_000] {
            let mut in_slice = [0; 40];
            for n in 0..4_000 {
                let at = ms(first.wrapping_add(n)) - RETRY_MIN_MS;
                assert!(at < RETRY_SPREAD_MS);
                in_slice[(at * 40 / RETRY_SPREAD_MS) as usize] += 1;
            }
            assert!(in_slice.iter().all(|n| (95..=105).contains(n)), "{in_slice:?}");
        }
    }
}
