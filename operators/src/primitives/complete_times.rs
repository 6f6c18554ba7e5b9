//! The frame of every operator here: collect updates until their time is complete, then take each time once, in order.

use std::collections::BTreeMap;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// One update of a collection: what, when, by how much.
pub type Update<D> = (D, u64, i64);

/// Where a step pushes the updates that it answers with.
pub struct Out<'a, A, B> {
    /// The operator's main collection.
    pub main: &'a mut dyn FnMut(A, i64),
    /// Its other collection. Two, so that large rows go to where they belong without passing a sorting office.
    pub side: &'a mut dyn FnMut(B, i64),
}

/// Calls `step` once for every time that has updates, after it is complete and in the order of times (and maybe for
/// some that have none). `step` takes all of the time's updates, in no certain order; what it pushes is of that time.
pub fn complete_times<'s, D, A, B, P, L>(
    input: StreamVec<'s, u64, Update<D>>,
    pact: P,
    name: &str,
    mut step: L,
) -> (StreamVec<'s, u64, Update<A>>, StreamVec<'s, u64, Update<B>>)
where
    D: Clone + 'static,
    A: Clone + 'static,
    B: Clone + 'static,
    P: ParallelizationContract<u64, Vec<Update<D>>>,
    L: FnMut(u64, &mut dyn Iterator<Item = (D, i64)>, Out<'_, A, B>) + 'static,
{
    let mut builder = OperatorBuilder::new(name.to_owned(), input.scope());
    let mut input = builder.new_input(input, pact);
    let (main, main_stream) = builder.new_output();
    let (side, side_stream) = builder.new_output();
    let mut main = OutputBuilder::<_, CapacityContainerBuilder<Vec<Update<A>>>>::from(main);
    let mut side = OutputBuilder::<_, CapacityContainerBuilder<Vec<Update<B>>>>::from(side);
    builder.build(move |_capabilities| {
        // By a lower bound of the times in a container. Looking at them only once they are due spares a pass.
        let mut waiting: BTreeMap<u64, Vec<Vec<Update<D>>>> = BTreeMap::new();
        // For the least time in `waiting`, one for each output; none while that is empty.
        let mut held: Option<[Capability<u64>; 2]> = None;
        let mut later = Vec::new();
        move |frontiers| {
            let (mut main, mut side) = (main.activate(), side.activate());
            input.for_each_stamp(|capability, mut containers| {
                let Some(time) = capability.least().copied() else {
                    debug_assert!(containers.all(|c| c.is_empty()), "updates came without a time to answer at");
                    return;
                };
                waiting.entry(time).or_default().extend(containers.map(std::mem::take));
                if held.as_ref().is_none_or(|h| time < *h[0].time()) {
                    held = Some([0, 1].map(|output| capability.delayed(&time, output)));
                }
            });
            while let Some(first) = waiting.first_entry() {
                let time = *first.key();
                let Some(held) = held.as_mut() else { break };
                held.iter_mut().for_each(|capability| capability.downgrade(&time));
                if frontiers[0].less_equal(&time) {
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
                let (mut to_main, mut to_side) = (main.session(&held[0]), side.session(&held[1]));
                let out = Out {
                    main: &mut |row, diff| to_main.give((row, time, diff)),
                    side: &mut |row, diff| to_side.give((row, time, diff)),
                };
                step(time, &mut due, out);
                due.for_each(drop);
                for update in later.drain(..) {
                    waiting.entry(update.1).or_default().push(vec![update]);
                }
            }
            if waiting.is_empty() {
                held = None;
            }
        }
    });
    (main_stream, side_stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::run::Run;
    use differential_dataflow::{AsCollection, VecCollection};
    use timely::dataflow::channels::pact::Pipeline;
    use timely::dataflow::operators::Operator;

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
        let (sums, counts) = complete_times(late, Pipeline, "Sums", |time, updates, out: Out<'_, _, ()>| {
            let counts: Vec<i64> = updates.map(|(_, diff)| diff).collect();
            if !counts.is_empty() {
                (out.main)((time, counts.iter().sum()), 1);
                (out.side)((), counts.len() as i64);
            }
        });
        counts.as_collection().map(|()| (u64::MAX, 0)).concat(sums.as_collection())
    }

    #[test]
    fn every_time_comes_once_complete_and_in_order() {
        let script = vec![vec![(0, 1), (2, 1), (3, 5)], vec![(1, 7)], vec![(0, 2)], vec![], vec![], vec![(0, 3)]];
        for run in [Run::workers(1), Run { workers: 1, in_flight: 4 }] {
            let mut said = run.drive(&script, sums);
            let counts: Vec<i64> =
                said.iter_mut().map(|e| e.extract_if(.., |(row, _)| row.0 == u64::MAX).map(|u| u.1).sum()).collect();
            assert_eq!(counts, [1, 0, 3, 1, 0, 1]);
            let expected =
                [vec![((0, 1), 1)], vec![], vec![((2, 10), 1)], vec![((3, 5), 1)], vec![], vec![((5, 3), 1)]];
            assert_eq!(said, expected, "{run:?}");
        }
    }
}
