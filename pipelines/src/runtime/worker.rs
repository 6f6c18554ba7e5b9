//! The worker threads: source, dedupe, folds and views of one pipeline as one timely dataflow.

mod admit;
mod costs;

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use gravity_events::{Id, Identity, Position};
use gravity_ingest::log::Entry;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use timely::dataflow::channels::pact::Pipeline as Local;
use timely::dataflow::operators::generic::source;
use timely::dataflow::operators::{Operator, Probe};
use timely::dataflow::{ProbeHandle, Scope, StreamVec};
use timely::scheduling::SyncActivator;

use super::PipelineError;
use super::dedupe::claims::Candidates;
use super::dedupe::runs::Runs;
use super::definition::{Definition, Facts};
use super::error::panic_message;
use super::folds::{Block, Folds};
use super::row::FoldRow;
use super::watchdog::WatchedThread;
use admit::admit;

/// What the sequencer tells a worker.
pub enum Command {
    /// One epoch; every worker gets every epoch, with its share of the records.
    Epoch(EpochInput),
    /// No more epochs: finish those begun, then end.
    Close,
}

/// A worker's share of an epoch.
pub struct EpochInput {
    /// The epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// What expiry goes by.
    pub trusted_ms: i64,
    /// Records that may claim an event.
    pub candidates: Arc<Candidates>,
    /// Whether identities up to this epoch go into the next base.
    pub last_of_base: bool,
    /// Records, undecoded.
    pub entries: Vec<Entry>,
}

/// What workers tell the committer. A worker's messages about an epoch come before its frontier passes the epoch.
pub enum Message {
    /// Events that got their owner: (event, tenant).
    Claims(u64, Vec<(Id, Id)>),
    /// Changed fold rows.
    Rows(u64, Vec<Block>),
    /// New identities: epoch, shard, packed.
    Ids(u64, u8, Vec<u8>),
    /// Records that do not count.
    Refused(u64, Vec<RefusedRow>),
    /// Output diffs: a `Vec<((K, V), u64, i64)>` of the pipeline's types.
    Outputs(Box<dyn Any + Send>),
    /// Everything before this epoch is done on this worker (None: everything).
    Frontier(usize, Option<u64>),
    /// A worker ended with a panic.
    Failed(usize, String),
    /// The sequencer opened an epoch.
    Begin(super::committer::Begin),
    /// Another thread of the pipeline, or an operator, failed.
    Fatal(PipelineError),
    /// A new base holds everything up to this epoch; its size.
    Merged(u64, u64),
    /// The sequencer failed or ended.
    SequencerEnded(Result<(), PipelineError>),
}

/// A record that does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// Where it stands.
    pub position: Position,
    /// Why, for machines.
    pub code: Id,
    /// Why, for people.
    pub detail: String,
    /// Its bytes; None for duplicates, which the log holds in their first copy.
    pub raw: Option<Bytes>,
}

/// The way to the committer, shared by the operators of a worker.
#[derive(Clone)]
pub struct ToCommitter(pub Sender<Message>);

impl ToCommitter {
    /// Sends changed rows.
    pub fn rows(&self, epoch: u64, blocks: Vec<Block>) {
        if !blocks.is_empty() {
            self.send(Message::Rows(epoch, blocks));
        }
    }

    fn send(&self, message: Message) {
        // The committer is gone only when the pipeline is being torn down; nothing can be done with the message then.
        let _ = self.0.send(message);
    }
}

/// A decoded record on its way to its folds.
#[derive(Serialize, Deserialize, Clone)]
struct Decoded {
    identity: Identity,
    position: Position,
    tenant: Id,
    event: Option<Id>,
    time_ms: Option<i64>,
    backfill: bool,
    /// Whether it is an `event.configured`.
    configures: bool,
    raw: Bytes,
    rows: SmallVec<[(u8, FoldRow); 1]>,
}

/// What a worker needs to start.
pub struct Seed {
    /// Commands of the sequencer.
    pub commands: Receiver<Command>,
    /// Fold rows that it owns, by fold.
    pub blocks: Vec<Vec<Block>>,
    /// Packed identities that it owns, of the frames after the base.
    pub identities: Vec<Bytes>,
}

/// What all workers share.
pub struct Shared<D: Definition> {
    /// The pipeline.
    pub definition: Arc<D>,
    /// One seed per worker, taken at its start.
    pub seeds: Mutex<Vec<Option<Seed>>>,
    /// To the committer.
    pub out: ToCommitter,
    /// Where the activators go: (worker, activator of its source).
    pub activators: Sender<(usize, SyncActivator)>,
    /// The last committed epoch.
    pub start: u64,
    /// Owners of events.
    pub claims: Arc<HashMap<Id, Id>>,
    /// Older identities.
    pub runs: Arc<Runs>,
    /// Set when the pipeline is to be torn down without finishing.
    pub aborted: Arc<AtomicBool>,
    /// For the watchdog: one per worker.
    pub watched: Vec<Arc<WatchedThread>>,
}

struct EpochInfo {
    now_ms: i64,
    trusted_ms: i64,
    candidates: Arc<Candidates>,
    /// Whether this worker has said what it knows of them.
    said: bool,
    last_of_base: bool,
}

type Infos = Rc<RefCell<BTreeMap<u64, EpochInfo>>>;

