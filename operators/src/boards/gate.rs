//! Rules reach an event's teams through buckets; in a large event a change of them reaches some buckets per epoch.
//!
//! A changed rubric moves every row of its event. Done in one epoch, every other event would wait for it. So the gate of the
//! event opens in the epoch of the change, in each of the following epochs some teams get the new rules, and with the
//! last of them it closes. What is computed meanwhile is work in progress: while [`Gated::open`] has an event, nothing of
//! it is to be shown, and all of it is shown at once when it is closed (the committer's part).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use differential_dataflow::AsCollection;
use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::facts::{EventKey, Rows};
use super::rules::SharedRules;
use crate::primitives::complete_times::Update;

/// Parts of an event between which its teams are spread.
pub const BUCKETS: u8 = 64;

/// An event's bucket: hash of the event, number.
pub type Bucket = (u128, u8);

/// How changes of rules are spread over epochs.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    /// Teams per epoch, about; events with fewer are done in one. None: all are.
    pub teams: Option<u32>,
    /// With whoever makes the epochs.
    pub pace: Arc<Pace>,
}

/// Between gates and whoever makes the epochs.
#[derive(Debug, Default)]
pub struct Pace {
    /// Gates want epochs up to this one, also when no records come.
    wanted_epoch: AtomicU64,
    /// When the input is closed: the last epoch that there was.
    last_epoch: AtomicU64,
}

impl Pace {
    /// Whether an epoch after this one is wanted.
    pub fn wants_after(&self, epoch: u64) -> bool {
        self.wanted_epoch.load(Ordering::Acquire) > epoch
    }

    /// Tells which epoch was the last one, before the input is closed. Untold, gates that are open then lose slices.
    pub fn end_after(&self, epoch: u64) {
        self.last_epoch.store(epoch, Ordering::Release);
    }

    /// Forgets what was said, before a dataflow is made again.
    pub fn reset(&self) {
        self.wanted_epoch.store(0, Ordering::Release);
        self.last_epoch.store(0, Ordering::Release);
    }
}

/// What leaves the gate.
pub struct Gated<'s> {
    /// The rules of each bucket.
    pub buckets: Rows<'s, (Bucket, SharedRules)>,
    /// Events of which nothing is to be shown.
    pub open: Rows<'s, EventKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fact {
    Rules(SharedRules),
    Team,
}

/// What the operator knows of an event.
#[derive(Default)]
struct Event {
    teams: i64,
    rules: Option<SharedRules>,
    gate: Option<Gate>,
}

/// A change under way.
struct Gate {
    /// What each bucket has.
    given: Vec<Option<SharedRules>>,
    /// Buckets that have the new rules.
    done: usize,
    /// Buckets per epoch.
    step: usize,
}

impl Gate {
    fn epochs_left(&self) -> u64 {
        (usize::from(BUCKETS) - self.done).div_ceil(self.step) as u64
    }
}

type Given<'a> = &'a mut dyn FnMut((Bucket, SharedRules), i64);

/// Gives one bucket other rules.
fn give(event: u128, bucket: usize, old: Option<&SharedRules>, new: Option<&SharedRules>, out: Given<'_>) {
    if old != new {
        let bucket = (event, bucket as u8);
        old.into_iter().for_each(|rules| out((bucket, rules.clone()), -1));
        new.into_iter().for_each(|rules| out((bucket, rules.clone()), 1));
    }
}

impl Event {
    /// Takes changed rules in. Says how the row of open gates changes.
    fn change(&mut self, event: u128, new: Option<SharedRules>, slices: &Slices, out: Given<'_>) -> i64 {
        let old = std::mem::replace(&mut self.rules, new);
        let new = self.rules.as_ref();
        let all = usize::from(BUCKETS);
        if let Some(mut gate) = self.gate.take() {
            if new.is_some() {
                // All over again, towards the newest rules.
                gate.done = 0;
                self.gate = Some(gate);
                return 0;
            }
            gate.given.iter().enumerate().for_each(|(bucket, given)| give(event, bucket, given.as_ref(), None, out));
            return -1;
        }
        if let (Some(_), Some(_), Some(teams)) = (&old, new, slices.teams)
            && self.teams > i64::from(teams)
        {
            let step = (u64::from(teams) * u64::from(BUCKETS)).div_ceil(self.teams.unsigned_abs()) as usize;
            self.gate = Some(Gate { given: vec![old; all], done: 0, step: step.max(1) });
            return 1;
        }
        (0..all).for_each(|bucket| give(event, bucket, old.as_ref(), new, out));
        0
    }

    /// The next slice. Says whether it was the last one.
    fn step(&mut self, event: u128, out: Given<'_>) -> bool {
        let Some(gate) = &mut self.gate else { return false };
        let until = (gate.done + gate.step).min(usize::from(BUCKETS));
        for bucket in gate.done..until {
            give(event, bucket, gate.given[bucket].as_ref(), self.rules.as_ref(), out);
            gate.given[bucket].clone_from(&self.rules);
        }
        gate.done = until;
        let is_last = until == usize::from(BUCKETS);
        if is_last {
            self.gate = None;
        }
        is_last
    }
}

