//! Reads the log and settles which records count.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use gravity_events::{Body, Position, Record, Topic};
use gravity_ingest::log::{Bound, Log, LogError, scan};

use super::Report;

/// A counted record and where it stands.
pub struct Counted {
    /// Where.
    pub position: Position,
    /// What.
    pub record: Record,
}

const HOUR_MS: i64 = 3_600_000;
const OLDEST_MS: i64 = 32 * 24 * HOUR_MS;

/// Every record that counts, in log order.
///
/// Two things depend on when an epoch was cut, which the log does not say: which of two conflicting records came first,
/// and whether a record was too late, too early or of another tenant's event. There the dead letters are heard, and
/// checked for being possible. `judged`: topics whose dead letters are all written at this bound.
pub fn replay(
    log: &dyn Log,
    bound: &[Bound],
    inputs: &[Topic],
    judged: &[Topic],
    report: &mut Report,
) -> Result<Vec<Counted>, LogError> {
    let refused = dead_letters(log, report)?;
    let mut by_identity: HashMap<(String, String, String), Vec<Counted>> = HashMap::new();
    for b in bound.iter().filter(|b| inputs.contains(&b.topic)) {
        let (first, _) = log.range(b.topic, b.partition)?;
        if first > 0 {
            report.not_covered.push(format!("{}/{}: offsets before {first} are gone", b.topic, b.partition));
        }
        for entry in scan(log, b.topic, b.partition, first, b.offset) {
            let entry = entry?;
            report.records += 1;
            let position = entry.position;
            let told = refused.get(&position).map(String::as_str);
            match gravity_events::codec::decode(&entry.value) {
                Err(e) => {
                    *report.refused.entry(e.code().to_owned()).or_default() += 1;
                    if told != Some(e.code()) && judged.contains(&position.topic) {
                        report.differs(format!("{position:?} is {}, but is not among the dead letters so", e.code()));
                    }
                }
                Ok(record) if record.body.topic() != position.topic => {
                    *report.refused.entry("wrong_topic".to_owned()).or_default() += 1;
                }
                Ok(record) => match told {
                    None => {
                        let identity = (record.tenant.to_string(), record.source.to_string(), record.id.to_string());
                        by_identity.entry(identity).or_default().push(Counted { position, record });
                    }
                    Some(code) => {
                        *report.refused.entry(code.to_owned()).or_default() += 1;
                        if !possible(code, &record, entry.appended_at_ms) {
                            report.differs(format!("{position:?} was refused as {code}, which it cannot be"));
                        }
                    }
                },
            }
        }
    }
    let mut counted = Vec::new();
    for (identity, mut copies) in by_identity {
        copies.sort_by_key(|c| c.position);
        let first = copies.remove(0);
        for copy in copies {
            if same_data(&copy.record, &first.record) {
                report.duplicates += 1;
            } else {
                report.differs(format!(
                    "{identity:?}: {:?} and {:?} have other data, and none was refused",
                    first.position, copy.position
                ));
            }
        }
        counted.push(first);
    }
    counted.sort_by_key(|c| c.position);
    report.counted = counted.len() as u64;
    Ok(counted)
}

fn same_data(a: &Record, b: &Record) -> bool {
    (&a.event, &a.subject, a.time_ms, &a.body) == (&b.event, &b.subject, b.time_ms, &b.body)
}

fn possible(code: &str, record: &Record, appended_at_ms: i64) -> bool {
    match (code, record.time_ms) {
        ("too_late", Some(t)) => !record.backfill && t < appended_at_ms - OLDEST_MS + HOUR_MS,
        ("too_early", Some(t)) => !record.backfill && t > appended_at_ms,
        ("conflict" | "wrong_tenant", _) => true,
        _ => false,
    }
}

fn dead_letters(log: &dyn Log, report: &mut Report) -> Result<BTreeMap<Position, String>, LogError> {
    let mut refused = BTreeMap::new();
    for partition in 0..log.partitions(Topic::DeadLetter) {
        let (first, end) = log.range(Topic::DeadLetter, partition)?;
        if first > 0 {
            report.not_covered.push(format!("dead letters before offset {first} are gone"));
        }
        for entry in scan(log, Topic::DeadLetter, partition, first, end) {
            let entry = entry?;
            let Ok(Record { body: Body::RecordRefused(r), .. }) = gravity_events::codec::decode(&entry.value) else {
                continue;
            };
            let Some(topic) = Topic::from_name(&r.topic) else { continue };
            let position = Position { topic, partition: r.partition, offset: r.offset };
            let kept = base64::engine::general_purpose::STANDARD.decode(&r.data_base64);
            if kept.is_err() {
                report.differs(format!("the dead letter of {position:?} does not hold its bytes"));
            }
            refused.insert(position, r.code.to_string());
        }
    }
    Ok(refused)
}
