//! The output topics of one pipeline on the embedded log.
//!
//! `publish` appends the records of its epochs, and after those of each epoch a marker (`epoch.closed`) to every
//! partition that it wrote. When all that is durable, one marker of the last epoch goes to `gravity.epochs.v1`: an epoch
//! is whole up to there. So a crash leaves, per partition, a prefix of what was to be written, and nothing of it was
//! reported as published. The next `publish` of the same epochs finds the newest marker of this pipeline in each
//! partition, and leaves out the records that already stand after it. Records of other pipelines may stand between.
//!
//! Where to look for the newest marker is known from what the pipeline holds (`outputs:<pipeline>`): the offset of an
//! earlier marker. So a start reads the end of the topics only, and retention keeps the markers. A partition is held
//! before it is first written, so one that is not held has nothing of the pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gravity_events::{Body, Topic, codec};
use parking_lot::Mutex;

use super::Inner;
use super::batch::record_bytes;
use super::holds::Bounds;
use super::partition::{Cursor, Room};
use crate::log::marker::{marker, marker_key};
use crate::log::{Bound, Entry, Limit, LogError, OutputEpoch, Outputs, Produce};

/// Epochs are noted as whole after pieces of about this size.
const PIECE_BYTES: usize = 8 << 20;
/// A piece is appended in parts of about this size: whoever else appends waits for one of them, not for the piece.
const PART_BYTES: usize = 512 << 10;
const SCAN: Limit = Limit { records: 4096, bytes: 1 << 20 };
/// Where the last whole epoch is noted.
const WHOLE: (Topic, u32) = (Topic::Epochs, 0);

/// What several writers of one pipeline, in one process, share: the newest one writes.
#[derive(Debug, Default)]
pub(super) struct Writers {
    newest: AtomicU64,
    /// Held while writing, so that a newer writer reads what an older one left, all of it.
    writing: Mutex<()>,
}

pub(super) struct EmbeddedOutputs {
    inner: Arc<Inner>,
    pipeline: String,
    writers: Arc<Writers>,
    number: u64,
    /// `None` until the topics have been read, and after a failure.
    state: Option<State>,
}

struct State {
    last: Option<u64>,
    places: BTreeMap<(Topic, u32), Place>,
}

/// What this pipeline has in one partition.
struct Place {
    /// Epoch of its newest marker.
    closed: Option<u64>,
    /// The marker's offset, or where its first record will be at the earliest.
    held: u64,
    /// Records of an unfinished epoch may stand after the marker.
    unfinished: bool,
}

impl EmbeddedOutputs {
    pub fn new(inner: Arc<Inner>, pipeline: &str) -> EmbeddedOutputs {
        let writers = inner.writers.lock().entry(pipeline.into()).or_default().clone();
        let number = writers.newest.fetch_add(1, Ordering::AcqRel) + 1;
        EmbeddedOutputs { inner, pipeline: pipeline.into(), writers, number, state: None }
    }

    fn holder(&self) -> String {
        format!("outputs:{}", self.pipeline)
    }

    fn check_newest(&self) -> Result<(), LogError> {
        if self.writers.newest.load(Ordering::Acquire) == self.number {
            Ok(())
        } else {
            Err(LogError::Fenced { pipeline: self.pipeline.clone() })
        }
    }

    fn load(&self) -> Result<State, LogError> {
        self.inner.holds.save_new()?;
        let held = self.inner.holds.of(&self.holder());
        let newest = newest_markers(&self.inner, &self.pipeline, &held)?;
        let mut places = BTreeMap::new();
        for (at, from) in held {
            let found = newest.get(&at);
            let place = Place { closed: found.map(|m| m.0), held: found.map_or(from, |m| m.1), unfinished: true };
            places.insert(at, place);
        }
        let last = places.get(&WHOLE).and_then(|p: &Place| p.closed);
        Ok(State { last, places })
    }

