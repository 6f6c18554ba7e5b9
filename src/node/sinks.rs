//! To whom the pipelines' results go in a process, and in which order.

use std::sync::Arc;

use gravity_api::services::billing::ledger::Applier;
use gravity_api::serving::Boards;
use gravity_api::serving::analytics::Analytics;
use gravity_api::serving::burn::Burn;
use gravity_api::serving::flags::Flags;
use gravity_api::traces;
use gravity_api::visibility::Visibility;
use gravity_events::Topic;
use gravity_events::publish::{
    AnalyticsEpoch, AnalyticsSink, BoardsEpoch, BoardsSink, BurnEpoch, BurnSink, LabsEpoch, LabsSink, SimilarityEpoch,
    SimilaritySink,
};

/// Serving first, then those who wait for visibility: whoever hears that a record is visible finds it so.
pub(super) struct Sinks {
    pub(super) boards: Arc<Boards>,
    pub(super) flags: Arc<Flags>,
    pub(super) burn: Arc<Burn>,
    pub(super) analytics: Arc<Analytics>,
    /// Books what is spent; None: this process has no burn pipeline.
    pub(super) applier: Option<Arc<Applier>>,
    pub(super) visibility: Arc<Visibility>,
    /// How far the burn pipeline is with reference data.
    pub(super) prices_visibility: Arc<Visibility>,
}

impl BoardsSink for Sinks {
    fn publish(&self, epoch: Arc<BoardsEpoch>) {
        // First: a stream may tell of it at once.
        traces::committed(traces::BOARDS, epoch.epoch, &epoch.bound);
        self.boards.publish(epoch.clone());
        self.visibility.publish(epoch);
    }
}

impl BurnSink for Sinks {
    fn publish_burn(&self, epoch: Arc<BurnEpoch>) {
        let usage: Vec<_> = epoch.bound.iter().filter(|b| b.0 == Topic::Usage).copied().collect();
        traces::committed("burn", epoch.epoch, &usage);
        self.burn.publish_burn(epoch.clone());
        if let Some(applier) = &self.applier {
            applier.publish_burn(epoch.clone());
        }
        self.visibility.advance(&usage, &epoch.refused, epoch.snapshot);
        self.prices_visibility.advance(&epoch.bound, &[], epoch.snapshot);
    }
}

impl AnalyticsSink for Sinks {
    fn publish_analytics(&self, epoch: Arc<AnalyticsEpoch>) {
        self.analytics.publish_analytics(epoch);
    }
}

impl LabsSink for Sinks {
    fn publish_labs(&self, epoch: Arc<LabsEpoch>) {
        traces::committed("labs", epoch.epoch, &epoch.bound);
        self.flags.publish_labs(epoch.clone());
        self.visibility.advance(&epoch.bound, &epoch.refused, epoch.snapshot);
    }
}

impl SimilaritySink for Sinks {
    fn publish_similarity(&self, epoch: Arc<SimilarityEpoch>) {
        traces::committed("similarity", epoch.epoch, &epoch.bound);
        self.flags.publish_similarity(epoch.clone());
        self.visibility.advance(&epoch.bound, &epoch.refused, epoch.snapshot);
    }
}
