//! Who may bring more now. What a tenant has on its way to the boards is bounded, and what it brings per second, so that one that
//! floods waits for itself and others do not wait for it; and measurements of labs stay outside while boards are behind.
//!
//! For what waits nobody is refused while nothing is committed at all: that would shorten no queue, and a deadline does not
//! wait. For the same reason this is asked by the routes that take records in bulk, and not by that of a participant's submission.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use gravity_events::{Id, Position, Topic};
use parking_lot::Mutex;

use crate::http::Problem;
use crate::places::{Place, take_before};

/// A pipeline that committed nothing for so long is not slow but stuck.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// Boards whose oldest record has waited for so long are behind.
const BEHIND_AFTER: Duration = Duration::from_secs(1);
/// What a tenant brings to a partition within such a time is remembered as one: a stuck pipeline may let it wait for hours.
const JOINED: Duration = Duration::from_secs(1);
/// Who is refused comes back after so long.
const RETRY_AFTER_S: u32 = 1;
/// With more tenants than this, those that brought nothing lately are forgotten.
const TENANTS_KEPT: usize = 1_000;

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionOptions {
    /// Durable records of a tenant that no epoch has yet.
    pub tenant_records_max: u64,
    /// Records of a tenant per second, for long; it may be ahead of that by as many as may be on their way.
    pub tenant_records_per_s: u64,
}

impl Default for AdmissionOptions {
    fn default() -> AdmissionOptions {
        AdmissionOptions { tenant_records_max: 50_000, tenant_records_per_s: 20_000 }
    }
}

impl AdmissionOptions {
    /// How long so many records of a tenant last at its rate.
    fn lasts(&self, records: u64) -> Duration {
        Duration::from_secs_f64(records as f64 / self.tenant_records_per_s.max(1) as f64)
    }
}

/// What is on its way.
#[derive(Debug, Default)]
pub struct Admission {
    options: AdmissionOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_tenant: HashMap<Id, u64>,
    /// By the last place of some records.
    on_the_way: BTreeMap<Place, Batch>,
    /// Until when what a tenant has brought lasts at its rate; tenants that have brought nothing lately are not here.
    brought_until: HashMap<Id, Instant>,
    /// When an epoch came last of the pipeline that reads a topic.
    moved_at: BTreeMap<Topic, Instant>,
}

#[derive(Debug)]
struct Batch {
    tenant: Id,
    records: u64,
    since: Instant,
}

impl Admission {
    /// With these bounds.
    pub fn new(options: AdmissionOptions) -> Admission {
        Admission { options, state: Mutex::default() }
    }

    /// Whether these may come, by tenant and topic; if so, they count. Errors: 429 for a tenant with too many on their way or
    /// too many per second, 503 for measurements while boards are behind; all with `Retry-After`.
    pub fn ask<'a>(&self, records: impl IntoIterator<Item = (&'a Id, Topic)>, now: Instant) -> Result<(), Problem> {
        // A batch is mostly of one tenant and topic.
        let mut runs: Vec<(&Id, Topic, u64)> = Vec::new();
        for (tenant, topic) in records {
            match runs.last_mut() {
                Some(run) if (run.0, run.1) == (tenant, topic) => run.2 += 1,
                _ => runs.push((tenant, topic, 1)),
            }
        }
        let mut state = self.state.lock();
        for (tenant, topic, _) in runs.iter().copied() {
            self.ask_for_rate(&state, tenant, now)?;
            if state.on_the_way.is_empty() || !state.moves(topic, now) {
                continue;
            }
            let waiting = state.by_tenant.get(tenant).copied().unwrap_or(0);
            if waiting >= self.options.tenant_records_max {
                return Err(Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "tenant_busy",
                    format!("{waiting} records of this tenant wait to be counted"),
                )
                .hint("send on when they are counted; `wait=visible` paces a sender by itself")
                .retry_after(RETRY_AFTER_S));
            }
            if topic == Topic::Telemetry && state.boards_are_behind(now) {
                return Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "boards_first",
                    "boards are behind, so measurements are not taken for a moment",
                )
                .hint("send them again: nothing is lost by that, and what comes twice counts once")
                .retry_after(RETRY_AFTER_S));
            }
        }
        for (tenant, _, records) in runs {
            let until = state.brought_until.entry(tenant.clone()).or_insert(now);
            *until = (*until).max(now) + self.options.lasts(records);
        }
        if state.brought_until.len() > TENANTS_KEPT {
            state.brought_until.retain(|_, until| *until > now);
        }
        Ok(())
    }

    /// 429 for a tenant that is ahead of its rate by more than it may be.
    fn ask_for_rate(&self, state: &State, tenant: &Id, now: Instant) -> Result<(), Problem> {
        let until = state.brought_until.get(tenant).copied().unwrap_or(now);
        if until.saturating_duration_since(now) <= self.options.lasts(self.options.tenant_records_max) {
            return Ok(());
        }
        let rate = self.options.tenant_records_per_s;
        let detail = format!("this tenant brings more than {rate} records per second");
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "tenant_too_fast", detail)
            .hint("send on after `Retry-After`; the operator can raise `limits.tenant_records_per_s`")
            .retry_after(RETRY_AFTER_S))
    }

    /// They are durable at these places, in their order. Only what a pipeline of this process reads is to be told.
    pub fn brought<'a>(&self, records: impl IntoIterator<Item = (&'a Id, Position)>, now: Instant) {
        let mut state = self.state.lock();
        let mut batches: BTreeMap<(Topic, u32), (&Id, u64, u64)> = BTreeMap::new();
        for (tenant, at) in records {
            let batch = batches.entry((at.topic, at.partition)).or_insert((tenant, at.offset, 0));
            if batch.0 != tenant {
                let (of, last, records) = std::mem::replace(batch, (tenant, at.offset, 0));
                state.put((at.topic, at.partition, last), of, records, now);
            }
            (batch.1, batch.2) = (at.offset, batch.2 + 1);
        }
        for ((topic, partition), (tenant, last, records)) in batches {
            state.put((topic, partition, last), tenant, records, now);
        }
    }

    /// An epoch has taken in what is before these bounds.
    pub fn counted(&self, bound: &[Place], now: Instant) {
        let mut state = self.state.lock();
        state.moved_at.extend(bound.iter().map(|b| (b.0, now)));
        for batch in take_before(&mut state.on_the_way, bound) {
            let left = state.by_tenant.get(&batch.tenant).map_or(0, |n| n.saturating_sub(batch.records));
            if left == 0 {
                state.by_tenant.remove(&batch.tenant);
            } else {
                state.by_tenant.insert(batch.tenant, left);
            }
        }
    }
}

