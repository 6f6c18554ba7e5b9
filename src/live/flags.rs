//! The live tables of what is flagged for a person: labs with their alerts, and sources that are alike.

use std::sync::Arc;

use gravity_api::serving::flags::{Flags, LabShown};
use gravity_events::Id;
use gravity_events::body::SimilarityChanged;
use gravity_storage::lake::columns::{Column, Kind, Value, column};
use gravity_storage::sql::LiveTable;

use super::table;

/// Both.
pub fn tables(flags: &Arc<Flags>) -> Vec<LiveTable> {
    let (labs, pairs) = (flags.clone(), flags.clone());
    vec![
        table("labs", "Labs that were heard of, with their alerts", lab_columns(), move |scope| {
            labs.labs(scope.tenant(), false, None, usize::MAX)
        }),
        table("similarity", "Sources that are alike: for a person to look at", pair_columns(), move |scope| {
            pairs.pairs_everywhere(scope.tenant())
        }),
    ]
}

fn lab_columns() -> Vec<Column<LabShown>> {
    vec![
        column("tenant", Kind::Text, "Whose lab", |lab: &LabShown| (&lab.lab.tenant).into()),
        column("lab", Kind::Text, "The lab", |lab| (&lab.lab.lab).into()),
        column("state", Kind::Text, "requested, provisioning, ready or failed; unknown: only points came", |lab| {
            lab.seen.phase.name().into()
        }),
        column("seen_at", Kind::Time, "The minute of its newest point", |lab| {
            lab.seen.seen_at_ms.map_or(Value::Null, Value::Time)
        }),
        column("late", Kind::Int, "Points that came after a later one: not judged", |lab| lab.seen.late.into()),
        column("unwatched", Kind::Int, "Points of metrics beyond those that are watched", |lab| {
            lab.seen.unwatched.into()
        }),
        column("alert_since", Kind::Time, "Time of the point that raised its alert; none: it has none", |lab| {
            lab.alert.as_ref().map_or(Value::Null, |(key, _)| Value::Time(key.since_ms))
        }),
        column("metric", Kind::Text, "What was raised first", |lab| {
            lab.alert.as_ref().map(|(key, _)| &key.metric).into()
        }),
        column("evidence_nats", Kind::Int, "The greatest evidence since: e to that power to one", |lab| {
            lab.alert.as_ref().map(|(_, alert)| i64::from(alert.evidence_nats)).into()
        }),
    ]
}

type Pair = (Id, Id, SimilarityChanged);

fn pair_columns() -> Vec<Column<Pair>> {
    vec![
        column("tenant", Kind::Text, "Whose event", |(tenant, ..): &Pair| tenant.into()),
        column("event", Kind::Text, "The event", |(_, event, _)| event.into()),
        column("problem", Kind::Text, "The problem", |(.., pair)| (&pair.problem).into()),
        column("language", Kind::Text, "Languages that are compared with each other", |(.., pair)| {
            (&pair.language).into()
        }),
        column("left_team", Kind::Text, "The team whose id is the lesser", |(.., pair)| (&pair.left.team).into()),
        column("left_submission", Kind::Text, "Its submission", |(.., pair)| (&pair.left.submission).into()),
        column("right_team", Kind::Text, "The other team", |(.., pair)| (&pair.right.team).into()),
        column("right_submission", Kind::Text, "Its submission", |(.., pair)| (&pair.right.submission).into()),
        column("shared", Kind::Int, "Fingerprints that they share", |(.., pair)| i64::from(pair.shared).into()),
        column("share_bp", Kind::Int, "How much of the smaller one is in the other, in basis points", |(.., pair)| {
            i64::from(pair.share_bp).into()
        }),
    ]
}