/// Configuration of the worker threads.
pub fn config(threads: usize) -> timely::Config {
    // Spinning and idle merging cost more than they give on a small machine.
    let mut worker = timely::WorkerConfig::default().idle_spin(Duration::ZERO);
    differential_dataflow::configure(&mut worker, &differential_dataflow::Config::default().idle_merge_effort(None));
    timely::Config { communication: timely::CommunicationConfig::Process(threads), worker }
}

/// Runs one worker until it is closed, aborted or fails.
pub fn run<D: Definition>(worker: &mut timely::worker::Worker, shared: &Shared<D>) {
    let index = worker.index();
    shared.watched[index].register();
    let failed = |panic: Box<dyn Any + Send>| shared.out.send(Message::Failed(index, panic_message(&*panic)));
    catch_unwind(AssertUnwindSafe(|| work(worker, shared))).unwrap_or_else(failed);
    let drop_all = || {
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    };
    catch_unwind(AssertUnwindSafe(drop_all)).unwrap_or_else(failed);
}

fn work<D: Definition>(worker: &mut timely::worker::Worker, shared: &Shared<D>) {
    let index = worker.index();
    let seed = shared.seeds.lock().ok().and_then(|mut s| s[index].take()).expect("every worker has a seed");
    costs::follow(worker, shared.definition.name());
    let probe = ProbeHandle::new();
    worker.dataflow::<u64, _, _>(|scope| {
        let infos = Infos::default();
        let activators = shared.activators.clone();
        let decoded = read(scope, shared, seed.commands, infos.clone(), move |a| {
            let _ = activators.send((index, a));
        });
        let streams = admit(decoded, shared, infos, seed.identities);
        let mut folds = Folds {
            streams: streams.into_iter().map(Some).collect(),
            loaded: seed.blocks,
            start: shared.start,
            out: shared.out.clone(),
            pipeline: shared.definition.name(),
        };
        let views = shared.definition.views(&mut folds);
        let out = shared.out.clone();
        views
            .inner
            .unary_frontier::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
                Local,
                "Outputs",
                move |_, _| {
                    move |(input, _), _| {
                        input.for_each(|_, rows| {
                            out.send(Message::Outputs(Box::new(std::mem::take(rows))));
                        });
                    }
                },
            )
            .probe_with(&probe);
    });
    let mut told = None;
    loop {
        worker.step_or_park(Some(Duration::from_secs(1)));
        let frontier = probe.with_frontier(|f| f.first().copied());
        if told != Some(frontier) {
            told = Some(frontier);
            shared.out.send(Message::Frontier(index, frontier));
        }
        if frontier.is_none() || shared.aborted.load(Ordering::Acquire) {
            return;
        }
    }
}

/// The source: takes epochs from the sequencer and decodes their records.
fn read<'s, D: Definition>(
    scope: Scope<'s, u64>,
    shared: &Shared<D>,
    commands: Receiver<Command>,
    infos: Infos,
    register: impl FnOnce(SyncActivator),
) -> StreamVec<'s, u64, Decoded> {
    let (definition, out, start) = (shared.definition.clone(), shared.out.clone(), shared.start);
    source(scope, "Source", move |cap, info| {
        register(scope.worker().sync_activator_for(info.address.to_vec()));
        let again = scope.activator_for(info.address);
        let mut cap = Some(cap);
        move |output| {
            let Some(live) = &mut cap else { return };
            // The first activation lets go of everything up to the restored epoch, so that it can complete.
            if *live.time() <= start {
                live.downgrade(&(start + 1));
            }
            match commands.try_recv() {
                Ok(Command::Epoch(input)) => {
                    let epoch = input.epoch;
                    let EpochInput { now_ms, trusted_ms, candidates, last_of_base, .. } = input;
                    let info = EpochInfo { now_ms, trusted_ms, candidates, said: false, last_of_base };
                    infos.borrow_mut().insert(epoch, info);
                    live.downgrade(&epoch);
                    let mut refused = Vec::new();
                    let mut session = output.session(&*live);
                    for entry in input.entries {
                        match decode(&*definition, &entry) {
                            Ok(decoded) => session.give(decoded),
                            Err(row) => refused.push(row),
                        }
                    }
                    drop(session);
                    if !refused.is_empty() {
                        out.send(Message::Refused(epoch, refused));
                    }
                    live.downgrade(&(epoch + 1));
                    again.activate();
                }
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => cap = None,
                Err(TryRecvError::Empty) => {}
            }
        }
    })
}

fn decode<D: Definition>(definition: &D, entry: &Entry) -> Result<Decoded, RefusedRow> {
    let refuse = |code: &str, detail: String| RefusedRow {
        position: entry.position,
        code: code.into(),
        detail,
        raw: Some(entry.value.clone()),
    };
    let (record, identity) =
        gravity_events::codec::decode_full(&entry.value).map_err(|e| refuse(e.code(), e.to_string()))?;
    if record.body.topic() != entry.position.topic {
        let detail = format!("a record of type {} belongs to {}", record.body.kind(), record.body.topic());
        return Err(refuse("wrong_topic", detail));
    }
    let mut facts = Facts { position: Some(entry.position), ..Facts::default() };
    definition.facts(&record, &mut facts);
    Ok(Decoded {
        identity,
        position: entry.position,
        tenant: record.tenant,
        event: record.event,
        time_ms: record.time_ms,
        backfill: record.backfill,
        configures: matches!(record.body, gravity_events::Body::EventConfigured(_)),
        raw: entry.value.clone(),
        rows: facts.rows,
    })
}
