//! Which check each field gets: the second half of decoding, after serde has settled the types.
//!
//! Every struct is taken apart by name, so that a new field does not compile until it has its line here.

use super::*;
use std::collections::BTreeMap;

use crate::board::{
    BoardDimension, BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, OVERALL,
    Points, Worth,
};
use crate::codec::limits::*;

/// Ids, sizes and ranges of a body.
pub(crate) trait Check {
    /// Fails with the first field at fault, in the order of the fields.
    fn check(&self) -> Checked;
}

macro_rules! checks {
    ($($type:ident { $($field:ident: $check:expr),* $(,)? })*) => {$(
        impl Check for $type {
            fn check(&self) -> Checked {
                let $type { $($field),* } = self;
                $(($check)($field).map_err(|fault: Fault| fault.at(stringify!($field)))?;)*
                Ok(())
            }
        }
    )*};
}

checks! {
    EventConfigured {
        name: text, formal_name: text_option, scoring: any, start_at: time_option, duration_ms: duration_option,
        freeze_duration_ms: duration_option, penalty_ms: duration_option, main_group: id_option, rules: nested,
        awards: each,
    }
    CustomAward { award: id, citation: text, teams: ids }
    BoardRules {
        rubric: id_option, selection: any, subtasks: any, value: nested_option, selected_max: any, lower_is_better: any,
        strict: any, list_all: any, removed_intervals: each,
    }
    Interval { from_ms: contest_time, to_ms: contest_time }
    Moment { at: time_option, contest_time_ms: contest_time_option }
    EventExtended { duration_ms: duration_option, reason: text_option }
    TeamRegistered {
        team: id, name: text, display_name: text_option, organization: id_option, groups: ids, hidden: any,
        out_of_competition: any, deleted: any, revision: count,
    }
    GroupRegistered { group: id, name: text, hidden: any, deleted: any, revision: count }
    OrganizationRegistered {
        organization: id, name: text, formal_name: text_option, country: id_option, deleted: any, revision: count,
    }
    ProblemPublished {
        problem: id, label: text, name: text, ordinal: amount, rgb: text_option, value: nested_option,
        weight: weight_option, deleted: any, revision: count,
    }
    LanguagePublished { language: id, name: text, deleted: any, revision: count }
    JudgementTypePublished {
        judgement_type: id, name: text, solved: any, penalty: any, deleted: any, revision: count,
    }
    RubricPublished { rubric: id, version: count, dimensions: each }
    OperatorQuarantined { operator: id, reason: text, released: any, revision: count }
    RubricDimension { dimension: id, weight_bp: share, operator: id, parameters: any }
    PricePublished { price_list: id, version: count, currency: id, effective_at: minute_option, prices: each }
    Price { model: id, kind: price_kind, micro_per_million: size, tiers: rising }
    PriceTier { above_units: count, micro_per_million: size }
    BudgetSet { budget: id, team: id_option, limit_micro: size, currency: id, alerts_bp: marks, soft: any }
    SubmissionReceived {
        submission: id, team: id, problem: id, language: id_option, contest_time_ms: contest_time_option,
        revision: count,
    }
    SubmissionSelected { submission: id, team: id, selected: any }
    SubmissionWithdrawn { submission: id, team: id, revision: count }
    HintRevealed { hint: id, team: id, problem: id, cost: amount }
    VoteRecorded { vote: id, voter: id, team: id, over: id, dimension: id_option }
    BoardAdjusted {
        adjustment: id, team: id, problem: id_option, points: amount_option, penalty: amount_option, reason: text,
        actor: id, visible: any,
    }
    JudgementRecorded {
        judgement: id, submission: id, judgement_type: id_option, start_contest_time_ms: contest_time_option,
        end_contest_time_ms: contest_time_option, current: any, revision: count, deleted: any, rejudging: id_option,
        groups: each, measures: measured,
    }
    TestGroup { group: id, passed: any, total: any, points: amount_option }
    RejudgingOpened { rejudging: id, reason: text, problem: id_option, submissions: ids }
    RejudgingApplied { rejudging: id, reason: text }
    RejudgingCancelled { rejudging: id }
    UsageVm { machine: id, duration_ms: run_time, team: id_option, lab: id_option }
    UsageHint { hint: id, team: id_option, lab: id_option }
    LabTelemetry { lab: id, metric: id, value: finite }
    LabProvisionRequested { lab: id, template: id, team: id_option }
    LabStep { lab: id, step: id, attempt: ordinal, error: text_option }
    LabState { lab: id, reason: text_option }
    ScoreReady { submission: id, team: id, score: amount }
    BoardChanged { view: any, key: nested, value: nested_option, versions: board_versions }
    BoardNoted { view: any, version: count, at: time, causes: each, rows: count }
    Cause { kind: id, what: id_option, why: text_option, actor: id_option }
    EpochClosed { pipeline: id, epoch: count, records: count }
    EpochAccepted { pipeline: id, epoch: count, bounds: each, refused: each }
    TopicBounds { topic: id, offsets: partition_offsets }
    RefusedRun { topic: id, partition: any, offset: count, records: count, code: id, detail: text_option }
    BurnChanged {
        meter: id, window_start: time, records: amount, input_tokens: amount, output_tokens: amount,
        cached_tokens: amount, cost_micro: amount,
    }
    BurnAdjusted {
        at: time, month: time, kind: id, item: id, prices: each, records: amount, before_micro: amount, after_micro: amount,
    }
    PriceVersion { price_list: id, version: count, event: id_option }
    SourcePublished { submission: id, team: id, problem: id, language: id, text: source }
    TemplatePublished { template: id, problem: id, language: id, text: source }
    Alike { team: id, submission: id }
    SimilarityChanged { problem: id, language: id, left: nested, right: nested, shared: any, share_bp: share }
    Alert { alert: id, rule: id, summary: text }
    AnalyticsChanged {
        view: id, window_start: time_option, contest_minute_ms: contest_time_option, by: id_option, team: id_option,
        numbers: measured,
    }
    BudgetAlert { budget: id, mark_bp: mark, spent_micro: amount, limit_micro: size }
    // The bytes may be as long as a record can hold; the record's own limit bounds them.
    RecordRefused {
        data_base64: any, length: count, sha256: text, topic: id, partition: any, offset: count, code: id, detail: text,
    }
    BoardHeader {
        name: text, formal_name: text_option, scoring: any, rubric: rubric_version, dimensions: each, start_at_ms: time_option, started_at_ms: time_option,
        duration_ms: duration_option, freeze_ms: contest_time_option, frozen_at_ms: time_option,
        ended_at_ms: time_option, thawed_at_ms: time_option, finalized_at_ms: time_option, penalty_min: amount,
        problems: each, divisions: each, awards: each,
    }
    BoardDimension { dimension: id, weight_bp: share }
    BoardProblem { problem: id, label: text, name: text, rgb: text_option }
    Division { division: id, name: text }
    BoardRow {
        name: text, organization: text_option, divisions: ids, hidden: any, out_of_competition: any, solved: any, penalty: amount,
        last_solved_min: amount, last_scored_at_ms: amount, cells: each, points: points_option,
    }
    Points { score: amount, rank_key: amounts, tie: id_option, dimensions: dimension_scores, stale_since_ms: contest_time_option }
    Cell { problem: id, judged: any, pending: any, solved_min: amount_option, score: amount_option }
    Worth { points: amount, solves: any }
    FirstSolve { team: id, submission: id, contest_time_ms: contest_time }
}