/// Spreads rules over buckets, and their changes over epochs.
pub fn gate<'s>(rules: Rows<'s, (EventKey, SharedRules)>, teams: Rows<'s, EventKey>, slices: Slices) -> Gated<'s> {
    let rules = rules.map(|(event, rules)| (event, Fact::Rules(rules)));
    let facts = rules.concat(teams.map(|event| (event, Fact::Team))).inner;
    let mut builder = OperatorBuilder::new("Gate".to_owned(), facts.scope());
    let route = Exchange::new(|((event, _), _, _): &Update<(EventKey, Fact)>| event.hash() as u64);
    let mut input = builder.new_input(facts, route);
    let (buckets, buckets_stream) = builder.new_output();
    let (open, open_stream) = builder.new_output();
    let mut buckets = OutputBuilder::<_, CapacityContainerBuilder<Vec<Update<(Bucket, SharedRules)>>>>::from(buckets);
    let mut open = OutputBuilder::<_, CapacityContainerBuilder<Vec<Update<EventKey>>>>::from(open);
    builder.build(move |_capabilities| {
        let mut waiting: BTreeMap<u64, Vec<((EventKey, Fact), i64)>> = BTreeMap::new();
        let mut events: HashMap<EventKey, Event, FixedState> = HashMap::default();
        // Events whose gate is open, in an order that runs agree on.
        let mut gates: Vec<EventKey> = Vec::new();
        // The next epoch in which a slice is due, where a gate is open.
        let mut next_slice: Option<u64> = None;
        let mut held: Option<[Capability<u64>; 2]> = None;
        move |frontiers| {
            let (mut buckets, mut open) = (buckets.activate(), open.activate());
            input.for_each_stamp(|capability, containers| {
                let Some(least) = capability.least().copied() else { return };
                for (fact, time, diff) in containers.flat_map(std::mem::take) {
                    waiting.entry(time).or_default().push((fact, diff));
                }
                if held.as_ref().is_none_or(|h| least < *h[0].time()) {
                    held = Some([0, 1].map(|output| capability.delayed(&least, output)));
                }
            });
            // Closed: there are no epochs any more in which a gate could close.
            let last = if frontiers[0].is_empty() { slices.pace.last_epoch.load(Ordering::Acquire) } else { u64::MAX };
            loop {
                next_slice = next_slice.filter(|epoch| *epoch <= last);
                let time = match (waiting.keys().next().copied(), next_slice) {
                    (Some(a), Some(b)) => a.min(b),
                    (Some(time), None) | (None, Some(time)) => time,
                    (None, None) => break held = None,
                };
                let Some(held) = held.as_mut() else { break };
                held.iter_mut().for_each(|capability| capability.downgrade(&time));
                if frontiers[0].less_equal(&time) {
                    break;
                }
                let (mut to_buckets, mut to_open) = (buckets.session(&held[0]), open.session(&held[1]));
                let mut out = |row, diff| to_buckets.give((row, time, diff));
                // By event the rules that came: none where they only went.
                let mut changed: BTreeMap<EventKey, Option<SharedRules>> = BTreeMap::new();
                for ((event, fact), diff) in waiting.remove(&time).into_iter().flatten() {
                    match fact {
                        Fact::Team => events.entry(event).or_default().teams += diff,
                        Fact::Rules(rules) if diff > 0 => drop(changed.insert(event, Some(rules))),
                        Fact::Rules(_) => drop(changed.entry(event).or_default()),
                    }
                }
                if next_slice == Some(time) {
                    gates.retain(|key| {
                        let event = events.get_mut(key).expect("an event with a gate is known");
                        let is_last = !changed.contains_key(key) && event.step(key.hash(), &mut out);
                        if is_last {
                            to_open.give((key.clone(), time, -1));
                        }
                        !is_last
                    });
                }
                for (key, rules) in changed {
                    let event = events.entry(key.clone()).or_default();
                    match event.change(key.hash(), rules, &slices, &mut out) {
                        0 => {}
                        diff => {
                            gates.retain(|k| *k != key);
                            if diff > 0 {
                                gates.push(key.clone());
                            }
                            to_open.give((key.clone(), time, diff));
                        }
                    }
                    if event.rules.is_none() && event.teams == 0 {
                        events.remove(&key);
                    }
                }
                gates.sort();
                next_slice = (!gates.is_empty()).then_some(time + 1);
                let left = gates.iter().filter_map(|key| events.get(key)?.gate.as_ref()).map(Gate::epochs_left).max();
                slices.pace.wanted_epoch.fetch_max(left.map_or(0, |left| time + left), Ordering::AcqRel);
            }
        }
    });
    Gated { buckets: buckets_stream.as_collection(), open: open_stream.as_collection() }
}
