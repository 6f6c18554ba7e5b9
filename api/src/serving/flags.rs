//! What is flagged for a person: alerts of labs, and sources that are alike. In memory, as the last epochs said.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::body::SimilarityChanged;
use gravity_events::publish::{
    LabAlert, LabAlertKey, LabKey, LabPhase, LabSeen, LabsEpoch, LabsSink, SimilarityEpoch, SimilaritySink,
};
use parking_lot::RwLock;

use crate::metrics;

/// Event, problem and two teams.
type Between = (Id, Id, Id, Id);

/// Everything that is flagged.
#[derive(Debug, Default)]
pub struct Flags {
    labs: RwLock<Labs>,
    /// With whose event it is.
    pairs: RwLock<BTreeMap<Between, (Id, SimilarityChanged)>>,
}

#[derive(Debug, Default)]
struct Labs {
    seen: BTreeMap<LabKey, LabSeen>,
    /// One per lab.
    alerts: BTreeMap<LabKey, (LabAlertKey, LabAlert)>,
    /// How many are in each phase.
    phases: BTreeMap<LabPhase, i64>,
}

impl Labs {
    fn put(&mut self, lab: &LabKey, seen: Option<&LabSeen>) {
        let before = match seen {
            Some(seen) => self.seen.insert(lab.clone(), seen.clone()),
            None => self.seen.remove(lab),
        };
        if let Some(before) = before {
            *self.phases.entry(before.phase).or_default() -= 1;
        }
        if let Some(seen) = seen {
            *self.phases.entry(seen.phase).or_default() += 1;
        }
    }

    fn measure(&self) {
        for phase in LabPhase::ALL {
            metrics::LABS.with_label_values(&[phase.name()]).set(self.phases.get(&phase).copied().unwrap_or(0));
        }
        metrics::LAB_ALERTS.set(i64::try_from(self.alerts.len()).unwrap_or(i64::MAX));
    }
}

/// A lab as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabShown {
    /// Which.
    pub lab: LabKey,
    /// What is known of its telemetry.
    pub seen: LabSeen,
    /// Its alert, where it has one.
    pub alert: Option<(LabAlertKey, LabAlert)>,
}

impl Flags {
    /// Labs in the order of tenant and id, those after `after`, at most `limit`: all, or only those with an alert.
    pub fn labs(&self, tenant: Option<&Id>, alerts_only: bool, after: Option<&LabKey>, limit: usize) -> Vec<LabShown> {
        let labs = self.labs.read();
        let from = match (after, tenant) {
            (Some(after), _) => Bound::Excluded(after.clone()),
            (None, Some(tenant)) => Bound::Included(LabKey { tenant: tenant.clone(), lab: Id::default() }),
            (None, None) => Bound::Unbounded,
        };
        let shown = labs.seen.range((from, Bound::Unbounded)).map(|(lab, seen)| LabShown {
            lab: lab.clone(),
            seen: seen.clone(),
            alert: labs.alerts.get(lab).cloned(),
        });
        shown
            .take_while(|lab| tenant.is_none_or(|tenant| lab.lab.tenant == *tenant))
            .filter(|lab| !alerts_only || lab.alert.is_some())
            .take(limit)
            .collect()
    }

    /// Pairs of an event whose sources are alike, the most alike first, then by problem and teams.
    pub fn pairs(&self, event: &Id, problem: Option<&Id>) -> Vec<SimilarityChanged> {
        let pairs = self.pairs.read();
        let from = (event.clone(), problem.cloned().unwrap_or_default(), Id::default(), Id::default());
        let of_event = pairs.range(from..).take_while(|(key, _)| key.0 == *event);
        let mut found: Vec<_> = of_event
            .filter(|(key, _)| problem.is_none_or(|p| key.1 == *p))
            .map(|(_, (_, pair))| pair.clone())
            .collect();
        found.sort_by_key(|pair| std::cmp::Reverse((pair.share_bp, pair.shared)));
        found
    }

    /// All pairs of all events, or of those of a tenant, with tenant and event: by event, problem and teams.
    pub fn pairs_everywhere(&self, tenant: Option<&Id>) -> Vec<(Id, Id, SimilarityChanged)> {
        let pairs = self.pairs.read();
        let seen = pairs.iter().filter(|(_, (of, _))| tenant.is_none_or(|tenant| of == tenant));
        seen.map(|((event, ..), (of, pair))| (of.clone(), event.clone(), pair.clone())).collect()
    }
}

impl LabsSink for Flags {
    fn publish_labs(&self, epoch: Arc<LabsEpoch>) {
        let mut labs = self.labs.write();
        if epoch.snapshot {
            *labs = Labs::default();
        }
        for (lab, seen) in &epoch.labs {
            labs.put(lab, seen.as_ref());
        }
        // One alert may follow another within an epoch: what went goes first.
        for (key, _) in epoch.alerts.iter().filter(|(_, alert)| alert.is_none()) {
            if labs.alerts.get(&key.lab).is_some_and(|(shown, _)| shown == key) {
                labs.alerts.remove(&key.lab);
            }
        }
        for (key, alert) in &epoch.alerts {
            if let Some(alert) = alert {
                if !epoch.snapshot && labs.alerts.get(&key.lab).is_none_or(|(shown, _)| shown != key) {
                    let (lab_id, tenant, metric) = (key.lab.lab.as_str(), key.lab.tenant.as_str(), key.metric.as_str());
                    tracing::info!(lab_id, tenant, metric, "a lab measures what is unusual");
                }
                labs.alerts.insert(key.lab.clone(), (key.clone(), alert.clone()));
            }
        }
        labs.measure();
    }
}

impl SimilaritySink for Flags {
    fn publish_similarity(&self, epoch: Arc<SimilarityEpoch>) {
        let mut pairs = self.pairs.write();
        if epoch.snapshot {
            pairs.clear();
        }
        for (tenant, event, pair) in &epoch.pairs {
            let key = (event.clone(), pair.problem.clone(), pair.left.team.clone(), pair.right.team.clone());
            if pair.share_bp == 0 {
                pairs.remove(&key);
            } else {
                pairs.insert(key, (tenant.clone(), pair.clone()));
            }
        }
    }
}