    /// Publishes epochs after the last whole one; the places as they will be are only kept when all went well.
    fn write(&self, state: &mut State, epochs: &[OutputEpoch]) -> Result<(), LogError> {
        let mut piece = Vec::new();
        let (mut bytes, mut last) = (0, None);
        let published = state.last;
        for epoch in epochs.iter().filter(|e| published.is_none_or(|last| e.epoch > last)) {
            for (at, records) in self.by_partition(epoch)? {
                self.prepare(state, at, epoch, &records, &mut piece)?;
            }
            last = Some(epoch);
            bytes += epoch.records.iter().map(record_bytes).sum::<usize>();
            if bytes >= PIECE_BYTES {
                self.finish(state, std::mem::take(&mut piece), epoch)?;
                (bytes, last) = (0, None);
            }
        }
        match last {
            Some(epoch) => self.finish(state, piece, epoch),
            None => Ok(()),
        }
    }

    fn by_partition<'e>(&self, epoch: &'e OutputEpoch) -> Result<BTreeMap<(Topic, u32), Vec<&'e Produce>>, LogError> {
        let mut parts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for record in &epoch.records {
            let partition = self.inner.route(record)?.1;
            parts.entry((record.topic, partition)).or_default().push(record);
        }
        Ok(parts)
    }

    /// Adds to `piece` what the partition lacks of the epoch.
    fn prepare(
        &self,
        state: &mut State,
        at: (Topic, u32),
        epoch: &OutputEpoch,
        records: &[&Produce],
        piece: &mut Vec<Produce>,
    ) -> Result<(), LogError> {
        self.hold_first(state, at)?;
        let place = state.places.get_mut(&at).expect("just held");
        if place.closed.is_some_and(|closed| closed >= epoch.epoch) {
            return Ok(());
        }
        let there = if place.unfinished { self.already_there(at, place.held, records)? } else { 0 };
        place.unfinished = false;
        place.closed = Some(epoch.epoch);
        piece.extend(records[there..].iter().map(|r| Produce { partition: Some(at.1), ..(*r).clone() }));
        piece.push(marker(&self.pipeline, epoch, at, records.len() as u64));
        Ok(())
    }

    /// Holds a partition before it is first written.
    fn hold_first(&self, state: &mut State, at: (Topic, u32)) -> Result<(), LogError> {
        if state.places.contains_key(&at) {
            return Ok(());
        }
        let end = self.inner.partition(at.0, at.1)?.range().1;
        self.inner.holds.set(&self.holder(), &[Bound { topic: at.0, partition: at.1, offset: end }])?;
        state.places.insert(at, Place { closed: None, held: end, unfinished: false });
        Ok(())
    }

    /// How many of `records`, from the first on, stand in the partition after `from`.
    fn already_there(&self, at: (Topic, u32), from: u64, records: &[&Produce]) -> Result<usize, LogError> {
        let mut there = 0;
        for_each(&self.inner, at, from, |entry| {
            if records.get(there).is_some_and(|r| r.value == entry.value && r.key == entry.key) {
                there += 1;
            }
        })?;
        Ok(there)
    }

    /// Makes a piece durable, then notes that all up to `epoch` is whole.
    fn finish(&self, state: &mut State, piece: Vec<Produce>, epoch: &OutputEpoch) -> Result<(), LogError> {
        let mut last = BTreeMap::new();
        for part in parts(piece) {
            for position in self.inner.append_and_wait(part)? {
                last.insert((position.topic, position.partition), position.offset);
            }
        }
        let mut held = Vec::new();
        for ((topic, partition), offset) in last {
            // The last record in each partition is a marker.
            state.places.get_mut(&(topic, partition)).expect("held before written").held = offset;
            held.push(Bound { topic, partition, offset });
        }
        self.hold_first(state, WHOLE)?;
        let positions = self.inner.append_and_wait(vec![marker(&self.pipeline, epoch, WHOLE, 0)])?;
        let (topic, partition) = WHOLE;
        held.extend(positions.iter().map(|p| Bound { topic, partition, offset: p.offset }));
        state.last = Some(epoch.epoch);
        self.inner.holds.set(&self.holder(), &held)
    }
}

