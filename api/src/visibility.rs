//! Waiting until a record is visible, and learning what became of it.
//!
//! A pipeline tells, epoch by epoch, up to where it has read each partition and which records did not count. From that
//! follows the outcome of a position, without a look at the record: before the bound and not refused, it counted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gravity_events::publish::{BoardsEpoch, BoardsSink, Refused};
use gravity_events::{Id, Position, Topic};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::admission::{Admission, AdmissionOptions};
use crate::http::Problem;
use crate::metrics;

/// Refused positions that are remembered: some megabytes. Whoever waits asks as soon as the epoch is there.
const REFUSED_MAX: usize = 20_000;
/// How long a request waits for an epoch.
const WAIT: Duration = Duration::from_secs(30);

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is part of a committed epoch.
    Counted,
    /// The same record had come before.
    Duplicate,
    /// Another record with the same identity had come before.
    Conflict {
        /// For people.
        detail: String,
    },
    /// The pipeline refused it.
    Refused {
        /// Why, as a code.
        code: &'static str,
        /// Why, for people.
        detail: String,
    },
    /// It is durable. More cannot be said: see the reason.
    Accepted(Unknown),
}

/// Why nothing more can be said of a record than that it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No pipeline of this process reads its topic.
    NotRead,
    /// The wait was over first.
    Timeout,
    /// Its epoch came, but too long ago or across a restart, so that its fate is not remembered.
    Forgotten,
}

/// What the pipelines have committed.
pub struct Visibility {
    topics: HashSet<Topic>,
    wait: Duration,
    refused_max: usize,
    /// False: what it reads is counted by another.
    counts: bool,
    admission: Admission,
    state: Mutex<State>,
    /// Events of which nothing new is shown for now: a change of their rules is under way.
    gated: watch::Sender<BTreeSet<Id>>,
}

type Partition = (Topic, u32);

#[derive(Default)]
struct State {
    /// First offset of a partition that no epoch has.
    bounds: HashMap<Partition, u64>,
    /// First offset from which on every refused record is remembered.
    remembered_from: HashMap<Partition, u64>,
    refused: HashMap<Position, (&'static str, Arc<str>)>,
    refused_order: VecDeque<Position>,
    /// By the offset whose visibility is awaited, then a number of its own.
    waiters: BTreeMap<(Partition, u64, u64), oneshot::Sender<()>>,
    next_waiter: u64,
}

impl Visibility {
    /// For a process whose pipelines read these topics.
    pub fn new(topics: impl IntoIterator<Item = Topic>) -> Arc<Visibility> {
        Visibility::with_limits(topics, WAIT, REFUSED_MAX)
    }

    /// The same with another patience and memory.
    pub fn with_limits(topics: impl IntoIterator<Item = Topic>, wait: Duration, refused_max: usize) -> Arc<Visibility> {
        let topics = topics.into_iter().collect();
        Arc::new(Visibility {
            topics,
            wait,
            refused_max,
            counts: true,
            admission: Admission::default(),
            state: Mutex::default(),
            gated: watch::Sender::default(),
        })
    }

    /// For a pipeline that reads a topic after another one, which refuses and counts its records: how far the second is.
    pub fn of_second(topics: impl IntoIterator<Item = Topic>) -> Arc<Visibility> {
        let first = Visibility::new(topics);
        Arc::new(Visibility { counts: false, ..Arc::into_inner(first).expect("nobody else has it yet") })
    }

    /// The topics of the boards pipeline.
    pub fn boards_topics() -> [Topic; 3] {
        [Topic::Reference, Topic::Submissions, Topic::Judgements]
    }

