//! Recovery: base and frames give the folds, the identities, the versions and the offsets to read on from.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;
use gravity_events::Id;
use gravity_ingest::log::{Bound, Log};
use gravity_ingest::segment::SyncMode;

use super::definition::Definition;
use super::folds::Block;
use super::journal::frame::load_bounds;
use super::journal::{Journal, base};
use super::{PipelineError, committer};

/// What a pipeline starts from.
pub struct Recovered<D: Definition> {
    /// The journal, open for appending.
    pub journal: Journal,
    /// Epoch, clock, bound and versions.
    pub restored: committer::Restored<D::Scope>,
    /// Fold rows; later blocks override earlier ones.
    pub blocks: Vec<Block>,
    /// Packed identities with their shard.
    pub identities: Vec<(u8, Bytes)>,
    /// Owners of events.
    pub claims: HashMap<Id, Id>,
    /// Epoch and size of the base.
    pub base: Option<u64>,
}

/// Loads the journal in `dir`.
pub fn recover<D: Definition>(
    definition: &D,
    dir: &Path,
    log: &dyn Log,
    sync: SyncMode,
) -> Result<Recovered<D>, PipelineError> {
    let name = definition.name();
    let broken = |what: String| PipelineError::Journal { pipeline: name, what };
    let newest = base::newest(dir)?;
    base::clean(dir, newest)?;
    let (mut blocks, mut identities) = (Vec::new(), Vec::new());
    let mut claims = HashMap::new();
    let mut versions: BTreeMap<Bytes, (u64, u64)> = BTreeMap::new();
    let (mut epoch, mut now_ms, mut bound) = (0, 0, Vec::new());
    if let Some(at) = newest {
        let (header, items) = base::read(dir, name, at)?;
        (epoch, now_ms, bound) = (header.epoch, header.now_ms, header.bound);
        claims.extend(header.claims);
        versions.extend(header.versions.into_iter().map(|(s, v, d)| (s, (v, d))));
        for item in items {
            match item? {
                base::Item::Rows(block) => blocks.push(block),
                base::Item::Identities(shard, packed) => identities.push((shard, packed)),
                base::Item::End(_) => {}
            }
        }
    }
    let journal = Journal::open(dir, name, epoch + 1, sync)?;
    for frame in journal.reader().after(epoch) {
        let frame = frame?;
        if frame.epoch != epoch + 1 {
            return Err(broken(format!("the frame of epoch {} is missing: the next is {}", epoch + 1, frame.epoch)));
        }
        (epoch, now_ms, bound) = (frame.epoch, frame.now_ms, frame.bound);
        blocks.extend(frame.blocks);
        identities.extend(frame.identities);
        claims.extend(frame.claims);
        versions.extend(frame.versions.into_iter().map(|(s, v, d)| (s, (v, d))));
    }
    let known =
        load_bounds(&bound).ok_or_else(|| broken("it is bound to a topic that this build does not know".into()))?;
    let versions = versions
        .into_iter()
        .map(|(s, v)| Ok((postcard::from_bytes(&s).map_err(|e| broken(format!("a scope cannot be decoded: {e}")))?, v)))
        .collect::<Result<_, PipelineError>>()?;
    let restored = committer::Restored { epoch, now_ms, bound: read_from(definition, log, &known)?, versions };
    Ok(Recovered { journal, restored, blocks, identities, claims, base: newest })
}

/// The offsets to read on from, for every partition of the inputs; new partitions from their beginning.
fn read_from<D: Definition>(definition: &D, log: &dyn Log, known: &[Bound]) -> Result<Vec<Bound>, PipelineError> {
    let mut all = Vec::new();
    for &topic in definition.inputs() {
        for partition in 0..log.partitions(topic) {
            let (first, end) = log.range(topic, partition)?;
            let offset = match known.iter().find(|b| (b.topic, b.partition) == (topic, partition)) {
                Some(b) if b.offset > end => {
                    return Err(PipelineError::BoundAhead { topic, partition, bound: b.offset, end });
                }
                Some(b) if b.offset < first => {
                    return Err(
                        gravity_ingest::log::LogError::Gone { topic, partition, wanted: b.offset, first }.into()
                    );
                }
                Some(b) => b.offset,
                None => first,
            };
            all.push(Bound { topic, partition, offset });
        }
    }
    Ok(all)
}
