//! What is kept back behind gates, and let out when they close.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::super::definition::{Change, Definition, Released};
use super::super::folds::Block;
use super::super::journal::frame::GatesFrame;
use super::super::versions::{Diff, Moved, Versions};

/// The gates that are open, and those that closed lately.
pub struct Gates<D: Definition> {
    open: BTreeMap<u128, Open<D>>,
    /// First and last epochs of gates that closed: until a base is newer, the frames from the first one on are needed to
    /// publish the last one.
    closed: Vec<(u64, u64)>,
}

struct Open<D: Definition> {
    since: u64,
    /// As they are when the gate closes.
    rows: Vec<Change<D::Key, D::Value>>,
    /// Where each is, by the hash of its key.
    places: HashMap<u128, usize, FixedState>,
    moved: Moved<D>,
    blocks: Vec<Block>,
}

/// What an epoch says of gates.
pub struct Passed<D: Definition> {
    /// For its frame.
    pub frame: GatesFrame,
    /// Rows that changed behind gates that are still open, or closed just now.
    pub staged: Vec<Change<D::Key, D::Value>>,
    /// What is let out.
    pub released: Vec<Released<D>>,
    /// New versions of parts that are let out.
    pub versions: Vec<(D::Scope, u64, u64)>,
}

impl<D: Definition> Default for Passed<D> {
    fn default() -> Self {
        Passed { frame: GatesFrame::default(), staged: Vec::new(), released: Vec::new(), versions: Vec::new() }
    }
}

impl<D: Definition> Default for Gates<D> {
    fn default() -> Self {
        Gates { open: BTreeMap::new(), closed: Vec::new() }
    }
}

impl<D: Definition> Open<D> {
    fn since(epoch: u64) -> Open<D> {
        Open {
            since: epoch,
            rows: Vec::new(),
            places: HashMap::default(),
            moved: Moved::<D>::new(),
            blocks: Vec::new(),
        }
    }

    fn put(&mut self, key_hash: u128, change: Change<D::Key, D::Value>) {
        match self.places.entry(key_hash) {
            Entry::Occupied(place) => self.rows[*place.get()] = change,
            Entry::Vacant(place) => {
                place.insert(self.rows.len());
                self.rows.push(change);
            }
        }
    }
}

impl<D: Definition> Gates<D> {
    /// Whether one is open.
    pub fn any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes out of an epoch's diffs what is behind gates; lets out what is behind those that close with it.
    pub fn pass(
        &mut self,
        definition: &D,
        epoch: u64,
        diffs: &mut Vec<Diff<D>>,
        blocks: &[Block],
        versions: &mut Versions<D>,
    ) -> Passed<D> {
        let mut passed = Passed::default();
        let mut closing = Vec::new();
        for diff in diffs.iter() {
            if let Some(group) = definition.opens(&diff.key) {
                match diff.new {
                    Some(_) => {
                        passed.frame.opened.push(group);
                        self.open.entry(group).or_insert_with(|| Open::since(epoch));
                    }
                    None => closing.push(group),
                }
            }
        }
        if self.open.is_empty() {
            return passed;
        }
        for open in self.open.values_mut() {
            open.blocks.extend(blocks.iter().cloned());
        }
        let mut staged: BTreeMap<u128, Vec<Diff<D>>> = BTreeMap::new();
        let mut free = Vec::new();
        for diff in diffs.drain(..) {
            match definition.behind(&diff.key).filter(|group| self.open.contains_key(group)) {
                Some(group) => staged.entry(group).or_default().push(diff),
                None => free.push(diff),
            }
        }
        *diffs = free;
        for (group, diffs) in staged {
            let Some(open) = self.open.get_mut(&group) else { continue };
            versions.stage(definition, &diffs, &mut open.moved);
            passed.frame.staged.extend(diffs.iter().map(|d| (group, d.key_bytes.clone(), d.new_bytes.clone())));
            for Diff { key, new, key_bytes, .. } in diffs {
                let change = Change { key, value: new };
                open.put(versions.hash_of(&key_bytes), change.clone());
                passed.staged.push(change);
            }
        }
        for group in closing {
            let Some(Open { since, rows, moved, blocks, .. }) = self.open.remove(&group) else { continue };
            self.closed.push((since, epoch));
            passed.versions.extend(versions.release(moved));
            passed.frame.released.push((group, blocks.clone()));
            passed.released.push(Released { group, changes: rows, blocks });
        }
        passed
    }

    /// There is a base of this epoch, whose rows were published: gives the first epoch whose frame is still needed.
    pub fn keep_from(&mut self, base: u64) -> u64 {
        self.closed.retain(|(_, last)| *last > base);
        let firsts = self.closed.iter().map(|(first, _)| *first).chain(self.open.values().map(|open| open.since));
        firsts.fold(base + 1, u64::min)
    }
}
