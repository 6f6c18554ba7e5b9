//! The frame of every operator here: collect updates until their time is complete, then take each time once, in order.

use std::collections::BTreeMap;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::{Capability, Operator};

/// One update of a collection: what, when, by how much.
pub type Update<D> = (D, u64, i64);

/// Calls `step` once for every time that has updates, after it is complete and in the order of times (and maybe for
/// some that have none). `step` takes all of the time's updates, in no certain order, and pushes its own ones, of that
/// same time, into its last argument.
pub fn complete_times<'s, D, O, P, L>(
    input: StreamVec<'s, u64, Update<D>>,
    pact: P,
    name: &str,
    mut step: L,
) -> StreamVec<'s, u64, Update<O>>
where
    D: Clone + 'static,
    O: Clone + 'static,
    P: ParallelizationContract<u64, Vec<Update<D>>>,
    L: FnMut(u64, &mut dyn Iterator<Item = (D, i64)>, &mut Vec<Update<O>>) + 'static,
{
    input.unary_frontier(pact, name, |_capability, _info| {
        // By a lower bound of the times in a container. Looking at them only once they are due spares a pass.
        let mut waiting: BTreeMap<u64, Vec<Vec<Update<D>>>> = BTreeMap::new();
        // For the least time in `waiting`; none while that is empty.
        let mut held: Option<Capability<u64>> = None;
        let mut later = Vec::new();
        let mut out = Vec::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|capability, mut containers| {
                let Some(capability) = capability.retain_least(output.output_index()) else {
                    debug_assert!(containers.all(|c| c.is_empty()), "updates came without a time to answer at");
                    return;
                };
                waiting.entry(*capability.time()).or_default().extend(containers.map(std::mem::take));
                if held.as_ref().is_none_or(|h| capability.time() < h.time()) {
                    held = Some(capability);
                }
            });
            while let Some(first) = waiting.first_entry() {
                let time = *first.key();
                let Some(capability) = held.as_mut() else { break };
                capability.downgrade(&time);
                if frontier.less_equal(&time) {
                    break;
                }
                let updates = first.remove().into_iter().flatten();
                let mut due = updates.filter_map(|update| {
                    if update.1 == time {
                        return Some((update.0, update.2));
                    }
                    later.push(update);
                    None
                });
                step(time, &mut due, &mut out);
                due.for_each(drop);
                for update in later.drain(..) {
                    waiting.entry(update.1).or_default().push(vec![update]);
                }
                output.session(capability).give_iterator(out.drain(..));
            }
            if waiting.is_empty() {
                held = None;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::run::Run;
    use differential_dataflow::{AsCollection, VecCollection};
    use timely::dataflow::channels::pact::Pipeline;

    /// Says of each time how much there was of it.
    fn sums<'s>(rows: VecCollection<'s, u64, u64, i64>) -> VecCollection<'s, u64, (u64, i64), i64> {
        // One message may hold several times, all later than its own.
        let late = rows.inner.clone().unary(Pipeline, "Late", |_capability, _info| {
            move |input, output| {
                input.for_each_stamp(|capability, containers| {
                    let Some(capability) = capability.retain_least(0) else {
                        return;
                    };
                    for (row, time, diff) in containers.flat_map(std::mem::take) {
                        output.session(&capability).give((row, time + row, diff));
                    }
                });
            }
        });
        complete_times(late, Pipeline, "Sums", |time, updates, out| {
            let counts: Vec<i64> = updates.map(|(_, diff)| diff).collect();
            if !counts.is_empty() {
                out.push(((time, counts.iter().sum()), time, 1));
            }
        })
        .as_collection()
    }

    #[test]
    fn every_time_comes_once_complete_and_in_order() {
        let script = vec![vec![(0, 1), (2, 1), (3, 5)], vec![(1, 7)], vec![(0, 2)], vec![], vec![], vec![(0, 3)]];
        for run in [Run::workers(1), Run { workers: 1, in_flight: 4 }] {
            let said = run.drive(&script, sums);
            let expected =
                [vec![((0, 1), 1)], vec![], vec![((2, 10), 1)], vec![((3, 5), 1)], vec![], vec![((5, 3), 1)]];
            assert_eq!(said, expected, "{run:?}");
        }
    }
}
