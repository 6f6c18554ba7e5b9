//! All series of one lab.

use std::collections::BTreeMap;

use gravity_events::Id;
use gravity_events::publish::{LabAlert, LabPhase, LabSeen};
use serde::{Deserialize, Serialize};

use super::Point;
use super::alert::{Levels, Raised, Watch};

/// Metrics of a lab that are watched: the first ones that came.
pub const METRICS: usize = 16;
const MINUTE_MS: i64 = 60_000;

/// What is told to a lab's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// A measurement.
    Point {
        /// Of what.
        metric: Id,
        /// When; a point without a time is not judged.
        at_ms: Option<i64>,
        /// The value.
        value: f64,
    },
    /// Where it is in its life now.
    Phase(LabPhase),
    /// Nothing of it is left.
    Released,
}

/// The state of a lab: at most [`METRICS`] times 6 KB; of a released one a few bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lab {
    metrics: BTreeMap<Id, Watch>,
    late: u64,
    unwatched: u64,
    phase: LabPhase,
    /// Nothing of it is left.
    released: bool,
}

impl Lab {
    /// Takes what the log says next.
    pub fn take(&mut self, told: Told, levels: &Levels) {
        match told {
            Told::Released => *self = Lab { released: true, ..Lab::default() },
            Told::Phase(phase @ LabPhase::Failed) => *self = Lab { phase, ..Lab::default() },
            Told::Phase(phase) => (self.phase, self.released) = (phase, false),
            // What was measured before the end may arrive after it.
            Told::Point { .. } if self.released || self.phase == LabPhase::Failed => {}
            Told::Point { at_ms: None, .. } => self.late = self.late.saturating_add(1),
            Told::Point { metric, at_ms: Some(at_ms), value } => {
                if self.metrics.len() >= METRICS && !self.metrics.contains_key(&metric) {
                    self.unwatched = self.unwatched.saturating_add(1);
                    return;
                }
                self.metrics.entry(metric).or_default().take(Point { at_ms, value }, levels);
            }
        }
    }

    /// What is known of it; None of a released one, or one that never said anything.
    pub fn seen(&self) -> Option<LabSeen> {
        let last_at_ms = self.metrics.values().filter_map(Watch::last_at_ms).max();
        if last_at_ms.is_none() && self.phase == LabPhase::Unknown {
            return None;
        }
        Some(LabSeen {
            phase: self.phase,
            seen_at_ms: last_at_ms.map(|at_ms| at_ms.div_euclid(MINUTE_MS) * MINUTE_MS),
            late: self.metrics.values().fold(self.late, |sum, watch| sum.saturating_add(watch.late())),
            unwatched: self.unwatched,
        })
    }

    /// Its alert: since when, which metric, and what is told of it. One at a time: an incident that shows in several metrics
    /// is one.
    pub fn alert(&self) -> Option<(i64, Id, LabAlert)> {
        let raised =
            |(metric, watch): (&Id, &Watch)| watch.raised().map(|raised| (raised.since_ms, metric.clone(), raised));
        let mut all: Vec<(i64, Id, Raised)> = self.metrics.iter().filter_map(raised).collect();
        all.sort_unstable();
        let evidence_nats = all.iter().map(|(.., raised)| raised.peak_millinats / 1_000).max()?;
        let mut all = all.into_iter();
        let (since_ms, metric, _) = all.next()?;
        Some((since_ms, metric, LabAlert { evidence_nats, others: all.map(|(_, metric, _)| metric).collect() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;

    fn point(metric: &str, minute: i64, value: f64) -> Told {
        Told::Point { metric: metric.into(), at_ms: Some(minute * MINUTE_MS), value }
    }

    #[test]
    fn an_incident_that_shows_in_several_metrics_is_one_alert() {
        let (mut lab, mut dice, mut seen) = (Lab::default(), Dice::new(3), Vec::new());
        for minute in 0..900 {
            let noise = dice.below(100) as f64 / 50.0;
            let cpu = if (800..805).contains(&minute) { 99.0 } else { 30.0 + noise };
            let disk = if (802..806).contains(&minute) { 900.0 } else { 100.0 + noise };
            lab.take(point("cpu", minute, cpu), &Levels::default());
            lab.take(point("disk", minute, disk), &Levels::default());
            if let Some((since_ms, metric, alert)) = lab.alert() {
                seen.push((since_ms / MINUTE_MS, metric, alert.others));
            }
        }
        seen.dedup();
        assert_eq!(seen[0], (800, "cpu".into(), vec![]));
        assert_eq!(seen[1], (800, "cpu".into(), vec!["disk".into()]));
        // The other one is left when the first is quiet again.
        assert!(seen[2..].iter().all(|(since, metric, _)| (*since, metric.as_str()) == (802, "disk")), "{seen:?}");
        assert_eq!(lab.alert(), None);
    }

    #[test]
    fn a_lab_is_bounded_and_forgotten_when_it_is_released() {
        let mut lab = Lab::default();
        for n in 0..1_000 {
            lab.take(point(&format!("metric-{n}"), n, 1.0), &Levels::default());
        }
        assert_eq!((lab.metrics.len(), lab.seen().unwrap().unwatched), (METRICS, 984));
        lab.take(Told::Released, &Levels::default());
        lab.take(point("metric-1", 2_000, 1.0), &Levels::default());
        assert_eq!(lab.seen(), None);
        lab.take(Told::Phase(LabPhase::Ready), &Levels::default());
        lab.take(point("metric-1", 2_001, 1.0), &Levels::default());
        assert_eq!(lab.seen().unwrap().seen_at_ms, Some(2_001 * MINUTE_MS));
    }

    #[test]
    fn a_lab_is_where_it_was_last_said_to_be() {
        let mut lab = Lab::default();
        for phase in [LabPhase::Requested, LabPhase::Provisioning, LabPhase::Ready] {
            lab.take(Told::Phase(phase), &Levels::default());
            assert_eq!(lab.seen(), Some(LabSeen { phase, ..LabSeen::default() }));
        }
        lab.take(point("cpu", 1, 1.0), &Levels::default());
        lab.take(Told::Phase(LabPhase::Failed), &Levels::default());
        lab.take(point("cpu", 2, 1.0), &Levels::default());
        assert_eq!(lab.seen(), Some(LabSeen { phase: LabPhase::Failed, ..LabSeen::default() }), "it measures no more");
        lab.take(Told::Released, &Levels::default());
        assert_eq!(lab.seen(), None);
    }
}
