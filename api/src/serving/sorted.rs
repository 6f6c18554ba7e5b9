//! A persistent sorted sequence of rows with positions: a two-level B-tree of shared chunks.
//!
//! Cloning copies one pointer; changing a clone copies the chunk it touches (and, once, the list of chunks). So each
//! version of a board can be kept whole for the price of what differs, and read without a lock.

use std::marker::PhantomData;
use std::sync::Arc;

use super::row::{Order, TeamRow};

/// Rows in a chunk before it is split in two. An epoch copies every chunk that it changes, and copying a row's pointer
/// is a look at the row: in a burst, when most chunks change in each epoch, small ones cost least.
const CHUNK_ROWS_MAX: usize = 64;
/// Neighbours with no more rows than this together are joined.
const JOIN_ROWS_MAX: usize = 32;

/// Where a row stands: chunk, offset in it. Good until the sequence changes.
#[derive(Clone, Copy)]
pub(super) struct Place(usize, usize);

type Chunk = Arc<Vec<Arc<TeamRow>>>;

pub(super) struct Sorted<O> {
    chunks: Arc<Vec<Chunk>>,
    len: usize,
    order: PhantomData<fn() -> O>,
}

impl<O> Clone for Sorted<O> {
    fn clone(&self) -> Self {
        Sorted { chunks: self.chunks.clone(), len: self.len, order: PhantomData }
    }
}

impl<O> Default for Sorted<O> {
    fn default() -> Self {
        Sorted { chunks: Arc::default(), len: 0, order: PhantomData }
    }
}

