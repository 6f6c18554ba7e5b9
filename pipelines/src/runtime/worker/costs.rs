//! What each operator of a dataflow costs, from timely's own log, for the metric `gravity_operator_busy_seconds_total`.

use std::collections::HashMap;
use std::time::Duration;

use prometheus::Counter;
use timely::logging::{StartStop, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

use super::super::metrics::OPERATOR_BUSY;

/// Counts, from now on, how long each operator of this worker runs. To be called before its dataflow is made.
pub fn follow(worker: &Worker, pipeline: &'static str) {
    let mut costs = Costs { pipeline, operators: HashMap::new(), running: Vec::new() };
    // Absent only in a worker that logs nothing at all.
    if let Some(mut log) = worker.log_register() {
        log.insert::<TimelyEventBuilder, _>("timely", move |_, events: &mut Option<Vec<_>>| {
            for (at, event) in events.iter_mut().flat_map(|events| events.drain(..)) {
                costs.take(at, event);
            }
        });
    }
}

struct Costs {
    pipeline: &'static str,
    operators: HashMap<usize, Counter>,
    /// What runs, the innermost last: operator, since when, and how long others ran inside of it.
    running: Vec<(usize, Duration, Duration)>,
}

impl Costs {
    fn take(&mut self, at: Duration, event: TimelyEvent) {
        match event {
            TimelyEvent::Operates(operator) => {
                let counter = OPERATOR_BUSY.with_label_values(&[self.pipeline, &operator.name]);
                self.operators.insert(operator.id, counter);
            }
            TimelyEvent::Schedule(event) if event.start_stop == StartStop::Start => {
                self.running.push((event.id, at, Duration::ZERO));
            }
            TimelyEvent::Schedule(event) => {
                let Some((id, since, inside)) = self.running.pop() else { return };
                debug_assert_eq!(id, event.id, "operators end in the order in which they began");
                let whole = at.saturating_sub(since);
                if let Some((_, _, inside)) = self.running.last_mut() {
                    *inside += whole;
                }
                if let Some(counter) = self.operators.get(&id) {
                    counter.inc_by(whole.saturating_sub(inside).as_secs_f64());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use timely::logging::{OperatesEvent, ScheduleEvent};

    use super::*;

    #[test]
    fn what_runs_inside_is_not_counted_twice() {
        let mut costs = Costs { pipeline: "costs-test", operators: HashMap::new(), running: Vec::new() };
        for (id, name) in [(1, "outer"), (2, "inner"), (3, "inner")] {
            costs.take(Duration::ZERO, OperatesEvent { id, addr: vec![0, id], name: name.to_owned() }.into());
        }
        let schedule = [
            (10, ScheduleEvent::start(1)),
            (12, ScheduleEvent::start(2)),
            (15, ScheduleEvent::stop(2)),
            (15, ScheduleEvent::start(3)),
            (19, ScheduleEvent::stop(3)),
            (20, ScheduleEvent::stop(1)),
        ];
        for (s, event) in schedule {
            costs.take(Duration::from_secs(s), event.into());
        }
        let busy_s = |name: &str| OPERATOR_BUSY.with_label_values(&["costs-test", name]).get();
        assert_eq!((busy_s("outer"), busy_s("inner")), (3.0, 7.0));
    }
}