/// A piece in parts, in order.
fn parts(piece: Vec<Produce>) -> impl Iterator<Item = Vec<Produce>> {
    let mut rest = piece.into_iter().peekable();
    std::iter::from_fn(move || {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while let Some(record) = rest.next_if(|_| bytes < PART_BYTES) {
            bytes += record_bytes(&record);
            part.push(record);
        }
        (!part.is_empty()).then_some(part)
    })
}

impl Outputs for EmbeddedOutputs {
    fn last_epoch(&mut self) -> Result<Option<u64>, LogError> {
        let writers = self.writers.clone();
        let _writing = writers.writing.lock();
        self.check_newest()?;
        let state = match self.state.take() {
            Some(state) => state,
            None => self.load()?,
        };
        Ok(self.state.insert(state).last)
    }

    fn publish(&mut self, epochs: &[OutputEpoch]) -> Result<(), LogError> {
        let writers = self.writers.clone();
        let _writing = writers.writing.lock();
        self.check_newest()?;
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.load()?,
        };
        // After a failure the state is read anew from the topics.
        self.write(&mut state, epochs)?;
        self.state = Some(state);
        Ok(())
    }

    fn bindings_after(&mut self, _epoch: u64) -> Result<Vec<(u64, i64, Vec<Bound>)>, LogError> {
        Ok(Vec::new())
    }
}

/// The epoch, when this is a marker, and whose.
fn as_marker(entry: &Entry) -> Option<(String, u64)> {
    // Decoding all would cost: only markers have such keys, or nearly.
    if !entry.key.starts_with(b"-/") {
        return None;
    }
    match codec::decode(&entry.value).ok()?.body {
        Body::EpochClosed(closed) if entry.key == marker_key(&closed.pipeline) => {
            Some((closed.pipeline.to_string(), closed.epoch))
        }
        _ => None,
    }
}

/// Epoch and offset of a marker, per partition.
type Newest = BTreeMap<(Topic, u32), (u64, u64)>;

/// A pipeline's newest marker per partition, from the held offsets on.
fn newest_markers(inner: &Inner, pipeline: &str, held: &Bounds) -> Result<Newest, LogError> {
    let mut newest = BTreeMap::new();
    let key = marker_key(pipeline);
    for (at, from) in held {
        for_each(inner, *at, *from, |entry| {
            if entry.key == key
                && let Some((_, epoch)) = as_marker(entry)
            {
                newest.insert(*at, (epoch, entry.position.offset));
            }
        })?;
    }
    Ok(newest)
}

/// Finds anew what the pipelines hold, from all output topics.
pub(super) fn hold_anew(inner: &Inner) -> Result<(), LogError> {
    let mut found: BTreeMap<String, Bounds> = BTreeMap::new();
    for partition in inner.partitions.iter().filter(|p| !p.topic.is_input()) {
        let at = (partition.topic, partition.partition);
        for_each(inner, at, 0, |entry| {
            if let Some((pipeline, _)) = as_marker(entry) {
                found.entry(pipeline).or_default().insert(at, entry.position.offset);
            }
        })?;
    }
    for (pipeline, bounds) in found {
        let list = |((topic, partition), offset)| Bound { topic, partition, offset };
        let bounds: Vec<Bound> = bounds.into_iter().map(list).collect();
        inner.holds.set(&format!("outputs:{pipeline}"), &bounds)?;
    }
    Ok(())
}

/// Shows each durable record of a partition from an offset on.
fn for_each(inner: &Inner, at: (Topic, u32), from: u64, mut show: impl FnMut(&Entry)) -> Result<(), LogError> {
    let partition = inner.partition(at.0, at.1)?;
    let mut cursor = Cursor::new(partition, from.max(partition.range().0));
    let mut entries = Vec::new();
    loop {
        cursor.read(partition, &mut Room::new(SCAN), &mut entries)?;
        if entries.is_empty() {
            return Ok(());
        }
        entries.drain(..).for_each(|entry| show(&entry));
    }
}
