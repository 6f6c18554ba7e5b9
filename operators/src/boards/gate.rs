//! What holds for a whole event reaches its members through buckets; in a large event a change of it reaches some buckets
//! per epoch. Rules reach teams so, and applied rejudgings the judgements that waited for them.
//!
//! A changed rubric moves every row of its event. Done in one epoch, every other event would wait for it. So the gate of the
//! event opens in the epoch of the change, in each of the following epochs some members get the new rules, and with the
//! last of them it closes. What is computed meanwhile is work in progress: while [`Gated::open`] has an event, nothing of
//! it is to be shown, and all of it is shown at once when it is closed (the committer's part).
//!
//! There are 256 buckets; an event has rules only in those that it has members in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use differential_dataflow::{AsCollection, ExchangeData};
use foldhash::fast::FixedState;
use gravity_events::Id;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::facts::{EventKey, Rows};
use super::rules::SharedRules;
use crate::primitives::complete_times::Update;

/// A part of an event's members: hash of the event, number.
pub type Bucket = (u128, u8);

/// The bucket of a member, by the hashes of its event and itself.
pub fn bucket_of(event: u128, member: u128) -> Bucket {
    (event, member as u8)
}

/// How changes of rules are spread over epochs.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    /// Members per epoch, about; events with fewer are done in one. None: all are.
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
    /// Epochs that carry records, each at its number modulo the length: far more than are ever under way.
    with_records: [AtomicU64; 32],
}

impl Pace {
    /// Whether an epoch after this one is wanted.
    pub fn wants_after(&self, epoch: u64) -> bool {
        self.wanted_epoch.load(Ordering::Acquire) > epoch
    }

    /// Tells, before an epoch is begun, whether it carries records. Untold: none.
    pub fn begin(&self, epoch: u64, has_records: bool) {
        self.with_records[Self::at(epoch)].store(if has_records { epoch } else { 0 }, Ordering::Release);
    }

    /// Whether slices are due in an epoch, where a gate is open. Whoever sent a record waits for its epoch, so it carries
    /// no slice; but where all epochs carry records, one of two does, or the change would never end. What is said
    /// depends on nothing but the log, so that two runs of the same epochs agree.
    pub fn carries_slices(&self, epoch: u64) -> bool {
        let has_records = |epoch: u64| epoch > 0 && self.with_records[Self::at(epoch)].load(Ordering::Acquire) == epoch;
        !has_records(epoch) || (has_records(epoch - 1) && epoch % 2 == 1)
    }

    fn at(epoch: u64) -> usize {
        (epoch % 32) as usize
    }

    /// Tells which epoch was the last one, before the input is closed. Untold, gates that are open then lose slices.
    pub fn end_after(&self, epoch: u64) {
        self.last_epoch.store(epoch, Ordering::Release);
    }

    /// Forgets what was said, before a dataflow is made again.
    pub fn reset(&self) {
        self.wanted_epoch.store(0, Ordering::Release);
        self.last_epoch.store(0, Ordering::Release);
        self.with_records.iter().for_each(|epoch| epoch.store(0, Ordering::Release));
    }
}

/// What holds for a whole event.
pub trait Ruling: ExchangeData {
    /// Whether a change must not wait for slices.
    fn is_urgent(_old: Option<&Self>, _new: Option<&Self>) -> bool {
        false
    }
}

impl Ruling for SharedRules {
    /// An operator that does not come back must not be called again by any team, not even until its slice is due.
    fn is_urgent(old: Option<&Self>, new: Option<&Self>) -> bool {
        fn quarantined(rules: Option<&SharedRules>) -> Option<&BTreeMap<Id, String>> {
            rules?.rubric.as_ref().map(|rubric| rubric.quarantined()).filter(|all| !all.is_empty())
        }
        quarantined(old) != quarantined(new)
    }
}

/// What leaves the gate.
pub struct Gated<'s, R: Ruling> {
    /// The rules of each bucket.
    pub buckets: Rows<'s, (Bucket, R)>,
    /// Events of which nothing is to be shown.
    pub open: Rows<'s, EventKey>,
}

/// What came for one epoch.
type Facts<R> = Vec<((EventKey, Fact<R>), i64)>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fact<R> {
    Rules(R),
    Member(u8),
}

