//! Follows one contest's objects for all who listen, and remembers what was said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use gravity_events::board::{OVERALL, View};
use gravity_events::query::Objects;
use gravity_events::{Id, Position, natural_cmp};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::super::objects::object;
use super::super::shapes::{Contest, ContestState, awards};
use super::token::{Mark, Token};
use crate::app::AppState;
use crate::http::Problem;
use crate::serving::HeaderState;

/// Lines of a hub that are kept for those who come back.
const KEPT_LINES: usize = 100_000;
/// Least time between two looks at the objects; a look that takes long is followed by ten times as long a rest.
const REST: Duration = Duration::from_millis(100);
/// A hub that nobody listens to ends after this long.
const LINGER: Duration = Duration::from_secs(60);
/// Bytes of a piece of a feed.
const PIECE_BYTES: usize = 64 << 10;

/// Notifications in the order in which a reader wants them: what others refer to first, and last of all the state, which
/// may say that nothing more will come.
const ORDER: [&str; 11] = [
    "contests",
    "judgement-types",
    "languages",
    "problems",
    "groups",
    "organizations",
    "teams",
    "submissions",
    "judgements",
    "awards",
    "state",
];

/// An object's key; `contests` and `state` have no id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    order: usize,
    id: Id,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order).then_with(|| natural_cmp(&self.id, &other.id)).then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// An object as it was said last.
#[derive(Clone, PartialEq, Eq)]
struct Said {
    data: Bytes,
    /// The record that said so; none for what is made of several.
    position: Option<Position>,
}

/// All hubs of a process.
#[derive(Default)]
pub struct Hubs {
    hubs: Mutex<BTreeMap<(View, Id), Weak<Hub>>>,
    /// One hub is made at a time.
    making: tokio::sync::Mutex<()>,
}

impl Hubs {
    /// The hub of a contest, which has looked at it by then.
    pub async fn hub(&self, state: &AppState, event: &Id, view: View) -> Result<Arc<Hub>, Problem> {
        let found = || self.hubs.lock().get(&(view, event.clone())).and_then(Weak::upgrade);
        if let Some(hub) = found() {
            // Whoever comes knows of all that is visible by then.
            if hub.state.lock().epoch < state.boards.epoch() {
                hub.look(state).await?;
            }
            return Ok(hub);
        }
        let _making = self.making.lock().await;
        if let Some(hub) = found() {
            return Ok(hub);
        }
        let hub = Arc::new(Hub {
            event: event.clone(),
            view,
            feed: format!("{}/{event}", view.name()).into_bytes(),
            key: *state.feed_key,
            run: rand::random(),
            state: Mutex::default(),
            moved: watch::Sender::new(0),
        });
        hub.look(state).await?;
        let mut hubs = self.hubs.lock();
        hubs.retain(|_, hub| hub.strong_count() > 0);
        hubs.insert((view, event.clone()), Arc::downgrade(&hub));
        drop(hubs);
        tokio::spawn(follow(hub.clone(), state.clone()));
        Ok(hub)
    }
}

/// Looks again whenever something was committed, while somebody listens or did a moment ago.
async fn follow(hub: Arc<Hub>, state: AppState) {
    let mut epochs = state.boards.epochs();
    let mut idle_since = Instant::now();
    loop {
        let woken = tokio::select! {
            changed = epochs.changed() => changed.is_ok(),
            () = tokio::time::sleep(LINGER / 4) => true,
            () = state.shutdown.cancelled() => false,
        };
        // This task has one, the others are readers.
        if Arc::strong_count(&hub) > 1 {
            idle_since = Instant::now();
        }
        if !woken || idle_since.elapsed() > LINGER {
            // Whoever came at this very moment comes back, to a new hub.
            hub.end();
            return;
        }
        let began = Instant::now();
        epochs.mark_unchanged();
        if hub.look(&state).await.is_err() {
            hub.end();
            return;
        }
        tokio::time::sleep(REST.max(began.elapsed() * 10)).await;
    }
}

