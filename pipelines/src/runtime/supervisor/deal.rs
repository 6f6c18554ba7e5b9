//! Which worker begins with which rows.

use crossbeam_channel::unbounded;

use super::super::{folds, worker};
use super::Seed;

pub(super) type Commands = Vec<crossbeam_channel::Sender<worker::Command>>;

/// Deals shards to workers.
pub(super) fn deal(
    workers: usize,
    folds: u8,
    blocks: Vec<folds::Block>,
    identities: Vec<(u8, bytes::Bytes)>,
) -> (Commands, Vec<Option<Seed>>) {
    let (commands, mut seeds): (Vec<_>, Vec<_>) = (0..workers)
        .map(|_| {
            let (send, receive) = unbounded();
            (send, Seed { commands: receive, blocks: vec![Vec::new(); usize::from(folds)], identities: Vec::new() })
        })
        .unzip();
    for block in blocks {
        // Timely routes by `key % peers` (or a mask of it, when that is a power of two): the same worker as here.
        let worker = usize::from(block.shard) % workers;
        if let Some(fold) = seeds[worker].blocks.get_mut(usize::from(block.fold)) {
            fold.push(block);
        }
    }
    for (shard, packed) in identities {
        seeds[usize::from(shard) % workers].identities.push(packed);
    }
    (commands, seeds.into_iter().map(Some).collect())
}
