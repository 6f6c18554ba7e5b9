//! The worker threads: source, dedupe, folds and views of one pipeline as one timely dataflow.

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
use timely::dataflow::channels::pact::{Exchange, Pipeline as Local};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, source};
use timely::dataflow::operators::{Capability, Operator, Probe};
use timely::dataflow::{ProbeHandle, Scope, StreamVec};
use timely::scheduling::SyncActivator;

use super::PipelineError;
use super::dedupe::claims::Candidates;
use super::dedupe::runs::Runs;
use super::dedupe::{FOREVER, Identities, PACKED_BYTES, Verdict, day_of, pack, shard_of_identity};
use super::definition::{Definition, Facts};
use super::error::panic_message;
use super::folds::{Block, Folds};
use super::row::FoldRow;

/// Live records may be this much older than the epoch's clock (32 days) ...
const OLDEST_MS: i64 = 32 * 86_400_000;
/// ... and this much ahead of it (5 minutes).
const AHEAD_MS: i64 = 300_000;

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

/// The dedupe fold: lets each record through once, and only those that may count.
fn admit<'s, D: Definition>(
    decoded: StreamVec<'s, u64, Decoded>,
    shared: &Shared<D>,
    infos: Infos,
    loaded: Vec<Bytes>,
) -> Vec<StreamVec<'s, u64, FoldRow>> {
    let scope = decoded.scope();
    let mut builder = OperatorBuilder::new("Dedupe".to_owned(), scope);
    let mut input =
        builder.new_input(decoded, Exchange::new(|d: &Decoded| u64::from(shard_of_identity(d.identity.id))));
    let (outputs, streams): (Vec<_>, Vec<_>) = (0..shared.definition.folds()).map(|_| builder.new_output()).unzip();
    let mut outputs: Vec<OutputBuilder<u64, timely::container::CapacityContainerBuilder<Vec<FoldRow>>>> =
        outputs.into_iter().map(OutputBuilder::from).collect();
    let out = shared.out.clone();
    let (start, runs) = (shared.start, shared.runs.clone());
    let mut owners: HashMap<Id, Id> = (*shared.claims).clone();
    let waker = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    let (index, peers) = (scope.worker().index(), scope.worker().peers());
    builder.build(move |caps| {
        drop(caps);
        let mut identities = Identities::with_capacity(loaded.iter().map(|b| b.len() / PACKED_BYTES).sum(), runs);
        for packed in loaded {
            identities.load(&packed);
        }
        let mut waiting: BTreeMap<u64, (Vec<Capability<u64>>, Vec<Decoded>)> = BTreeMap::new();
        let ports = outputs.len();
        let owns = move |id: u128| usize::from(shard_of_identity(id)) % peers == index;
        let mut failed = false;
        move |frontiers| {
            input.for_each_stamp(|cap, data| {
                let caps: Option<Vec<_>> = (0..ports).map(|p| cap.retain_least(p)).collect();
                if let Some(caps) = caps.filter(|c| !c.is_empty()) {
                    let rows = waiting.entry(*caps[0].time()).or_insert_with(|| (caps, Vec::new()));
                    rows.1.extend(data.flat_map(|d| d.drain(..)));
                }
            });
            // Epochs without a record of ours still bring claims, so go by the epochs, not by what waits.
            while !failed {
                let mut infos = infos.borrow_mut();
                let Some(mut info) = infos.first_entry() else { break };
                let epoch = *info.key();
                if frontiers[0].less_equal(&epoch) {
                    break;
                }
                debug_assert!(epoch > start);
                identities.refresh();
                let mut step = || -> Result<bool, PipelineError> {
                    let rows = waiting.get_mut(&epoch).map_or(&mut [][..], |w| &mut w.1[..]);
                    rows.sort_unstable_by_key(|d| d.position);
                    let info = info.get_mut();
                    if !claim(epoch, info, rows, &identities, &mut owners, &out, owns, || waker.clone())? {
                        return Ok(false);
                    }
                    if let Some((caps, rows)) = waiting.remove(&epoch) {
                        let mut sessions: Vec<_> = outputs.iter_mut().map(OutputBuilder::activate).collect();
                        let mut sessions: Vec<_> =
                            sessions.iter_mut().zip(&caps).map(|(o, cap)| o.session(cap)).collect();
                        judge(epoch, info, rows, &mut identities, &owners, &out, |fold, row| {
                            sessions[usize::from(fold)].give(row)
                        })?;
                    }
                    if info.last_of_base {
                        identities.put_aside(epoch);
                    }
                    Ok(true)
                };
                match step() {
                    Ok(true) => {
                        info.remove();
                    }
                    Ok(false) => break,
                    Err(error) => {
                        // The committer hears of it before it hears that the epoch is done, and commits nothing more.
                        failed = true;
                        out.send(Message::Fatal(error));
                    }
                }
            }
        }
    });
    streams
}