/// What one hub has said.
#[derive(Default)]
struct HubState {
    /// Of the last look.
    epoch: u64,
    objects: BTreeMap<Key, Said>,
    gone: Vec<(&'static str, Id, Position)>,
    visibility: Vec<Position>,
    mark: Mark,
    /// The last lines, each with its end.
    lines: VecDeque<Bytes>,
    /// Number of the last line.
    last: u64,
    over: bool,
}

/// Follows one contest in one view.
pub struct Hub {
    event: Id,
    view: View,
    feed: Vec<u8>,
    key: [u8; 32],
    run: u64,
    state: Mutex<HubState>,
    moved: watch::Sender<u64>,
}

/// One reader's place.
pub struct Follower {
    /// The last line that it has.
    seq: u64,
    /// What is said before it follows.
    first: VecDeque<Bytes>,
    moved: watch::Receiver<u64>,
}

impl Follower {
    /// Waits until the hub has said more.
    pub async fn changed(&mut self) {
        // The hub lives as long as its readers.
        let _ = self.moved.changed().await;
    }
}

/// What a reader gets next.
pub enum Next {
    /// These.
    Lines(Vec<Bytes>),
    /// Nothing as yet.
    Nothing,
    /// Nothing any more: the contest is over, the reader too slow, or the hub has failed.
    Over,
}

impl Hub {
    /// Compares the objects with what was said, and says what changed.
    async fn look(&self, state: &AppState) -> Result<(), Problem> {
        let head = state.boards.header(&self.event, self.view).ok_or_else(|| Problem::unknown_event(&self.event))?;
        let (event, public) = (self.event.clone(), self.view == View::Public);
        let objects = state.boards.ask(move |queries| queries.objects(&event, public)).await?;
        let (_, board_head, rows) = state.boards.rows(&self.event, self.view, OVERALL)?;
        let awards = awards(&board_head, &rows);
        let awards = awards.iter().map(|award| (Id::from(award.id.as_str()), json(award)));
        self.take(&head, objects, awards.collect());
        Ok(())
    }

    fn take(&self, head: &HeaderState, objects: Objects, awards: Vec<(Id, Bytes)>) {
        let mut now: BTreeMap<Key, Said> = BTreeMap::new();
        let at = |name: &str| ORDER.iter().position(|o| *o == name);
        for (id, data) in awards {
            let order = at("awards").unwrap_or_default();
            now.insert(Key { order, id }, Said { data, position: None });
        }
        for o in &objects.objects {
            let Some((collection, id, value)) = object(o, head) else { continue };
            let Some(order) = at(collection) else { continue };
            now.insert(Key { order, id }, Said { data: json(&value), position: Some(o.position) });
        }
        let state_now = ContestState::of(&head.header);
        let over = state_now.end_of_updates.is_some();
        for (name, data) in [("contests", json(&Contest::of(head))), ("state", json(&state_now))] {
            let order = at(name).unwrap_or_default();
            now.insert(Key { order, id: Id::default() }, Said { data, position: None });
        }
        let mut state = self.state.lock();
        if objects.epoch < state.epoch {
            // Another look came later and was sooner done.
            return;
        }
        let mark = Mark(objects.bound);
        let changed: Vec<(&Key, Option<&Said>)> = now
            .iter()
            .filter(|(key, said)| state.objects.get(key).is_none_or(|before| before.data != said.data))
            .map(|(key, said)| (key, Some(said)))
            .chain(state.objects.keys().filter(|key| !now.contains_key(*key)).map(|key| (key, None)))
            .collect();
        let before = state.mark.clone();
        let mut lines = Vec::with_capacity(changed.len());
        let mut last = state.last;
        let count = changed.len();
        for (n, (key, said)) in changed.into_iter().enumerate() {
            last += 1;
            // The whole change is covered only when its last line is read.
            let covered = if n + 1 == count { mark.clone() } else { before.clone() };
            let token = Token { run: self.run, seq: last, mark: covered }.seal(&self.key, &self.feed);
            lines.push(line(key, said.map(|s| &s.data), &token));
        }
        // Those who read from the start get these as objects, not as changes.
        if state.last > 0 || !state.objects.is_empty() {
            state.lines.extend(lines);
        } else {
            last = 1;
        }
        state.last = last;
        let surplus = state.lines.len().saturating_sub(KEPT_LINES);
        state.lines.drain(..surplus);
        (state.objects, state.gone, state.visibility) = (now, objects.gone, objects.visibility);
        (state.epoch, state.mark, state.over) = (objects.epoch, mark, over);
        drop(state);
        self.moved.send_replace(last);
    }