impl Check for BoardKey {
    fn check(&self) -> Checked {
        let (tenant, event) = self.event();
        id(tenant).map_err(|fault| fault.at("tenant"))?;
        id(event).map_err(|fault| fault.at("event"))?;
        match self {
            BoardKey::Header { .. } => Ok(()),
            BoardKey::Row { team, .. } => id(team).map_err(|fault| fault.at("team")),
            BoardKey::First { problem, .. } | BoardKey::Worth { problem, .. } => {
                id(problem).map_err(|fault| fault.at("problem"))
            }
        }
    }
}

impl Check for BoardValue {
    fn check(&self) -> Checked {
        match self {
            BoardValue::Header(header) => header.check().map_err(|fault| fault.at("header")),
            BoardValue::Row(row) => row.check().map_err(|fault| fault.at("row")),
            BoardValue::First(first) => first.check().map_err(|fault| fault.at("first")),
            BoardValue::Worth(worth) => worth.check().map_err(|fault| fault.at("worth")),
        }
    }
}

impl Check for MeterDefined {
    fn check(&self) -> Checked {
        let MeterDefined { meter, of, aggregation, value, window: _, time_zone, group_by, deleted: _, revision } = self;
        id(meter).map_err(|fault| fault.at("meter"))?;
        one_of(of, &["usage.tokens", "usage.vm", "usage.hint"]).map_err(|fault| fault.at("of"))?;
        let expected = match aggregation {
            Aggregation::Count => [].as_slice(),
            Aggregation::UniqueCount => &METER_DIMENSIONS,
            _ => &METER_NUMBERS,
        };
        let value_fault = |fault: Fault| fault.at("value");
        match (value, expected) {
            (None, []) => {}
            (Some(_), []) => return Err(value_fault(Fault::new("is given, expected none: records are counted"))),
            (Some(value), expected) => one_of(value, expected).map_err(value_fault)?,
            (None, expected) => {
                return Err(value_fault(Fault::new(format!("is missing, expected {}", expected.join(", ")))));
            }
        }
        if let Some(zone) = time_zone
            && zone.parse::<chrono_tz::Tz>().is_err()
        {
            let problem = format!("is `{zone}`, expected a name of the time zone database, as Europe/Berlin");
            return Err(Fault::new(problem).at("time_zone"));
        }
        list(group_by, |by| one_of(by, &METER_DIMENSIONS)).map_err(|fault| fault.at("group_by"))?;
        if group_by.iter().enumerate().any(|(n, by)| group_by[..n].contains(by)) {
            return Err(Fault::new("names one twice, expected each once").at("group_by"));
        }
        count(revision).map_err(|fault| fault.at("revision"))
    }
}

