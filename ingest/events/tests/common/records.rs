//! Strategies for every record type: any values that the limits allow, with a liking for their edges.

mod bodies;

use gravity_events::board::{
    BoardDimension, BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, Points,
    View, Worth,
};
use gravity_events::body::*;
use gravity_events::codec::{MAX_INTEGER, MAX_SPAN_MS, MAX_TIME_MS, MIN_TIME_MS};
use gravity_events::{Id, Record};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::Union;

pub use bodies::body_of;

/// A record of any type, every type equally often.
#[allow(dead_code)] // not every test that takes this file in uses it
pub fn record() -> impl Strategy<Value = Record> {
    Union::new(Body::KINDS.iter().map(|kind| record_of(kind)))
}

/// A record of one type.
pub fn record_of(kind: &'static str) -> BoxedStrategy<Record> {
    let event = body_of(kind).prop_flat_map(|body| {
        let event = if body.needs_event() { id().prop_map(Some).boxed() } else { of(id()).boxed() };
        let time = if body.needs_time() { time().prop_map(Some).boxed() } else { of(time()).boxed() };
        (Just(body), event, time)
    });
    (id(), id(), id(), event, of(id()), any::<bool>())
        .prop_map(|(id, source, tenant, (body, event, time_ms), subject, backfill)| Record {
            id,
            source,
            tenant,
            event,
            subject,
            time_ms,
            backfill,
            body,
        })
        .boxed()
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        4 => "[a-z0-9-]{1,12}",
        1 => "[^\\x00-\\x1f\\x7f-\\u{9f}]{1,40}",
        1 => Just("-".to_owned()),
        1 => Just("x".repeat(256)),
    ]
    .prop_map(Id::from)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => ".{0,20}", 2 => "(?s).{0,20}", 1 => Just("é".repeat(8192))]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![8 => MIN_TIME_MS..=MAX_TIME_MS, 1 => Just(MIN_TIME_MS), 1 => Just(MAX_TIME_MS)]
}

fn contest_time() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -1_000_000..20_000_000_i64, 1 => Just(-MAX_SPAN_MS), 1 => Just(MAX_SPAN_MS)]
}

fn duration() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..20_000_000_i64, 1 => Just(0), 1 => Just(MAX_SPAN_MS)]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -1000..1000_i64, 1 => -MAX_INTEGER..=MAX_INTEGER, 1 => Just(-MAX_INTEGER), 1 => Just(MAX_INTEGER)]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..1000_u64, 1 => 0..=MAX_INTEGER as u64, 1 => Just(MAX_INTEGER as u64)]
}

fn size() -> impl Strategy<Value = i64> {
    count().prop_map(|n| n as i64)
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |f| f.is_finite())
}