/// What the operator knows of an event.
struct Event<R> {
    rules: Option<R>,
    /// Members of each bucket that has any.
    members: BTreeMap<u8, i64>,
    /// What each bucket was given.
    given: BTreeMap<u8, R>,
    /// A change is under way: the buckets that do not have the new rules yet.
    gate: Option<BTreeSet<u8>>,
}

impl<R> Default for Event<R> {
    fn default() -> Self {
        Event { rules: None, members: BTreeMap::new(), given: BTreeMap::new(), gate: None }
    }
}

/// What came for an event in one epoch.
struct Came<R> {
    /// Members that came and went, by bucket.
    members: BTreeMap<u8, i64>,
    /// New rules; None: they only went.
    rules: Option<Option<R>>,
}

impl<R> Default for Came<R> {
    fn default() -> Self {
        Came { members: BTreeMap::new(), rules: None }
    }
}

type Given<'a, R> = &'a mut dyn FnMut((Bucket, R), i64);

impl<R: Ruling> Event<R> {
    /// Gives a bucket the rules that it should have.
    fn give(&mut self, event: u128, bucket: u8, out: Given<'_, R>) {
        let new = self.rules.as_ref().filter(|_| self.members.contains_key(&bucket));
        if self.given.get(&bucket) == new {
            return;
        }
        let new = new.cloned();
        if let Some(old) = self.given.remove(&bucket) {
            out(((event, bucket), old), -1);
        }
        if let Some(new) = new {
            out(((event, bucket), new.clone()), 1);
            self.given.insert(bucket, new);
        }
    }

    /// Takes in what came. Says how the row of open gates changes.
    fn take(&mut self, event: u128, came: Came<R>, slices: &Slices, out: Given<'_, R>) -> i64 {
        for (bucket, diff) in &came.members {
            let teams = self.members.entry(*bucket).or_default();
            *teams += diff;
            if *teams == 0 {
                self.members.remove(bucket);
            }
        }
        let was_open = self.gate.is_some();
        if let Some(new) = came.rules {
            let old = std::mem::replace(&mut self.rules, new);
            let is_large = slices.teams.is_some_and(|slice| self.members.values().sum::<i64>() > i64::from(slice));
            let changes = old.is_some() && self.rules.is_some() && old != self.rules;
            let is_urgent = R::is_urgent(old.as_ref(), self.rules.as_ref());
            // One that is open begins all over, towards the newest rules.
            if self.rules.is_some() && !is_urgent && (was_open || (changes && is_large)) {
                self.gate = Some(self.members.keys().copied().collect());
            } else {
                self.gate = None;
                let all: BTreeSet<u8> = self.members.keys().chain(self.given.keys()).copied().collect();
                all.into_iter().for_each(|bucket| self.give(event, bucket, out));
            }
        }
        for bucket in came.members.into_keys() {
            // A bucket that waits for its slice gets nothing before.
            let waits = self.gate.as_ref().is_some_and(|left| left.contains(&bucket));
            if !waits || !self.members.contains_key(&bucket) {
                self.give(event, bucket, out);
            }
        }
        i64::from(self.gate.is_some()) - i64::from(was_open)
    }

    /// Buckets of the next slice: about so many teams.
    fn slice(&self, left: &mut BTreeSet<u8>, slices: &Slices) -> Vec<u8> {
        let (mut buckets, mut members) = (Vec::new(), 0);
        while let Some(bucket) = left.pop_first() {
            buckets.push(bucket);
            members += self.members.get(&bucket).copied().unwrap_or(0);
            if members > 0 && members >= i64::from(slices.teams.unwrap_or(u32::MAX)) {
                break;
            }
        }
        buckets
    }

    /// The next slice. Says whether it was the last one.
    fn step(&mut self, event: u128, slices: &Slices, out: Given<'_, R>) -> bool {
        let Some(mut left) = self.gate.take() else { return false };
        self.slice(&mut left, slices).into_iter().for_each(|bucket| self.give(event, bucket, out));
        let is_last = left.is_empty();
        self.gate = (!is_last).then_some(left);
        is_last
    }

    /// Epochs until the gate closes.
    fn epochs_left(&self, slices: &Slices) -> u64 {
        let Some(mut left) = self.gate.clone() else { return 0 };
        let mut epochs = 1;
        loop {
            self.slice(&mut left, slices);
            if left.is_empty() {
                return epochs;
            }
            epochs += 1;
        }
    }
}