impl<O: Order> Sorted<O> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Of rows that stand in order.
    pub(super) fn of(rows: Vec<Arc<TeamRow>>) -> Self {
        debug_assert!(rows.is_sorted_by(|a, b| O::order(a, b).is_lt()), "in order, each once");
        let chunks = rows.chunks(CHUNK_ROWS_MAX * 3 / 4).map(|chunk| Arc::new(chunk.to_vec())).collect();
        Sorted { len: rows.len(), chunks: Arc::new(chunks), order: PhantomData }
    }

    /// (chunk, offset in it) of the first row for which `before` is false; one past the end if there is none.
    fn place(&self, before: impl Fn(&TeamRow) -> bool) -> (usize, usize) {
        let chunk = self.chunks.partition_point(|c| c.last().is_some_and(|row| before(row)));
        let offset = self.chunks.get(chunk).map_or(0, |c| c.partition_point(|row| before(row)));
        (chunk, offset)
    }

    /// How many rows there are for which `before` is true; it must be true for a first part of the sequence.
    pub(super) fn partition_point(&self, before: impl Fn(&TeamRow) -> bool) -> usize {
        let (chunk, offset) = self.place(before);
        self.chunks[..chunk].iter().map(|c| c.len()).sum::<usize>() + offset
    }

    /// Where the row for which `order` is equal stands, if there is one.
    pub(super) fn find_place(&self, order: impl Fn(&TeamRow) -> std::cmp::Ordering) -> Option<Place> {
        let (chunk, offset) = self.place(|row| order(row).is_lt());
        self.chunks.get(chunk)?.get(offset).filter(|row| order(row).is_eq()).map(|_| Place(chunk, offset))
    }

    /// The row at a place that was found since the last change.
    pub(super) fn at(&self, Place(chunk, offset): Place) -> &Arc<TeamRow> {
        &self.chunks[chunk][offset]
    }

    /// Every row with its place, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, &Arc<TeamRow>)> {
        let chunks = self.chunks.iter().enumerate();
        chunks.flat_map(|(chunk, rows)| rows.iter().enumerate().map(move |(offset, row)| (Place(chunk, offset), row)))
    }

    /// Puts a row that the order takes for its equal in the place of one.
    pub(super) fn put(&mut self, place: Place, row: Arc<TeamRow>) {
        debug_assert!(O::order(self.at(place), &row).is_eq(), "another place");
        Arc::make_mut(&mut Arc::make_mut(&mut self.chunks)[place.0])[place.1] = row;
    }

    /// The row for which `order` is equal.
    pub(super) fn find(&self, order: impl Fn(&TeamRow) -> std::cmp::Ordering) -> Option<&Arc<TeamRow>> {
        self.find_place(order).map(|place| self.at(place))
    }

    /// The rows from a position on.
    pub(super) fn iter_from(&self, index: usize) -> impl Iterator<Item = &Arc<TeamRow>> {
        let (mut skip, mut first) = (index, 0);
        while let Some(chunk) = self.chunks.get(first).filter(|c| c.len() <= skip) {
            skip -= chunk.len();
            first += 1;
        }
        self.chunks[first..].iter().flat_map(|c| c.iter()).skip(skip)
    }

    /// Adds a row; the caller knows that none equal to it is there.
    pub(super) fn insert(&mut self, row: Arc<TeamRow>) {
        let (mut at, mut offset) = self.place(|other| O::order(other, &row).is_lt());
        let chunks = Arc::make_mut(&mut self.chunks);
        self.len += 1;
        if at == chunks.len() {
            match at.checked_sub(1) {
                Some(last) => (at, offset) = (last, chunks[last].len()),
                None => return chunks.push(Arc::new(vec![row])),
            }
        }
        let chunk = Arc::make_mut(&mut chunks[at]);
        chunk.insert(offset, row);
        if chunk.len() > CHUNK_ROWS_MAX {
            let upper = chunk.split_off(CHUNK_ROWS_MAX / 2);
            chunks.insert(at + 1, Arc::new(upper));
        }
    }

    /// (chunk, offset in it) of exactly this row.
    fn place_of(&self, row: &Arc<TeamRow>) -> Option<(usize, usize)> {
        let (at, offset) = self.place(|other| O::order(other, row).is_lt());
        self.chunks.get(at)?.get(offset).filter(|found| Arc::ptr_eq(found, row)).map(|_| (at, offset))
    }

    /// Puts a row in the place of one that the order takes for its equal; false if that is not there.
    pub(super) fn replace(&mut self, old: &Arc<TeamRow>, new: Arc<TeamRow>) -> bool {
        debug_assert!(O::order(old, &new).is_eq(), "another place");
        let Some((at, offset)) = self.place_of(old) else { return false };
        Arc::make_mut(&mut Arc::make_mut(&mut self.chunks)[at])[offset] = new;
        true
    }

    /// Removes exactly this row; false if it is not there.
    pub(super) fn remove(&mut self, row: &Arc<TeamRow>) -> bool {
        let Some((at, offset)) = self.place_of(row) else { return false };
        let chunks = Arc::make_mut(&mut self.chunks);
        Arc::make_mut(&mut chunks[at]).remove(offset);
        self.len -= 1;
        if chunks[at].is_empty() {
            chunks.remove(at);
        } else if let Some(left) = [at.checked_sub(1), Some(at)]
            .into_iter()
            .flatten()
            .find(|left| chunks.get(left + 1).is_some_and(|right| chunks[*left].len() + right.len() <= JOIN_ROWS_MAX))
        {
            let right = chunks.remove(left + 1);
            Arc::make_mut(&mut chunks[left]).extend(right.iter().cloned());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::ByTeam;
    use super::*;
    use gravity_events::natural_cmp;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn row(n: u32) -> Arc<TeamRow> {
        Arc::new(TeamRow {
            team: n.to_string().into(),
            row: Default::default(),
            firsts: vec![],
            name_key: [].into(),
            serial: 0,
        })
    }

    fn teams(sorted: &Sorted<ByTeam>, from: usize) -> Vec<u32> {
        sorted.iter_from(from).map(|r| r.team.parse().unwrap()).collect()
    }

    #[test]
    fn equals_a_sorted_vec_and_leaves_clones_alone() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut sorted = Sorted::<ByTeam>::default();
        let mut model: Vec<Arc<TeamRow>> = vec![];
        let mut kept: Vec<(Sorted<ByTeam>, Vec<u32>)> = vec![];
        for step in 0..6_000 {
            // Grows for a while, then shrinks to nothing.
            let grow = rng.random_ratio(if step < 3_000 { 4 } else { 1 }, 5);
            let n = rng.random_range(0..2_000);
            let at = model.binary_search_by(|r| natural_cmp(&r.team, &n.to_string()));
            match (grow, at) {
                (true, Err(at)) => {
                    let row = row(n);
                    sorted.insert(row.clone());
                    model.insert(at, row);
                }
                (false, _) if !model.is_empty() => {
                    let gone = model.remove(rng.random_range(0..model.len()));
                    assert!(sorted.remove(&gone));
                    assert!(!sorted.remove(&gone) && !sorted.replace(&gone, gone.clone()));
                }
                (true, Ok(at)) => {
                    let row = row(n);
                    let old = std::mem::replace(&mut model[at], row.clone());
                    assert!(sorted.replace(&old, row.clone()));
                    assert!(sorted.find(|r| natural_cmp(&r.team, &row.team)).is_some_and(|r| Arc::ptr_eq(r, &row)));
                }
                _ => {}
            }
            assert_eq!(sorted.len(), model.len());
            let below = |r: &TeamRow| natural_cmp(&r.team, &n.to_string()).is_lt();
            assert_eq!(sorted.partition_point(below), model.partition_point(|r| below(r)));
            assert_eq!(
                sorted.find(|r| natural_cmp(&r.team, &n.to_string())).is_some(),
                model.iter().any(|r| r.team == n.to_string())
            );
            if step % 300 == 0 {
                let all: Vec<u32> = model.iter().map(|r| r.team.parse().unwrap()).collect();
                let from = rng.random_range(0..=all.len() + 2);
                assert_eq!(teams(&sorted, from), all.get(from..).unwrap_or(&[]));
                kept.push((sorted.clone(), all));
            }
        }
        for (sorted, all) in kept {
            assert_eq!(teams(&sorted, 0), all);
        }
        let chunks = sorted.chunks.len();
        assert!(chunks <= 1 + sorted.len() * 2 / JOIN_ROWS_MAX, "{chunks} chunks for {} rows", sorted.len());
    }
}
