//! The frame of every operator here: collect updates until their time is complete, then take each time once, in order.

use std::collections::BTreeMap;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::{Capability, Operator};

/// One update of a collection: what, when, by how much.
pub type Update<D> = (D, u64, i64);

/// The updates of one complete time, in the containers that they came in.
pub type Updates<D> = Vec<Vec<Update<D>>>;

/// Calls `step` once for every time that had updates, after it is complete and in the order of times. `step` pushes
/// its own updates, all of that same time, into its last argument. Updates of one time come in no certain order.
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
    L: FnMut(u64, Updates<D>, &mut Vec<Update<O>>) + 'static,
{
    input.unary_frontier(pact, name, |_capability, _info| {
        let mut waiting: BTreeMap<u64, Updates<D>> = BTreeMap::new();
        // For the least time in `waiting`; none while that is empty.
        let mut held: Option<Capability<u64>> = None;
        let mut out = Vec::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|capability, mut containers| {
                let Some(capability) = capability.retain_least(output.output_index()) else {
                    debug_assert!(containers.all(|c| c.is_empty()), "updates came without a time to answer at");
                    return;
                };
                for container in containers {
                    stash(&mut waiting, std::mem::take(container));
                }
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
                step(time, first.remove(), &mut out);
                output.session(capability).give_iterator(out.drain(..));
            }
            if waiting.is_empty() {
                held = None;
            }
        }
    })
}

fn stash<D>(waiting: &mut BTreeMap<u64, Updates<D>>, mut container: Vec<Update<D>>) {
    let Some(time) = container.first().map(|u| u.1) else {
        return;
    };
    if container.iter().all(|u| u.1 == time) {
        waiting.entry(time).or_default().push(container);
        return;
    }
    for update in container.drain(..) {
        let chunks = waiting.entry(update.1).or_default();
        if chunks.is_empty() {
            chunks.push(Vec::new());
        }
        chunks.last_mut().expect("one was pushed when there was none").push(update);
    }
}
