//! The operator between source and folds: lets each record through once, and only those that may count.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use gravity_events::Id;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::scheduling::SyncActivator;

use super::super::PipelineError;
use super::super::dedupe::{FOREVER, Identities, PACKED_BYTES, Verdict, day_of, pack, shard_of_identity};
use super::super::definition::Definition;
use super::super::row::FoldRow;
use super::{Decoded, EpochInfo, Infos, Message, RefusedRow, Shared, ToCommitter};

/// Live records may be this much older than the epoch's clock (32 days) ...
const OLDEST_MS: i64 = 32 * 86_400_000;
/// ... and this much ahead of it (5 minutes).
const AHEAD_MS: i64 = 300_000;

/// The dedupe fold: lets each record through once, and only those that may count.
pub(super) fn admit<'s, D: Definition>(
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
