//! How a pipeline begins: its journal and the out topics are brought to the same epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_ingest::log::{Bound, Log, LogError, Outputs};

use super::super::definition::Definition;
use super::super::journal::frame::load_bounds;
use super::super::journal::{base, cut, is_begun};
use super::super::recovery::Recovered;
use super::super::{PipelineError, outputs, recovery};
use super::Options;

/// More epochs than may be in the journal and not in the out topics.
const UNPUBLISHED: u64 = 256;

/// What a fresh start of a pipeline goes on from.
pub(super) struct Begun<D: Definition> {
    pub(super) recovered: Recovered<D>,
    pub(super) outputs: Box<dyn Outputs>,
    /// Epochs that the out topics hold and the journal lacks, to be run again exactly.
    pub(super) redo: Vec<(u64, i64, Vec<Bound>)>,
}

/// Reads the journal and brings it and the out topics to the same epoch.
pub(super) fn begin<D: Definition>(
    definition: &Arc<D>,
    log: &dyn Log,
    options: &Options,
) -> Result<Begun<D>, PipelineError> {
    let (name, dir) = (definition.name(), &options.dir);
    cut::finish(dir, options.sync)?;
    let mut outputs = log.outputs(name)?;
    let published = outputs.last_epoch()?.unwrap_or(0);
    let bindings = |outputs: &mut dyn Outputs, after: u64| -> Result<Option<Vec<_>>, PipelineError> {
        let bindings = outputs.bindings_after(after)?;
        let dense = bindings.iter().map(|b| b.0).eq(after + 1..=published);
        Ok(dense.then_some(bindings))
    };
    // A new journal beside old out topics (it was moved away, or lost) runs their epochs again, where they can be asked
    // for their bindings. Else it goes on after them: an epoch or version that was shown is never shown as another one.
    let new = base::newest(dir)?.is_none() && !is_begun(dir)?;
    let genesis = if new && bindings(&mut *outputs, 0)?.is_none() { published } else { 0 };
    let mut recovered = recovery::recover(&**definition, dir, log, options.sync, genesis)?;
    if let Some(agreed) = forked_after(&recovered, &mut *outputs, published)? {
        let epoch = recovered.restored.epoch;
        tracing::warn!(
            pipeline = name,
            agreed,
            epoch,
            "another process has published the epochs that end the journal; they were never shown here and are run again"
        );
        cut::cut_after(recovered.journal, dir, agreed, options.sync)?;
        recovered = recovery::recover(&**definition, dir, log, options.sync, genesis)?;
    }
    if published > recovered.restored.epoch
        && let Some(since) = recovered.restored.gates.values().map(|gate| gate.since).min()
        && recovered.base.is_none_or(|(base, _)| base < since)
    {
        // Run again are whole changes: what was done of one behind its gate is in no base and no fold.
        cut::cut_after(recovered.journal, dir, since - 1, options.sync)?;
        recovered = recovery::recover(&**definition, dir, log, options.sync, genesis)?;
    }
    let epoch = recovered.restored.epoch;
    if genesis > 0 {
        tracing::warn!(
            pipeline = name,
            epoch,
            "a new journal: epochs and versions go on after those of the out topics"
        );
    }
    // What was shown is computed anew from the first record on, or not at all: without some records it would be another.
    if published > 0
        && recovered.restored.epoch == recovered.restored.genesis
        && let Some(b) = recovered.restored.bound.iter().find(|b| b.offset > 0)
    {
        let (topic, partition, first) = (b.topic, b.partition, b.offset);
        return Err(LogError::Gone { topic, partition, wanted: 0, first }.into());
    }
    outputs::catch_up(&**definition, &mut *outputs, published, &recovered.journal.reader())?;
    let redo = if published > epoch {
        bindings(&mut *outputs, epoch)?.ok_or(PipelineError::Behind { pipeline: name, published, epoch })?
    } else {
        Vec::new()
    };
    Ok(Begun { recovered, outputs, redo })
}

/// The last epoch that journal and out topics have in common, where another process took over and bound the next one
/// otherwise. The frames after it are of epochs that this process could not publish, so that nobody has seen them.
fn forked_after<D: Definition>(
    recovered: &Recovered<D>,
    outputs: &mut dyn Outputs,
    published: u64,
) -> Result<Option<u64>, PipelineError> {
    let restored = &recovered.restored;
    // A base is of a published epoch.
    let base = recovered.base.map_or(restored.genesis, |b| b.0);
    let both = published.min(restored.epoch);
    let from = base.max(both.saturating_sub(UNPUBLISHED));
    if both <= from {
        return Ok(None);
    }
    let bindings: BTreeMap<u64, (i64, Vec<Bound>)> =
        outputs.bindings_after(from)?.into_iter().map(|(epoch, now_ms, bound)| (epoch, (now_ms, bound))).collect();
    for frame in recovered.journal.reader().after(from).take((both - from) as usize) {
        let frame = frame?;
        if let Some((now_ms, bound)) = bindings.get(&frame.epoch)
            && (frame.now_ms != *now_ms || load_bounds(&frame.bound).as_ref() != Some(bound))
        {
            return Ok(Some(frame.epoch - 1));
        }
    }
    Ok(None)
}
