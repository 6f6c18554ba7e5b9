//! Who owns an event: the first `event.configured` that counts, whatever came beside it.

use std::sync::Arc;

use gravity_events::body::*;
use gravity_events::{Body, Position, Record, Topic};
use gravity_ingest::log::{Bound, Log};
use gravity_pipelines::runtime::clock::WallClock;
use gravity_pipelines::runtime::sequencer::Script;

use crate::support::*;

/// 2025-01-01, for records with a time.
const NOW_MS: i64 = 1_735_689_600_000;
const DAY_MS: i64 = 86_400_000;

fn configured(tenant: &str, event: &str, id: &str) -> Record {
    let body = Body::EventConfigured(EventConfigured { name: format!("of {tenant}"), ..Default::default() });
    Record { tenant: tenant.into(), event: Some(event.into()), ..record(id, body) }
}

fn team(tenant: &str, event: &str, id: &str) -> Record {
    let body = Body::TeamRegistered(TeamRegistered { team: "x".into(), name: "X".into(), ..Default::default() });
    Record { tenant: tenant.into(), event: Some(event.into()), ..record(id, body) }
}

/// What becomes of reference records cut into epochs of these sizes: code by offset, the same for any number of workers.
fn refusals(records: &[Vec<u8>], cuts: &[u64]) -> Vec<(u64, &'static str)> {
    let of = |workers: usize| {
        let (log, dir, seen) = (Shared::default(), tempfile::tempdir().unwrap(), Arc::new(Seen::default()));
        log.0.put_bytes(records.iter().map(|r| (Topic::Reference, r.clone())));
        let cut = |offset: &u64| vec![Bound { topic: Topic::Reference, partition: 0, offset: *offset }];
        let pipeline = start(&log, &seen, dir.path(), |o| {
            (o.workers, o.wall) = (workers, WallClock::new(|| NOW_MS));
            o.script = Script::cuts(cuts.iter().map(cut).collect());
        });
        let mut refused: Vec<(Position, _)> = seen.wait(&log).refused;
        stop_soon(pipeline);
        // What a restart knows of owners is the same.
        let again = Arc::new(Seen::default());
        let end = log.range(Topic::Reference, 0).unwrap().1;
        let events = ["e", "f"];
        log.0.put(&events.map(|e| team("stranger", e, &format!("stranger of {e}"))));
        let pipeline = start(&log, &again, dir.path(), |o| o.workers = workers % 3 + 1);
        refused.extend(again.wait(&log).refused);
        stop_soon(pipeline);
        refused.sort_unstable();
        let code = |offset: u64| refused.iter().find(|r| r.0.offset == offset).map(|r| r.1);
        (
            refused.iter().map(|(p, c)| (p.offset, *c)).filter(|r| r.0 < end).collect::<Vec<_>>(),
            events.map(|e| (e, code(end + u64::from(e == "f")) == Some("wrong_tenant"))),
        )
    };
    let one = of(1);
    assert_eq!(of(2), one);
    assert_eq!(of(3), one);
    // Whether an event has an owner is told with the refusals, as offset 1,000 (e) and 1,001 (f).
    let owned = one.1.iter().zip(1_000..).filter(|((_, owned), _)| *owned).map(|(_, n)| (n, "owned"));
    one.0.iter().copied().chain(owned).collect()
}

fn bytes(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(gravity_events::codec::encode).collect()
}

#[test]
fn the_first_in_log_order_owns_an_event_also_within_an_epoch() {
    let records = bytes(&[
        team("b", "e", "early"),
        configured("a", "e", "1"),
        configured("b", "e", "1"),
        team("b", "e", "late"),
        configured("b", "f", "2"),
        configured("a", "e", "3"),
    ]);
    let wrong = "wrong_tenant";
    // In one epoch with the claim, records before it are another tenant's, too.
    assert_eq!(refusals(&records, &[6]), [(0, wrong), (2, wrong), (3, wrong), (1_000, "owned"), (1_001, "owned")]);
    assert_eq!(refusals(&records, &[1, 3, 6]), [(2, wrong), (3, wrong), (1_000, "owned"), (1_001, "owned")]);
}

#[test]
fn a_record_that_does_not_count_claims_nothing() {
    let mut late = configured("a", "e", "late");
    (late.backfill, late.time_ms) = (false, Some(NOW_MS - 40 * DAY_MS));
    let mut early = configured("a", "e", "early");
    (early.backfill, early.time_ms) = (false, Some(NOW_MS + DAY_MS));
    let timed = bytes(&[late, early]);
    assert_eq!(refusals(&timed, &[2]), [(0, "too_late"), (1, "too_early")]);
    let claimed = [timed, bytes(&[configured("b", "e", "good")])].concat();
    assert_eq!(refusals(&claimed, &[2, 3]), [(0, "too_late"), (1, "too_early"), (1_000, "owned")]);
    assert_eq!(refusals(&claimed, &[3]), [(0, "wrong_tenant"), (1, "wrong_tenant"), (1_000, "owned")]);
    // An identity that was another record's.
    let conflicting = bytes(&[team("a", "f", "1"), configured("a", "e", "1"), configured("b", "e", "1")]);
    for (cuts, code) in [
        (&[1, 2, 3][..], "conflict"),
        (&[2, 3], "conflict"),
        // Together with the record that does claim the event, it is of another tenant's.
        (&[1, 3], "wrong_tenant"),
        (&[3], "wrong_tenant"),
    ] {
        assert_eq!(refusals(&conflicting, cuts), [(1, code), (1_000, "owned")], "{cuts:?}");
    }
    // Sent again, it is a duplicate.
    let twice = bytes(&[configured("a", "e", "1"), configured("a", "e", "1")]);
    assert_eq!(refusals(&twice, &[1, 2]), [(1, "duplicate"), (1_000, "owned")]);
    assert_eq!(refusals(&twice, &[2]), [(1, "duplicate"), (1_000, "owned")]);
}

#[test]
fn an_identity_that_an_uncounted_record_of_the_same_epoch_had_claims_nothing() {
    // The first record with identity (b, 1) is of an event that turns out to be a's: whether it counts is not known when
    // claims are settled, so the second one is refused rather than counted without an owner.
    let records = bytes(&[configured("a", "f", "0"), team("b", "f", "1"), configured("b", "e", "1")]);
    assert_eq!(refusals(&records, &[3]), [(1, "wrong_tenant"), (2, "conflict"), (1_001, "owned")]);
}

#[test]
fn an_escaped_type_claims_as_any_other() {
    let text = String::from_utf8(bytes(&[configured("a", "e", "1")]).remove(0)).unwrap();
    let escaped = text.replace("event.configured", "event\\u002econfigured");
    assert_ne!(text, escaped);
    assert_eq!(refusals(&[escaped.into_bytes()], &[1]), [(1_000, "owned")]);
}
