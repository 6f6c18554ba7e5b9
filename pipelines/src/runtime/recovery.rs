//! Recovery: base, runs and frames give the folds, the identities, the versions and the offsets to read on from.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;
use gravity_events::Id;
use gravity_ingest::log::{Bound, Log};
use gravity_ingest::segment::SyncMode;

use super::committer::OpenGate;
use super::dedupe::runs::{self, RunSet};
use super::definition::Definition;
use super::journal::frame::load_bounds;
use super::journal::{Journal, base, is_begun};
use super::{PipelineError, committer};

/// What a pipeline starts from.
pub struct Recovered<D: Definition> {
    /// The journal, open for appending.
    pub journal: Journal,
    /// Epoch, clock, bound and versions.
    pub restored: committer::Restored<D::Scope>,
    /// Packed identities of the frames after the base, with their shard.
    pub identities: Vec<(u8, Bytes)>,
    /// The older ones.
    pub runs: RunSet,
    /// Owners of events.
    pub claims: HashMap<Id, Id>,
    /// Epoch and size of the base.
    pub base: Option<(u64, u64)>,
    /// About how many bytes the frames after it have.
    pub frame_bytes: u64,
}

/// Loads the journal in `dir`; where there is none, begins one after epoch `genesis`.
pub fn recover<D: Definition>(
    definition: &D,
    dir: &Path,
    log: &dyn Log,
    sync: SyncMode,
    genesis: u64,
) -> Result<Recovered<D>, PipelineError> {
    let name = definition.name();
    let broken = |what: String| PipelineError::Journal { pipeline: name, what };
    let newest = base::newest(dir)?;
    if newest.is_some() && !is_begun(dir)? {
        return Err(broken("it has a base and no frames".into()));
    }
    let (mut blocks, mut identities) = (Vec::new(), Vec::new());
    let mut claims = HashMap::new();
    let mut versions: BTreeMap<Bytes, (u64, u64)> = BTreeMap::new();
    let journal = Journal::open(dir, name, genesis + 1, sync)?;
    let (mut epoch, mut now_ms, mut trusted_ms, mut bound) =
        (journal.first_epoch().saturating_sub(1), 0, 0, Vec::new());
    let mut genesis = epoch;
    let (mut base, mut runs) = (None, RunSet::none(epoch));
    if let Some(at) = newest {
        let (header, bytes, items) = base::read(dir, name, at)?;
        (epoch, now_ms, trusted_ms, bound) = (header.epoch, header.now_ms, header.trusted_ms, header.bound);
        (base, genesis) = (Some((epoch, bytes)), header.genesis);
        runs = RunSet::open(dir, epoch, &header.runs)?;
        claims.extend(header.claims);
        versions.extend(header.versions.into_iter().map(|(s, v, d)| (s, (v, d))));
        for item in items {
            match item? {
                base::Item::Rows(block) => blocks.push(block),
                base::Item::End(_) => {}
            }
        }
    }
    // Only now: had this base been unreadable, an older one might have helped.
    base::clean(dir, newest)?;
    runs::clean(dir, &runs.names())?;
    let mut frame_bytes = 0;
    let mut gates: BTreeMap<u128, OpenGate> = BTreeMap::new();
    for frame in journal.reader().after(epoch) {
        let frame = frame?;
        frame_bytes += frame.size();
        if frame.genesis != genesis {
            return Err(broken(format!("the base is missing: the first frame is that of epoch {}", frame.epoch)));
        }
        for group in frame.gates.opened {
            gates.entry(group).or_insert(OpenGate { since: frame.epoch, blocks: Vec::new() });
        }
        for (group, _) in frame.gates.released {
            gates.remove(&group);
        }
        for gate in gates.values_mut() {
            gate.blocks.extend(frame.blocks.iter().cloned());
        }
        (epoch, now_ms, trusted_ms, bound) = (frame.epoch, frame.now_ms, frame.trusted_ms, frame.bound);
        blocks.extend(frame.blocks);
        identities.extend(frame.identities);
        claims.extend(frame.claims);
        versions.extend(frame.versions.into_iter().map(|(s, v, d)| (s, (v, d))));
    }
    if journal.next_epoch() != epoch + 1 {
        let next = journal.next_epoch();
        return Err(broken(format!("its frames end before epoch {next}, base and frames reach epoch {epoch}")));
    }
    let known =
        load_bounds(&bound).ok_or_else(|| broken("it is bound to a topic that this build does not know".into()))?;
    let versions = versions
        .into_iter()
        .map(|(s, v)| Ok((postcard::from_bytes(&s).map_err(|e| broken(format!("a scope cannot be decoded: {e}")))?, v)))
        .collect::<Result<_, PipelineError>>()?;
    let bound = read_from(definition, log, &known)?;
    let restored = committer::Restored { epoch, now_ms, trusted_ms, genesis, bound, versions, blocks, gates };
    Ok(Recovered { journal, restored, identities, runs, claims, base, frame_bytes })
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
