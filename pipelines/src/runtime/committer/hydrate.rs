//! The first thing that a committer does: the views as they are after a start, and whether they are what was shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_ingest::log::Bound;

use super::super::definition::{Change, Committed, Definition, Touch};
use super::super::folds::Block;
use super::super::journal::Frame;
use super::super::journal::frame::{GatesFrame, Reason, store_bounds};
use super::super::versions::Diff;
use super::super::{PipelineError, metrics};
use super::Committer;
use super::diffs::paired;

/// What the last run left, for the first epoch of this one.
pub struct Restored<S> {
    /// The last committed epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// What expiry goes by, see [`Frame`].
    pub trusted_ms: i64,
    /// See [`Frame`].
    pub genesis: u64,
    /// What it was bound to.
    pub bound: Vec<Bound>,
    /// Versions and digests of the parts.
    pub versions: BTreeMap<S, (u64, u64)>,
    /// All fold rows, later blocks overriding earlier ones.
    pub blocks: Vec<Block>,
    /// Gates that were open, by group.
    pub gates: BTreeMap<u128, OpenGate>,
}

/// A gate that was open when the last run ended.
pub struct OpenGate {
    /// The epoch in which it opened.
    pub since: u64,
    /// Fold rows since then that explain what is behind it.
    pub blocks: Vec<Block>,
}

/// The views as they are after a start.
pub struct Hydrated<D: Definition> {
    /// The last epoch: one more than restored when this build computes other views than the last one showed.
    pub last: u64,
    /// The frame of that epoch, durable: the difference to what was shown.
    pub changed: Option<Frame>,
    /// The whole output, for serving.
    pub snapshot: Arc<Committed<D>>,
}

impl<D: Definition> Committer<D> {
    /// Waits until the views have been computed from the restored folds. Nothing is shown yet. `exactly`: this build must
    /// compute what was shown, because epochs after these are to be run again.
    pub fn hydrate(&mut self, restored: Restored<D::Scope>, exactly: bool) -> Result<Hydrated<D>, PipelineError> {
        while self.done_before.iter().any(|e| *e <= restored.epoch) {
            let Ok(message) = self.from_all.recv() else { return Err(self.gone()) };
            self.take(message)?;
        }
        let Restored { mut epoch, now_ms, trusted_ms, bound, versions: known, blocks, gates, .. } = restored;
        let pending = self.pending.remove(&epoch).unwrap_or_default();
        let diffs = paired::<D>(self.definition.name(), pending.outputs)?;
        let changed = self.versions.restore(&*self.definition, &diffs, known);
        let mut written = None;
        if exactly && !changed.is_empty() {
            return Err(PipelineError::OtherBuild { pipeline: self.definition.name() });
        }
        if !changed.is_empty() || (!gates.is_empty() && !exactly) {
            epoch += 1;
            let (pipeline, parts) = (self.definition.name(), changed.len());
            if gates.is_empty() {
                tracing::warn!(
                    pipeline,
                    epoch,
                    parts,
                    "this build computes other views; publishing the difference as an epoch of its own"
                );
            } else {
                tracing::info!(
                    pipeline,
                    epoch,
                    parts,
                    "a change of rules was not finished; publishing the rest of it as an epoch of its own"
                );
            }
            let concerned = self.concerned(&diffs, &changed);
            let frame = Frame {
                epoch,
                now_ms,
                trusted_ms,
                genesis: self.genesis,
                reason: Reason::BuildChanged,
                bound: store_bounds(&bound),
                claims: Vec::new(),
                blocks: Vec::new(),
                identities: Vec::new(),
                refused: Vec::new(),
                outputs: concerned.map(|d| (d.key_bytes.clone(), d.new_bytes.clone())).collect(),
                versions: self.encode_versions(&changed)?,
                gates: GatesFrame {
                    released: gates.into_iter().map(|(group, gate)| (group, gate.blocks)).collect(),
                    ..GatesFrame::default()
                },
            };
            self.write(&frame, true)?;
            written = Some(frame);
        }
        self.committed = epoch;
        metrics::observe_operators();
        let changes = diffs.into_iter().map(|d| Change { key: d.key, value: d.new }).collect();
        let versions = self.versions.all();
        let snapshot = Arc::new(Committed {
            epoch,
            now_ms,
            bound,
            changes,
            staged: Vec::new(),
            released: Vec::new(),
            versions,
            refused: Vec::new(),
            blocks,
            snapshot: true,
        });
        Ok(Hydrated { last: epoch, changed: written, snapshot })
    }

    /// The rows of the parts that changed.
    fn concerned<'a>(
        &'a self,
        diffs: &'a [Diff<D>],
        changed: &'a [(D::Scope, u64, u64)],
    ) -> impl Iterator<Item = &'a Diff<D>> + 'a {
        let mut touches = Vec::new();
        diffs.iter().filter(move |d| {
            if let Some(new) = &d.new {
                self.definition.touches(&d.key, new, &mut touches);
            }
            touches.drain(..).any(|t| {
                let (Touch::One(scope) | Touch::Related(scope)) = t;
                changed.binary_search_by(|(s, ..)| s.cmp(&scope)).is_ok()
            })
        })
    }
}
