//! What an epoch took and what it refused, as records on `gravity.accepted.v1`: whoever keeps what counted (the lake) learns
//! from them, and from nothing else, which records of the input topics those are.

use std::collections::BTreeMap;

use gravity_events::body::{EpochAccepted, RefusedRun, TopicBounds};
use gravity_events::publish::Refused;
use gravity_events::{Body, Id, Record, Topic};
use gravity_ingest::log::{Bound, Produce};

/// Runs in a record at most: a list may have so many items.
const RUNS_MAX: usize = 1_000;
/// Characters of a reason that are kept.
const DETAIL_MAX: usize = 300;

/// The records of an epoch: refused ones first, the bounds in the last. `bound`: of the topics that the pipeline judges.
/// They follow from the epoch alone, without the time at which it was made: an epoch that is told again has the same bytes.
pub fn records(pipeline: &str, epoch: u64, bound: &[Bound], refused: &[Refused]) -> Vec<Produce> {
    let runs = runs(refused);
    let mut chunks: Vec<&[RefusedRun]> = runs.chunks(RUNS_MAX).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let last = chunks.len() - 1;
    let record = |(n, runs): (usize, &[RefusedRun])| {
        let record = Record {
            id: format!("{epoch}/{n}").into(),
            source: format!("pipeline:{pipeline}").into(),
            tenant: "-".into(),
            event: None,
            subject: None,
            time_ms: None,
            backfill: false,
            body: Body::EpochAccepted(EpochAccepted {
                pipeline: pipeline.into(),
                epoch,
                bounds: if n == last { bounds(bound) } else { Vec::new() },
                refused: runs.to_vec(),
            }),
        };
        Produce::from(&record)
    };
    chunks.into_iter().enumerate().map(record).collect()
}

fn bounds(bound: &[Bound]) -> Vec<TopicBounds> {
    let mut topics: BTreeMap<Topic, Vec<(u32, u64)>> = BTreeMap::new();
    for b in bound {
        topics.entry(b.topic).or_default().push((b.partition, b.offset));
    }
    topics.into_iter().map(|(topic, offsets)| TopicBounds { topic: topic.name().into(), offsets }).collect()
}

/// Neighbours that were refused for the same reason together.
fn runs(refused: &[Refused]) -> Vec<RefusedRun> {
    let mut sorted: Vec<&Refused> = refused.iter().collect();
    sorted.sort_by_key(|r| (r.position.topic, r.position.partition, r.position.offset));
    let mut runs: Vec<RefusedRun> = Vec::new();
    for r in sorted {
        let detail = Some(r.detail.chars().take(DETAIL_MAX).collect::<String>()).filter(|detail| !detail.is_empty());
        let (topic, code) = (Id::from(r.position.topic.name()), Id::from(r.code));
        if let Some(run) = runs.last_mut()
            && (&run.topic, run.partition, run.offset + run.records)
                == (&topic, r.position.partition, r.position.offset)
            && (&run.code, &run.detail) == (&code, &detail)
        {
            run.records += 1;
            continue;
        }
        let (partition, offset) = (r.position.partition, r.position.offset);
        runs.push(RefusedRun { topic, partition, offset, records: 1, code, detail });
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use gravity_events::{Position, codec};

    fn refused(partition: u32, offset: u64, code: &'static str, detail: &str) -> Refused {
        let position = Position { topic: Topic::Usage, offset, partition };
        Refused { position, code, detail: detail.into() }
    }

    fn told(refused: &[Refused]) -> Vec<EpochAccepted> {
        let bound = [
            Bound { topic: Topic::Usage, partition: 0, offset: 9 },
            Bound { topic: Topic::Usage, partition: 1, offset: 4 },
        ];
        let records = records("burn", 7, &bound, refused);
        let body = |p: &Produce| match codec::decode(&p.value).unwrap().body {
            Body::EpochAccepted(body) => body,
            other => panic!("{other:?}"),
        };
        records.iter().map(body).collect()
    }

    #[test]
    fn neighbours_are_told_together() {
        let all = [
            refused(1, 3, "duplicate", ""),
            refused(0, 4, "duplicate", ""),
            refused(0, 3, "duplicate", ""),
            refused(0, 5, "conflict", "x"),
        ];
        let [told] = &told(&all)[..] else { panic!() };
        let runs: Vec<_> = told.refused.iter().map(|r| (r.partition, r.offset, r.records, r.code.as_str())).collect();
        assert_eq!(runs, [(0, 3, 2, "duplicate"), (0, 5, 1, "conflict"), (1, 3, 1, "duplicate")]);
        assert_eq!(told.bounds, [TopicBounds { topic: Topic::Usage.name().into(), offsets: vec![(0, 9), (1, 4)] }]);
    }

    #[test]
    fn many_are_told_in_parts_and_the_bounds_come_last() {
        let all: Vec<Refused> = (0..2_500).map(|n| refused(0, n * 2, "duplicate", "")).collect();
        let told = told(&all);
        assert_eq!(told.iter().map(|t| t.refused.len()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert_eq!(told.iter().map(|t| t.bounds.len()).collect::<Vec<_>>(), [0, 0, 1]);
    }
}