    /// Takes what an epoch has read and refused. `snapshot`: the state after a restart, whose own refused records are
    /// not all known.
    pub fn advance(&self, bound: &[(Topic, u32, u64)], refused: &[Refused], snapshot: bool) {
        self.admission.counted(bound, Instant::now());
        let mut state = self.state.lock();
        for r in refused.iter().filter(|r| self.topics.contains(&r.position.topic)) {
            state.remember(r, self.refused_max);
        }
        let mut woken = Vec::new();
        for &(topic, partition, offset) in bound.iter().filter(|b| self.topics.contains(&b.0)) {
            let at = (topic, partition);
            let before = state.bounds.insert(at, offset);
            if snapshot && before.is_none_or(|b| b < offset) {
                let from = state.remembered_from.entry(at).or_default();
                *from = (*from).max(offset);
            } else if !snapshot && self.counts {
                count(topic, offset.saturating_sub(before.unwrap_or(0)), partition, refused);
            }
            // Waiters for offsets before the bound: their keys sort before (at, bound, 0).
            let rest = state.waiters.split_off(&(at, offset, 0));
            let mut done = std::mem::replace(&mut state.waiters, rest);
            let others = done.split_off(&(at, 0, 0));
            woken.extend(others.into_values());
            state.waiters.append(&mut done);
        }
        drop(state);
        for waiter in woken {
            // Whoever has gone meanwhile does not hear it.
            let _ = waiter.send(());
        }
    }

    /// The same with other bounds on what may come.
    pub fn admitting(self: Arc<Self>, options: AdmissionOptions) -> Arc<Visibility> {
        let mine = Arc::into_inner(self).expect("nobody else has it yet");
        Arc::new(Visibility { admission: Admission::new(options), ..mine })
    }

    /// Whether these may come now. See [`Admission::ask`].
    pub fn ask<'a>(&self, records: impl IntoIterator<Item = (&'a Id, Topic)>) -> Result<(), Problem> {
        self.admission.ask(records, Instant::now())
    }

    /// They are durable at these places.
    pub fn brought<'a>(&self, records: impl IntoIterator<Item = (&'a Id, Position)>) {
        let read = records.into_iter().filter(|(_, at)| self.topics.contains(&at.topic));
        self.admission.brought(read, Instant::now());
    }

    /// Waits until each of these records is in a committed epoch, or the wait is over; says what became of each.
    pub async fn wait(&self, positions: &[Position]) -> Vec<Outcome> {
        // The last offset of each partition: once it is in, so are the ones before.
        let mut last: BTreeMap<Partition, u64> = BTreeMap::new();
        for p in positions.iter().filter(|p| self.topics.contains(&p.topic)) {
            let offset = last.entry((p.topic, p.partition)).or_default();
            *offset = (*offset).max(p.offset);
        }
        let waits: Vec<Waiter<'_>> = last.into_iter().filter_map(|(at, offset)| self.register(at, offset)).collect();
        let all = async {
            for mut waiter in waits {
                // A sender is dropped only by sending: waiters leave the table with their own guard.
                let _ = (&mut waiter.woken).await;
            }
        };
        let _ = tokio::time::timeout(self.wait, all).await;
        let state = self.state.lock();
        positions.iter().map(|p| self.outcome(&state, *p)).collect()
    }

    /// The same, and until these events show what is in their epochs.
    pub async fn wait_shown(&self, positions: &[Position], events: &BTreeSet<Id>) -> Vec<Outcome> {
        let outcomes = self.wait(positions).await;
        let mut gated = self.gated.subscribe();
        // It fails only when this is dropped.
        let _ = tokio::time::timeout(self.wait, gated.wait_for(|gated| gated.is_disjoint(events))).await;
        outcomes
    }

    /// Takes the events in that a change of rules begins (true) or ends in.
    pub fn gate(&self, gates: &[(Id, bool)], snapshot: bool) {
        self.gated.send_if_modified(|gated| {
            if snapshot {
                gated.clear();
            }
            for (event, is_open) in gates {
                match is_open {
                    true => drop(gated.insert(event.clone())),
                    false => drop(gated.remove(event)),
                }
            }
            snapshot || !gates.is_empty()
        });
    }

    /// A waiter for an offset, unless it is visible already. Looking and registering are one step: no wake-up is lost.
    fn register(&self, at: Partition, offset: u64) -> Option<Waiter<'_>> {
        let mut state = self.state.lock();
        if state.bounds.get(&at).is_some_and(|bound| offset < *bound) {
            return None;
        }
        let (sender, woken) = oneshot::channel();
        let key = (at, offset, state.next_waiter);
        state.next_waiter += 1;
        state.waiters.insert(key, sender);
        Some(Waiter { visibility: self, key, woken })
    }

    fn outcome(&self, state: &State, position: Position) -> Outcome {
        if !self.topics.contains(&position.topic) {
            return Outcome::Accepted(Unknown::NotRead);
        }
        let at = (position.topic, position.partition);
        if state.bounds.get(&at).is_none_or(|bound| position.offset >= *bound) {
            return Outcome::Accepted(Unknown::Timeout);
        }
        match state.refused.get(&position) {
            Some(("duplicate", _)) => Outcome::Duplicate,
            Some(("conflict", detail)) => Outcome::Conflict { detail: detail.to_string() },
            Some((code, detail)) => Outcome::Refused { code, detail: detail.to_string() },
            None if state.remembered_from.get(&at).is_some_and(|from| position.offset < *from) => {
                Outcome::Accepted(Unknown::Forgotten)
            }
            None => Outcome::Counted,
        }
    }
}