fn one_of(value: &crate::Id, expected: &[&str]) -> Checked {
    match expected.contains(&value.as_str()) {
        true => Ok(()),
        false => Err(Fault::new(format!("is `{value}`, expected one of {}", expected.join(", ")))),
    }
}

impl Check for MeterChanged {
    fn check(&self) -> Checked {
        let MeterChanged { meter, window_start, window_end, group, value, records, correction: _ } = self;
        id(meter).map_err(|fault| fault.at("meter"))?;
        time(window_start).map_err(|fault| fault.at("window_start"))?;
        time(window_end).map_err(|fault| fault.at("window_end"))?;
        for (by, of) in group {
            one_of(by, &METER_DIMENSIONS).and_then(|()| id(of)).map_err(|fault| fault.at("group"))?;
        }
        amount_option(value).map_err(|fault| fault.at("value"))?;
        size(records).map_err(|fault| fault.at("records"))
    }
}

impl Check for UsageTokens {
    fn check(&self) -> Checked {
        let UsageTokens { model, input_tokens, output_tokens, cached_tokens, team, lab } = self;
        id(model).map_err(|fault| fault.at("model"))?;
        count(input_tokens).map_err(|fault| fault.at("input_tokens"))?;
        count(output_tokens).map_err(|fault| fault.at("output_tokens"))?;
        count(cached_tokens).map_err(|fault| fault.at("cached_tokens"))?;
        id_option(team).map_err(|fault| fault.at("team"))?;
        id_option(lab).map_err(|fault| fault.at("lab"))?;
        if cached_tokens > input_tokens {
            let problem = format!("is {cached_tokens}, expected at most the {input_tokens} input_tokens it is part of");
            return Err(Fault::new(problem).at("cached_tokens"));
        }
        Ok(())
    }
}

fn partition_offsets(offsets: &[(u32, u64)]) -> Checked {
    list(offsets, |(_, offset)| count(offset).map_err(|fault| fault.at("[1]")))
}

/// Prices change between minutes, so that a minute's usage has one price.
fn minute_option(at: &Option<i64>) -> Checked {
    optional(at, |at| {
        time(at)?;
        if at % 60_000 == 0 { Ok(()) } else { Err(Fault::new("is not on the minute, expected seconds of 00")) }
    })
}