fn flag() -> impl Strategy<Value = bool> {
    any::<bool>()
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        flag().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        finite().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((text(), inner), 0..4).prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn moment() -> impl Strategy<Value = Moment> {
    (of(time()), of(contest_time())).prop_map(|(at, contest_time_ms)| Moment { at, contest_time_ms })
}

fn lab_step() -> impl Strategy<Value = LabStep> {
    (id(), id(), 1..=u32::MAX, of(text())).prop_map(|(lab, step, attempt, error)| LabStep { lab, step, attempt, error })
}

fn lab_state() -> impl Strategy<Value = LabState> {
    (id(), of(text())).prop_map(|(lab, reason)| LabState { lab, reason })
}

fn alert() -> impl Strategy<Value = Alert> {
    (id(), id(), text()).prop_map(|(alert, rule, summary)| Alert { alert, rule, summary })
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![Just(View::Public), Just(View::Jury)]
}

fn board_key() -> BoxedStrategy<BoardKey> {
    prop_oneof![
        (id(), id()).prop_map(|(tenant, event)| BoardKey::Header { tenant, event }),
        (id(), id(), id()).prop_map(|(tenant, event, team)| BoardKey::Row { tenant, event, team }),
        (id(), id(), id()).prop_map(|(tenant, event, problem)| BoardKey::First { tenant, event, problem }),
        (id(), id(), id()).prop_map(|(tenant, event, problem)| BoardKey::Worth { tenant, event, problem }),
    ]
    .boxed()
}

fn board_header() -> BoxedStrategy<BoardHeader> {
    let problem = (id(), text(), text(), of(text())).prop_map(|(problem, label, name, rgb)| BoardProblem {
        problem,
        label,
        name,
        rgb,
    });
    let division = (id(), text()).prop_map(|(division, name)| Division { division, name });
    let times = (of(time()), of(time()), of(time()), of(time()), of(time()), of(time()));
    let lists = (vec(problem, 0..4), vec(division, 0..4), vec(award(), 0..3));
    let rest = (of(duration()), of(contest_time()), amount(), lists.0, lists.1, lists.2);
    let dimension = (id(), 0..=10_000_u32).prop_map(|(dimension, weight_bp)| BoardDimension { dimension, weight_bp });
    let rubric = (scoring(), of((id(), count())), vec(dimension, 0..3));
    (text(), of(text()), times, rest, rubric)
        .prop_map(|(name, formal_name, times, rest, rubric)| BoardHeader {
            name,
            formal_name,
            scoring: rubric.0,
            rubric: rubric.1,
            dimensions: rubric.2,
            start_at_ms: times.0,
            started_at_ms: times.1,
            frozen_at_ms: times.2,
            ended_at_ms: times.3,
            thawed_at_ms: times.4,
            finalized_at_ms: times.5,
            duration_ms: rest.0,
            freeze_ms: rest.1,
            penalty_min: rest.2,
            problems: rest.3,
            divisions: rest.4,
            awards: rest.5,
        })
        .boxed()
}

fn board_row() -> BoxedStrategy<BoardRow> {
    let cell = (id(), any::<u32>(), any::<u32>(), of(amount()), of(amount()))
        .prop_map(|(problem, judged, pending, solved_min, score)| Cell { problem, judged, pending, solved_min, score });
    let numbers = (any::<u32>(), amount(), amount(), amount());
    let points = (amount(), vec(amount(), 0..4), of(id()), vec((id(), of(amount())), 0..3), of(contest_time()))
        .prop_map(|(score, rank_key, tie, dimensions, stale_since_ms)| {
            Box::new(Points { score, rank_key, tie, dimensions, stale_since_ms })
        });
    (text(), of(text()), vec(id(), 0..3), (flag(), flag()), numbers, vec(cell, 0..4), of(points))
        .prop_map(|(name, organization, divisions, (hidden, out_of_competition), numbers, cells, points)| BoardRow {
            name,
            organization,
            divisions,
            hidden,
            out_of_competition,
            points,
            solved: numbers.0,
            penalty: numbers.1,
            last_solved_min: numbers.2,
            last_scored_at_ms: numbers.3,
            cells,
        })
        .boxed()
}

fn board_value() -> BoxedStrategy<BoardValue> {
    let first = (id(), id(), contest_time()).prop_map(|(team, submission, contest_time_ms)| FirstSolve {
        team,
        submission,
        contest_time_ms,
    });
    prop_oneof![
        board_header().prop_map(|header| BoardValue::Header(header.into())),
        board_row().prop_map(|row| BoardValue::Row(row.into())),
        first.prop_map(|first| BoardValue::First(first.into())),
        (amount(), any::<u32>()).prop_map(|(points, solves)| BoardValue::Worth(Worth { points, solves }.into())),
    ]
    .boxed()
}

fn scoring() -> impl Strategy<Value = Scoring> {
    prop_oneof![
        Just(Scoring::Icpc),
        Just(Scoring::Ctf),
        Just(Scoring::Ioi),
        Just(Scoring::Kaggle),
        Just(Scoring::Rubric)
    ]
}

fn value_function() -> BoxedStrategy<ValueFunction> {
    let falling = || (size(), size(), 1..=MAX_INTEGER);
    prop_oneof![
        size().prop_map(|points| ValueFunction::Static { points }),
        falling().prop_map(|(initial, minimum, decay)| ValueFunction::Linear { initial, minimum, decay }),
        falling().prop_map(|(initial, minimum, decay)| ValueFunction::Logarithmic { initial, minimum, decay }),
        (size(), 0..=10_000_u32, 1..=MAX_INTEGER).prop_map(|(initial, minimum_bp, difficulty_milli)| {
            ValueFunction::Exponential { initial, minimum_bp, difficulty_milli }
        }),
        Just(ValueFunction::Nizkctf),
        Just(ValueFunction::Defcon),
    ]
    .boxed()
}

fn board_rules() -> BoxedStrategy<BoardRules> {
    let selection = prop_oneof![Just(Selection::Best), Just(Selection::Last), Just(Selection::Chosen)];
    let subtasks = prop_oneof![Just(Subtasks::Each), Just(Subtasks::Whole)];
    let interval = (contest_time(), contest_time()).prop_map(|(from_ms, to_ms)| Interval { from_ms, to_ms });
    let flags = (flag(), flag(), flag());
    (of(id()), selection, subtasks, of(value_function()), of(any::<u32>()), flags, vec(interval, 0..3))
        .prop_map(|(rubric, selection, subtasks, value, selected_max, flags, removed_intervals)| BoardRules {
            rubric,
            selection,
            subtasks,
            value,
            selected_max,
            lower_is_better: flags.0,
            strict: flags.1,
            list_all: flags.2,
            removed_intervals,
        })
        .boxed()
}

fn award() -> impl Strategy<Value = CustomAward> {
    (id(), text(), vec(id(), 0..3)).prop_map(|(award, citation, teams)| CustomAward { award, citation, teams })
}