impl State {
    fn put(&mut self, at: Place, tenant: &Id, records: u64, now: Instant) {
        *self.by_tenant.entry(tenant.clone()).or_default() += records;
        let mut batch = Batch { tenant: tenant.clone(), records, since: now };
        let before = self.on_the_way.range((at.0, at.1, 0)..at).next_back();
        let joined = before.filter(|(_, last)| last.tenant == *tenant && now.duration_since(last.since) < JOINED);
        if let Some(place) = joined.map(|(place, _)| *place)
            && let Some(last) = self.on_the_way.remove(&place)
        {
            batch = Batch { records: last.records + records, ..last };
        }
        self.on_the_way.insert(at, batch);
    }

    fn moves(&self, topic: Topic, now: Instant) -> bool {
        self.moved_at.get(&topic).is_some_and(|at| now.duration_since(*at) <= STUCK_AFTER)
    }

    /// The first of a topic's partition is its oldest.
    fn boards_are_behind(&self, now: Instant) -> bool {
        let mut from = (Topic::ALL[0], 0, 0);
        while let Some((&(topic, partition, _), oldest)) = self.on_the_way.range(from..).next() {
            let of_boards = matches!(topic, Topic::Reference | Topic::Submissions | Topic::Judgements);
            if of_boards && self.moves(topic, now) && now.duration_since(oldest.since) > BEHIND_AFTER {
                return true;
            }
            from = (topic, partition + 1, 0);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(topic: Topic, partition: u32, offset: u64) -> Position {
        Position { topic, partition, offset }
    }

    fn code(asked: Result<(), Problem>) -> Option<String> {
        asked.err().map(|problem| problem.code.into_owned())
    }

    #[test]
    fn a_tenant_that_floods_waits_for_itself_alone() {
        let admission = Admission::new(AdmissionOptions { tenant_records_max: 100, ..AdmissionOptions::default() });
        let (flood, other, begin) = (Id::from("flood"), Id::from("other"), Instant::now());
        let ask = |tenant: &Id, now| code(admission.ask([(tenant, Topic::Usage)], now));
        admission.counted(&[(Topic::Usage, 0, 0)], begin);
        // Both in one partition, one after the other.
        let flooded = (0..100).map(|n| (&flood, at(Topic::Usage, 0, n)));
        admission.brought(flooded.chain([(&other, at(Topic::Usage, 0, 100))]), begin);
        assert_eq!(ask(&flood, begin).as_deref(), Some("tenant_busy"));
        assert_eq!(ask(&other, begin).as_deref(), None);
        // An epoch that has not all of them.
        admission.counted(&[(Topic::Usage, 0, 99)], begin + 5 * MS);
        assert_eq!(ask(&flood, begin + 5 * MS).as_deref(), Some("tenant_busy"));
        admission.counted(&[(Topic::Usage, 1, 500), (Topic::Usage, 0, 100)], begin + 9 * MS);
        assert_eq!(ask(&flood, begin + 9 * MS).as_deref(), None);
        admission.counted(&[(Topic::Usage, 0, 101)], begin + 9 * MS);
        assert!(admission.state.lock().by_tenant.is_empty() && admission.state.lock().on_the_way.is_empty());
    }

    #[test]
    fn a_tenant_may_be_ahead_of_its_rate_and_then_keeps_to_it() {
        let admission = Admission::new(AdmissionOptions { tenant_records_max: 500, tenant_records_per_s: 1_000 });
        let (fast, other, begin) = (Id::from("fast"), Id::from("other"), Instant::now());
        let bring = |tenant: &Id, records, now| code(admission.ask((0..records).map(|_| (tenant, Topic::Usage)), now));
        // Half a second ahead; who is within that may bring a whole batch.
        assert_eq!(bring(&fast, 500, begin).as_deref(), None);
        assert_eq!(bring(&fast, 100, begin).as_deref(), None);
        assert_eq!(bring(&fast, 1, begin + 99 * MS).as_deref(), Some("tenant_too_fast"));
        assert_eq!(bring(&other, 500, begin + 99 * MS).as_deref(), None);
        // What was refused does not count.
        assert_eq!(bring(&fast, 100, begin + 100 * MS).as_deref(), None);
        assert_eq!(bring(&fast, 1, begin + 199 * MS).as_deref(), Some("tenant_too_fast"));
        // For long: a thousand per second, and not a record more is saved up than may be ahead.
        let taken = |from_ms: u32, upto_ms: u32| {
            (from_ms..upto_ms).filter(|ms| bring(&fast, 10, begin + *ms * MS).is_none()).count() * 10
        };
        let first = taken(1_000, 6_000);
        assert!((5_000..=5_510).contains(&first), "{first}");
        let after_an_hour = taken(3_600_000, 3_601_000);
        assert!((1_500..=1_510).contains(&after_an_hour), "{after_an_hour}");
    }

    #[test]
    fn tenants_that_bring_nothing_any_more_are_forgotten() {
        let (admission, begin) = (Admission::default(), Instant::now());
        for n in 0..10_000 {
            let tenant = Id::from(format!("t{n}"));
            assert_eq!(code(admission.ask([(&tenant, Topic::Usage)], begin + n * MS)), None);
        }
        assert!(admission.state.lock().brought_until.len() <= TENANTS_KEPT + 1);
    }

    #[test]
    fn what_waits_for_long_takes_little_memory() {
        let (admission, tenant, begin) = (Admission::default(), Id::from("t"), Instant::now());
        for n in 0..10_000 {
            admission.brought([(&tenant, at(Topic::Usage, 0, u64::from(n)))], begin + n * MS);
        }
        assert!(admission.state.lock().on_the_way.len() <= 10);
        admission.counted(&[(Topic::Usage, 0, 10_000)], begin);
        assert!(admission.state.lock().by_tenant.is_empty());
    }

    #[test]
    fn nobody_is_refused_while_nothing_is_counted_at_all() {
        let admission = Admission::new(AdmissionOptions { tenant_records_max: 1, ..AdmissionOptions::default() });
        let (tenant, begin) = (Id::from("t"), Instant::now());
        let ask = |now| code(admission.ask([(&tenant, Topic::Submissions)], now));
        admission.brought([(&tenant, at(Topic::Submissions, 0, 7))], begin);
        assert_eq!(ask(begin).as_deref(), None, "no epoch came yet");
        admission.counted(&[(Topic::Usage, 0, 9)], begin);
        assert_eq!(ask(begin).as_deref(), None, "none of this pipeline");
        admission.counted(&[(Topic::Submissions, 0, 7)], begin);
        assert_eq!(ask(begin + 100 * MS).as_deref(), Some("tenant_busy"));
        assert_eq!(ask(begin + 3_000 * MS).as_deref(), None, "the pipeline is stuck");
    }

    #[test]
    fn measurements_wait_while_boards_are_behind() {
        let admission = Admission::default();
        let (tenant, begin) = (Id::from("t"), Instant::now());
        let ask = |topic, now| code(admission.ask([(&tenant, topic)], now));
        admission.brought([(&tenant, at(Topic::Telemetry, 0, 1)), (&tenant, at(Topic::Judgements, 3, 1))], begin);
        let later = begin + 1_100 * MS;
        assert_eq!(ask(Topic::Telemetry, begin + 900 * MS).as_deref(), None);
        admission.counted(&[(Topic::Judgements, 3, 1), (Topic::Telemetry, 0, 0)], later);
        assert_eq!(ask(Topic::Telemetry, later).as_deref(), Some("boards_first"));
        assert_eq!(ask(Topic::Submissions, later).as_deref(), None);
        admission.counted(&[(Topic::Judgements, 3, 2)], later);
        assert_eq!(ask(Topic::Telemetry, later).as_deref(), None, "only measurements are behind");
    }
}