    fn end(&self) {
        self.state.lock().over = true;
        self.moved.send_modify(|_| {});
    }

    /// A reader from the start, or from a token on. The error says what is wrong with the token.
    pub fn follow(&self, since: Option<&str>) -> Result<Follower, &'static str> {
        let state = self.state.lock();
        let follower = |seq, first| Follower { seq, first, moved: self.moved.subscribe() };
        let Some(text) = since else {
            return Ok(follower(state.last, self.all(&state, |_| true, &[])));
        };
        let token = Token::open(text, &self.key, &self.feed)?;
        let oldest = state.last - state.lines.len() as u64;
        if token.run == self.run && (oldest..=state.last).contains(&token.seq) {
            return Ok(follower(token.seq, VecDeque::new()));
        }
        let lost: Vec<_> = state.gone.iter().filter(|(.., at)| !token.mark.covers(*at)).collect();
        if self.view == View::Public && !lost.is_empty() {
            // Which of them it ever saw is not known any more.
            return Err("is of too long ago: objects have gone since");
        }
        let shifted = state.visibility.iter().any(|at| !token.mark.covers(*at));
        let is_new = |said: &Said| shifted || said.position.is_none_or(|at| !token.mark.covers(at));
        let lost: Vec<Key> = lost
            .into_iter()
            .filter_map(|(collection, id, _)| {
                Some(Key { order: ORDER.iter().position(|o| o == collection)?, id: id.clone() })
            })
            .collect();
        Ok(follower(state.last, self.all(&state, is_new, &lost)))
    }

    /// Objects as they are, in pieces. Only the last line's token is of this moment; the others are of none, so that who
    /// reads but a part of it begins again.
    fn all(&self, state: &HubState, wanted: impl Fn(&Said) -> bool, lost: &[Key]) -> VecDeque<Bytes> {
        let nowhere = Token::default().seal(&self.key, &self.feed);
        let here = Token { run: self.run, seq: state.last, mark: state.mark.clone() }.seal(&self.key, &self.feed);
        let lines = state.objects.iter().filter(|(_, said)| wanted(said)).map(|(key, said)| (key, Some(&said.data)));
        let mut lines = lost.iter().map(|key| (key, None)).chain(lines).peekable();
        let mut pieces = VecDeque::new();
        let mut piece = BytesMut::new();
        while let Some((key, data)) = lines.next() {
            let token = if lines.peek().is_none() { &here } else { &nowhere };
            piece.extend_from_slice(&line(key, data, token));
            if piece.len() >= PIECE_BYTES {
                pieces.push_back(piece.split().freeze());
            }
        }
        if !piece.is_empty() {
            pieces.push_back(piece.freeze());
        }
        pieces
    }

    /// What a reader gets next.
    pub fn next(&self, follower: &mut Follower) -> Next {
        if !follower.first.is_empty() {
            return Next::Lines(follower.first.drain(..).collect());
        }
        let state = self.state.lock();
        follower.moved.mark_unchanged();
        let behind = state.last - follower.seq;
        if behind == 0 {
            return if state.over { Next::Over } else { Next::Nothing };
        }
        let Some(from) = (state.lines.len() as u64).checked_sub(behind) else {
            // It comes back with its token, and is told to begin again.
            return Next::Over;
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let mut piece = BytesMut::new();
        for line in state.lines.iter().skip(from) {
            piece.extend_from_slice(line);
            follower.seq += 1;
            if piece.len() >= PIECE_BYTES {
                break;
            }
        }
        Next::Lines(vec![piece.freeze()])
    }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("an object is plain data").into()
}

fn line(key: &Key, data: Option<&Bytes>, token: &str) -> Bytes {
    let mut line = BytesMut::new();
    let collection = ORDER[key.order];
    // In the feed the contest is an object like others, of which there is one.
    let kind = if collection == "contests" { "contest" } else { collection };
    line.put_slice(format!("{{\"type\":\"{kind}\",\"id\":").as_bytes());
    match key.id.is_empty() {
        true => line.put_slice(b"null"),
        false => line.put_slice(&json(&key.id)),
    }
    line.put_slice(b",\"data\":");
    line.put_slice(data.map_or(b"null", |data| data));
    line.put_slice(format!(",\"token\":\"{token}\"}}\n").as_bytes());
    line.freeze()
}