/// Spreads rules over buckets, and their changes over epochs.
pub fn gate<'s, R: Ruling>(
    rules: Rows<'s, (EventKey, R)>,
    members: Rows<'s, (EventKey, Bucket)>,
    slices: Slices,
) -> Gated<'s, R> {
    let rules = rules.map(|(event, rules)| (event, Fact::Rules(rules)));
    let facts = rules.concat(members.map(|(event, (_, bucket))| (event, Fact::Member(bucket)))).inner;
    let mut builder = OperatorBuilder::new("Gate".to_owned(), facts.scope());
    let route = Exchange::new(|((event, _), _, _): &Update<(EventKey, Fact<R>)>| event.hash() as u64);
    let mut input = builder.new_input(facts, route);
    let (buckets, buckets_stream) = builder.new_output();
    let (open, open_stream) = builder.new_output();
    let mut buckets = OutputBuilder::<_, CapacityContainerBuilder<Vec<Update<(Bucket, R)>>>>::from(buckets);
    let mut open = OutputBuilder::<_, CapacityContainerBuilder<Vec<Update<EventKey>>>>::from(open);
    builder.build(move |_capabilities| {
        let mut waiting: BTreeMap<u64, Facts<R>> = BTreeMap::new();
        let mut events: HashMap<EventKey, Event<R>, FixedState> = HashMap::default();
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
                let mut came: BTreeMap<EventKey, Came<R>> = BTreeMap::new();
                // Whose rules changed in this epoch: the first slice is in the next one.
                let mut begun: BTreeSet<EventKey> = BTreeSet::new();
                for ((event, fact), diff) in waiting.remove(&time).into_iter().flatten() {
                    let came = came.entry(event).or_default();
                    match fact {
                        Fact::Member(bucket) => *came.members.entry(bucket).or_default() += diff,
                        Fact::Rules(rules) if diff > 0 => came.rules = Some(Some(rules)),
                        Fact::Rules(_) => drop(came.rules.get_or_insert_default()),
                    }
                }
                let is_due = next_slice == Some(time) && slices.pace.carries_slices(time);
                let due = if is_due { gates.clone() } else { Vec::new() };
                for (key, came) in came {
                    let event = events.entry(key.clone()).or_default();
                    let opened = came.rules.is_some();
                    match event.take(key.hash(), came, &slices, &mut out) {
                        0 => {}
                        diff => {
                            gates.retain(|k| *k != key);
                            if diff > 0 {
                                gates.push(key.clone());
                            }
                            to_open.give((key.clone(), time, diff));
                        }
                    }
                    if event.rules.is_none() && event.members.is_empty() {
                        events.remove(&key);
                    }
                    if opened {
                        begun.insert(key);
                    }
                }
                for key in due.into_iter().filter(|key| !begun.contains(key)) {
                    let event = events.get_mut(&key).expect("an event with a gate is known");
                    if event.step(key.hash(), &slices, &mut out) {
                        gates.retain(|k| *k != key);
                        to_open.give((key, time, -1));
                    }
                }
                gates.sort();
                next_slice = (!gates.is_empty()).then_some(time + 1);
                let left = gates.iter().filter_map(|key| Some(events.get(key)?.epochs_left(&slices))).max();
                slices.pace.wanted_epoch.fetch_max(left.map_or(0, |left| time + left), Ordering::AcqRel);
            }
        }
    });
    Gated { buckets: buckets_stream.as_collection(), open: open_stream.as_collection() }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn records_go_before_slices_and_cannot_stop_them() {
        let pace = Pace::default();
        let slices = |pace: &Pace, epochs: std::ops::RangeInclusive<u64>| -> Vec<u64> {
            epochs.filter(|epoch| pace.carries_slices(*epoch)).collect()
        };
        assert_eq!(slices(&pace, 0..=4), [0, 1, 2, 3, 4], "nothing was told");
        for epoch in 0..=155 {
            pace.begin(epoch, epoch >= 100 && epoch != 151);
        }
        assert_eq!(slices(&pace, 149..=155), [149, 151, 153, 155]);
        for epoch in 156..=175 {
            pace.begin(epoch, epoch % 2 == 0);
        }
        assert_eq!(slices(&pace, 156..=161), [157, 159, 161]);
        pace.reset();
        assert_eq!(slices(&pace, 170..=172), [170, 171, 172]);
    }
}