impl State {
    fn remember(&mut self, refused: &Refused, max: usize) {
        if self.refused.insert(refused.position, (refused.code, refused.detail.as_str().into())).is_none() {
            self.refused_order.push_back(refused.position);
        }
        while self.refused_order.len() > max {
            let Some(oldest) = self.refused_order.pop_front() else {
                break;
            };
            self.refused.remove(&oldest);
            let from = self.remembered_from.entry((oldest.topic, oldest.partition)).or_default();
            *from = (*from).max(oldest.offset + 1);
        }
    }
}

fn count(topic: Topic, read: u64, partition: u32, refused: &[Refused]) {
    let add = |outcome: &str, n: u64| {
        if n > 0 {
            metrics::RECORDS.with_label_values(&[topic.name(), outcome]).inc_by(n);
        }
    };
    let mut counted = read;
    for r in refused.iter().filter(|r| (r.position.topic, r.position.partition) == (topic, partition)) {
        counted = counted.saturating_sub(1);
        add(if matches!(r.code, "duplicate" | "conflict") { r.code } else { "dead_letter" }, 1);
    }
    add("counted", counted);
}

/// A place among the waiters, given up when dropped.
struct Waiter<'a> {
    visibility: &'a Visibility,
    key: (Partition, u64, u64),
    woken: oneshot::Receiver<()>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.visibility.state.lock().waiters.remove(&self.key);
    }
}