/// Settles who owns the events that are claimed in an epoch, once all workers have said which claims are good. False:
/// not yet; `waiting` will be activated. `rows`: this worker's records of the epoch, in log order.
#[allow(clippy::too_many_arguments)] // the state of one operator
fn claim(
    epoch: u64,
    info: &mut EpochInfo,
    rows: &[Decoded],
    identities: &Identities,
    owners: &mut HashMap<Id, Id>,
    out: &ToCommitter,
    owns: impl Fn(u128) -> bool,
    waiting: impl FnOnce() -> SyncActivator,
) -> Result<bool, PipelineError> {
    let candidates = &*info.candidates;
    if candidates.is_empty() {
        return Ok(true);
    }
    let mut last = false;
    if !std::mem::replace(&mut info.said, true) {
        let today = day_of(info.trusted_ms);
        for (n, candidate) in candidates.iter().enumerate().filter(|(_, c)| owns(c.identity.id)) {
            let first = rows.iter().find(|r| r.identity.id == candidate.identity.id);
            let good = match first.filter(|r| r.position == candidate.position) {
                Some(row) => {
                    out_of_time(row, info.now_ms).is_none()
                        && identities.look(candidate.identity, today)? == Verdict::New
                }
                None => false,
            };
            last |= candidates.say(n, good);
        }
    }
    let Some(good) = candidates.settled(waiting) else { return Ok(false) };
    let mut claims = Vec::new();
    for candidate in good {
        if !owners.contains_key(&candidate.event) {
            owners.insert(candidate.event.clone(), candidate.tenant.clone());
            claims.push((candidate.event.clone(), candidate.tenant.clone()));
        }
    }
    if last && !claims.is_empty() {
        out.send(Message::Claims(epoch, claims));
    }
    Ok(true)
}

/// Whether a record is too old or too far ahead to count: code and detail.
fn out_of_time(record: &Decoded, now_ms: i64) -> Option<(&'static str, &'static str)> {
    match record.time_ms.filter(|_| !record.backfill)? {
        t if t < now_ms.saturating_sub(OLDEST_MS) => {
            Some(("too_late", "`time` is more than 32 days ago: import it as a backfill"))
        }
        t if t > now_ms.saturating_add(AHEAD_MS) => {
            Some(("too_early", "`time` is more than 5 minutes ahead: check the sender's clock"))
        }
        _ => None,
    }
}

/// Judges the records of one epoch, in log order.
fn judge(
    epoch: u64,
    info: &EpochInfo,
    rows: Vec<Decoded>,
    identities: &mut Identities,
    owners: &HashMap<Id, Id>,
    out: &ToCommitter,
    mut give: impl FnMut(u8, FoldRow),
) -> Result<(), PipelineError> {
    let (accepted, today) = (day_of(info.now_ms), day_of(info.trusted_ms));
    let mut ids: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let mut refused = Vec::new();
    for record in rows {
        let untimely = out_of_time(&record, info.now_ms);
        let Decoded { identity, position, tenant, event, backfill, configures, raw, rows, .. } = record;
        let mut refuse =
            |code: &str, detail: String, raw| refused.push(RefusedRow { position, code: code.into(), detail, raw });
        let owner = event.as_ref().and_then(|e| owners.get(e));
        if owner.is_some_and(|o| *o != tenant) {
            // Naming the owner would tell one tenant about another.
            let event = event.as_deref().unwrap_or_default();
            refuse("wrong_tenant", format!("event `{event}` does not belong to tenant `{tenant}`"), Some(raw));
            continue;
        }
        if let Some((code, detail)) = untimely {
            refuse(code, detail.into(), Some(raw));
            continue;
        }
        let day = if backfill { FOREVER } else { accepted };
        match identities.look(identity, today)? {
            // Its identity was that of another record of this epoch, which did not count, so that it could not claim.
            Verdict::New if configures && owner.is_none() => refuse(
                "conflict",
                "another record of this identity (tenant, source, id) came with it: give each its own".into(),
                Some(raw),
            ),
            Verdict::New => {
                identities.insert(identity, day);
                pack(ids.entry(shard_of_identity(identity.id)).or_default(), identity, day);
                for (fold, row) in rows {
                    give(fold, row);
                }
            }
            Verdict::Duplicate => refuse("duplicate", String::new(), None),
            Verdict::Conflict => {
                refuse(
                    "conflict",
                    "a record of this identity (tenant, source, id) with other data was counted before".into(),
                    Some(raw),
                );
            }
        }
    }
    for (shard, packed) in ids {
        out.send(Message::Ids(epoch, shard, packed));
    }
    if !refused.is_empty() {
        out.send(Message::Refused(epoch, refused));
    }
    Ok(())
}