fn price_kind(kind: &crate::Id) -> Checked {
    match kind.as_str() {
        "input" | "output" | "cached" | "vm_second" | "hint" => Ok(()),
        other => Err(Fault::new(format!("is `{other}`, expected input, output, cached, vm_second or hint"))),
    }
}

fn rising(tiers: &[PriceTier]) -> Checked {
    each(tiers)?;
    if tiers.first().is_some_and(|tier| tier.above_units == 0)
        || !tiers.is_sorted_by(|a, b| a.above_units < b.above_units)
    {
        return Err(Fault::new("is not in order, expected above_units to rise from more than 0"));
    }
    Ok(())
}

impl Check for ValueFunction {
    fn check(&self) -> Checked {
        let named = |name: &str, value: &i64| size(value).map_err(|fault| fault.at(name));
        match self {
            ValueFunction::Static { points } => named("points", points),
            ValueFunction::Linear { initial, minimum, decay } => {
                named("initial", initial)?;
                named("minimum", minimum)?;
                named("decay", decay)
            }
            ValueFunction::Logarithmic { initial, minimum, decay } => {
                named("initial", initial)?;
                named("minimum", minimum)?;
                at_least_one(decay).map_err(|fault| fault.at("decay"))
            }
            ValueFunction::Exponential { initial, minimum_bp, difficulty_milli } => {
                named("initial", initial)?;
                share(minimum_bp).map_err(|fault| fault.at("minimum_bp"))?;
                at_least_one(difficulty_milli).map_err(|fault| fault.at("difficulty_milli"))
            }
            ValueFunction::Nizkctf | ValueFunction::Defcon => Ok(()),
        }
    }
}

/// Something is divided by it.
fn at_least_one(value: &i64) -> Checked {
    size(value)?;
    if *value > 0 { Ok(()) } else { Err(Fault::new("is 0, expected at least 1")) }
}

/// Scores times weights stay within what an integer holds.
fn weight_option(value: &Option<u32>) -> Checked {
    optional(value, |weight| match *weight {
        1..=1_000 => Ok(()),
        other => Err(Fault::new(format!("is {other}, expected an integer from 1 to 1000"))),
    })
}

fn measured(measures: &BTreeMap<crate::Id, i64>) -> Checked {
    if measures.len() > MAX_ITEMS {
        return Err(Fault::new(format!("has {} items; at most {MAX_ITEMS} are accepted", measures.len())));
    }
    measures.iter().try_for_each(|(name, value)| {
        id(name)?;
        amount(value).map_err(|fault| fault.at(name))
    })
}

fn amounts(items: &[i64]) -> Checked {
    list(items, amount)
}

fn points_option(points: &Option<Box<Points>>) -> Checked {
    optional(points, |points| points.check())
}

fn rubric_version(rubric: &Option<(crate::Id, u64)>) -> Checked {
    optional(rubric, |(rubric, version)| {
        id(rubric).map_err(|fault| fault.at("[0]"))?;
        count(version).map_err(|fault| fault.at("[1]"))
    })
}

fn dimension_scores(items: &[(crate::Id, Option<i64>)]) -> Checked {
    list(items, |(dimension, score)| {
        id(dimension).map_err(|fault| fault.at("[0]"))?;
        amount_option(score).map_err(|fault| fault.at("[1]"))
    })
}

fn nested(value: &impl Check) -> Checked {
    value.check()
}

fn nested_option(value: &Option<impl Check>) -> Checked {
    optional(value, Check::check)
}

fn each<T: Check>(items: &[T]) -> Checked {
    list(items, T::check)
}

/// JSON has no infinity, so a value that was read is finite; one that was computed may not be.
fn finite(value: &f64) -> Checked {
    if value.is_finite() { Ok(()) } else { Err(Fault::new(format!("is {value}, expected a finite number"))) }
}

/// The overall division has no name.
fn board_versions(items: &[(crate::Id, u64)]) -> Checked {
    list(items, |(division, version)| {
        if division == OVERALL { Ok(()) } else { id(division).map_err(|fault| fault.at("[0]")) }?;
        count(version).map_err(|fault| fault.at("[1]"))
    })
}