impl BoardsSink for Visibility {
    fn publish(&self, epoch: Arc<BoardsEpoch>) {
        // First: whoever is woken by the bound must find the gate.
        self.gate(&epoch.gates, epoch.snapshot);
        self.advance(&epoch.bound, &epoch.refused, epoch.snapshot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: Topic, partition: u32, offset: u64) -> Position {
        Position { topic, offset, partition }
    }

    fn refused(position: Position, code: &'static str) -> Refused {
        Refused { position, code, detail: format!("it is a {code}") }
    }

    const T: Topic = Topic::Submissions;

    #[tokio::test]
    async fn outcomes_follow_from_bounds_and_refusals() {
        let v = Visibility::new(Visibility::boards_topics());
        v.advance(
            &[(T, 0, 4), (T, 1, 1)],
            &[
                refused(at(T, 0, 1), "duplicate"),
                refused(at(T, 0, 2), "conflict"),
                refused(at(T, 0, 3), "wrong_tenant"),
            ],
            false,
        );
        let got =
            v.wait(&[at(T, 0, 0), at(T, 0, 1), at(T, 0, 2), at(T, 0, 3), at(T, 1, 0), at(Topic::Usage, 0, 9)]).await;
        assert_eq!(
            got,
            [
                Outcome::Counted,
                Outcome::Duplicate,
                Outcome::Conflict { detail: "it is a conflict".into() },
                Outcome::Refused { code: "wrong_tenant", detail: "it is a wrong_tenant".into() },
                Outcome::Counted,
                Outcome::Accepted(Unknown::NotRead),
            ]
        );
        assert!(v.state.lock().waiters.is_empty());
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_epoch_and_only_with_it() {
        let v = Visibility::new([T]);
        let positions = [at(T, 0, 3), at(T, 2, 0)];
        let mut waiting = Box::pin(v.wait(&positions));
        macro_rules! pending {
            ($w:expr) => {
                futures::FutureExt::now_or_never($w.as_mut()).is_none()
            };
        }
        assert!(pending!(waiting));
        v.advance(&[(T, 0, 3), (T, 1, 9)], &[], false);
        assert!(pending!(waiting));
        v.advance(&[(T, 0, 4)], &[], false);
        assert!(pending!(waiting));
        v.advance(&[(T, 2, 1)], &[], false);
        assert_eq!(waiting.await, [Outcome::Counted, Outcome::Counted]);
    }

    #[tokio::test]
    async fn a_wait_that_is_over_says_accepted_and_leaves_nothing_behind() {
        let v = Visibility::with_limits([T], Duration::from_millis(20), REFUSED_MAX);
        assert_eq!(v.wait(&[at(T, 0, 0)]).await, [Outcome::Accepted(Unknown::Timeout)]);
        let positions = [at(T, 0, 0)];
        let mut dropped = Box::pin(v.wait(&positions));
        assert!(futures::FutureExt::now_or_never(dropped.as_mut()).is_none());
        drop(dropped);
        assert!(v.state.lock().waiters.is_empty());
    }

    #[tokio::test]
    async fn what_is_forgotten_is_never_said_to_have_counted() {
        let v = Visibility::with_limits([T], WAIT, 2);
        let refusals: Vec<Refused> = (0..4).map(|o| refused(at(T, 0, o), "duplicate")).collect();
        v.advance(&[(T, 0, 6)], &refusals, false);
        let got = v.wait(&[at(T, 0, 0), at(T, 0, 3), at(T, 0, 5)]).await;
        assert_eq!(got, [Outcome::Accepted(Unknown::Forgotten), Outcome::Duplicate, Outcome::Counted]);
        // The state after a restart: what it holds beyond the last bound may have been refused.
        v.advance(&[(T, 0, 9)], &[], true);
        v.advance(&[(T, 0, 10)], &[], false);
        assert_eq!(
            v.wait(&[at(T, 0, 8), at(T, 0, 9)]).await,
            [Outcome::Accepted(Unknown::Forgotten), Outcome::Counted]
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_is_lost() {
        let v = Visibility::new([T]);
        let publisher = {
            let v = v.clone();
            tokio::task::spawn_blocking(move || (1..=2_000).for_each(|o| v.advance(&[(T, 0, o)], &[], false)))
        };
        for offset in 0..2_000 {
            assert_eq!(v.wait(&[at(T, 0, offset)]).await, [Outcome::Counted]);
        }
        publisher.await.unwrap();
        assert!(v.state.lock().waiters.is_empty());
    }

    #[tokio::test]
    async fn what_is_behind_a_gate_is_visible_once_it_closes() {
        let v = Visibility::new(Visibility::boards_topics());
        let (gated, free) = ([Id::from("e")].into(), [Id::from("f")].into());
        v.gate(&[("e".into(), true)], false);
        v.advance(&[(T, 0, 1)], &[], false);
        assert_eq!(v.wait_shown(&[at(T, 0, 0)], &free).await, [Outcome::Counted]);
        let positions = [at(T, 0, 0)];
        let mut waiting = Box::pin(v.wait_shown(&positions, &gated));
        assert!(futures::poll!(&mut waiting).is_pending());
        v.gate(&[("f".into(), true)], false);
        assert!(futures::poll!(&mut waiting).is_pending());
        v.gate(&[("e".into(), false)], false);
        assert_eq!(waiting.await, [Outcome::Counted]);
        // A restart shows everything.
        v.gate(&[], true);
        assert_eq!(v.wait_shown(&positions, &free).await, [Outcome::Counted]);
    }
}
