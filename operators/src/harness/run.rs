//! Drives a view with a script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use differential_dataflow::input::InputSession;
use differential_dataflow::{ExchangeData, VecCollection};
use timely::dataflow::ProbeHandle;
use timely::{CommunicationConfig, WorkerConfig};

/// Longest sleep of a worker that waits for others; they wake it. (`step_while` would spin instead.)
const PARK: Option<Duration> = Some(Duration::from_millis(100));

/// The updates of one epoch.
pub type Epoch<D> = Vec<(D, i64)>;

/// How to drive a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Epochs that may be under way at the same time, at least 1.
    pub in_flight: usize,
}

impl Run {
    /// `workers` threads, an epoch at a time.
    pub fn workers(workers: usize) -> Self {
        Run { workers, in_flight: 1 }
    }

    /// The configuration of the dataflow: no spinning, no merging when idle.
    pub fn config(&self) -> timely::Config {
        let mut worker = WorkerConfig::default().idle_spin(Duration::ZERO);
        let merging = differential_dataflow::Config::default().idle_merge_effort(None);
        differential_dataflow::configure(&mut worker, &merging);
        timely::Config { communication: CommunicationConfig::Process(self.workers.max(1)), worker }
    }

    /// What leaves `view` in each epoch of `script`, sorted, not consolidated. The rows of an epoch are dealt out to
    /// the workers in turn. Panics if a worker does.
    pub fn drive<I, O, F>(&self, script: &[Epoch<I>], view: F) -> Vec<Epoch<O>>
    where
        I: ExchangeData + Sync,
        O: ExchangeData,
        F: for<'s> Fn(VecCollection<'s, u64, I, i64>) -> VecCollection<'s, u64, O, i64> + Send + Sync + 'static,
    {
        let seen: Arc<Mutex<BTreeMap<u64, Epoch<O>>>> = Arc::default();
        let (script_of_workers, seen_by_workers, in_flight) = (Arc::new(script.to_vec()), seen.clone(), self.in_flight);
        let workers = timely::execute(self.config(), move |worker| {
            let script = &script_of_workers;
            let seen = seen_by_workers.clone();
            let mut input = InputSession::new();
            let probe = ProbeHandle::new();
            worker.dataflow(|scope| {
                view(input.to_collection(scope))
                    .inspect(move |(row, time, diff)| {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.entry(*time).or_default().push((row.clone(), *diff));
                    })
                    .probe_with(&probe);
            });
            let mut under_way = VecDeque::new();
            for (epoch, updates) in script.iter().enumerate() {
                // A row's place depends on its epoch too, so that an object's updates come by different workers.
                for (n, (row, diff)) in updates.iter().enumerate() {
                    if (n + epoch) % worker.peers() == worker.index() {
                        input.update(row.clone(), *diff);
                    }
                }
                let next = epoch as u64 + 1;
                input.advance_to(next);
                input.flush();
                under_way.push_back(next);
                if under_way.len() >= in_flight.max(1) {
                    let oldest = under_way.pop_front().unwrap_or(next);
                    worker.step_or_park_while(PARK, || probe.less_than(&oldest));
                }
            }
            input.close();
            worker.step_or_park_while(PARK, || !probe.done());
        });
        for result in workers.expect("the worker threads start").join() {
            result.expect("no worker panics");
        }
        let mut seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        let mut epochs: Vec<Epoch<O>> = (0..script.len() as u64).map(|e| seen.remove(&e).unwrap_or_default()).collect();
        assert!(seen.is_empty(), "rows came at times that no epoch of the script has: {:?}", seen.keys());
        epochs.iter_mut().for_each(|epoch| epoch.sort());
        epochs
    }
}
