//! Which check each field gets: the second half of decoding, after serde has settled the types.
//!
//! Every struct is taken apart by name, so that a new field does not compile until it has its line here.

use super::*;
use crate::board::{BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, OVERALL};
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
        freeze_duration_ms: duration_option, penalty_ms: duration_option, main_group: id_option,
    }
    Moment { at: time_option, contest_time_ms: contest_time_option }
    EventExtended { duration_ms: duration_option, reason: text_option }
    TeamRegistered {
        team: id, name: text, display_name: text_option, organization: id_option, groups: ids, hidden: any,
        deleted: any, revision: count,
    }
    GroupRegistered { group: id, name: text, hidden: any, deleted: any, revision: count }
    OrganizationRegistered {
        organization: id, name: text, formal_name: text_option, country: id_option, deleted: any, revision: count,
    }
    ProblemPublished {
        problem: id, label: text, name: text, ordinal: amount, rgb: text_option, deleted: any, revision: count,
    }
    LanguagePublished { language: id, name: text, deleted: any, revision: count }
    JudgementTypePublished {
        judgement_type: id, name: text, solved: any, penalty: any, deleted: any, revision: count,
    }
    RubricPublished { rubric: id, version: count, dimensions: each }
    RubricDimension { dimension: id, weight_bp: share, operator: id, parameters: any }
    PricePublished { price_list: id, version: count, currency: id, prices: each }
    Price { model: id, kind: id, micro_per_million: size }
    BudgetSet { budget: id, limit_micro: size, currency: id, alerts_bp: marks }
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
    }
    RejudgingOpened { rejudging: id, reason: text }
    RejudgingApplied { rejudging: id }
    RejudgingCancelled { rejudging: id }
    UsageTokens { model: id, input_tokens: count, output_tokens: count, cached_tokens: count }
    UsageVm { machine: id, duration_ms: run_time }
    LabTelemetry { lab: id, metric: id, value: finite }
    LabProvisionRequested { lab: id, template: id, team: id_option }
    LabStep { lab: id, step: id, attempt: ordinal, error: text_option }
    LabState { lab: id, reason: text_option }
    ScoreReady { submission: id, team: id, score: amount }
    BoardChanged { view: any, key: nested, value: nested_option, versions: board_versions }
    EpochClosed { pipeline: id, epoch: count, records: count }
    BurnChanged {
        meter: id, window_start: time, records: amount, input_tokens: amount, output_tokens: amount,
        cached_tokens: amount, cost_micro: amount,
    }
    Alert { alert: id, rule: id, summary: text }
    BudgetAlert { budget: id, mark_bp: mark, spent_micro: amount }
    BoardHeader {
        name: text, formal_name: text_option, start_at_ms: time_option, started_at_ms: time_option,
        duration_ms: duration_option, freeze_ms: contest_time_option, frozen_at_ms: time_option,
        ended_at_ms: time_option, thawed_at_ms: time_option, finalized_at_ms: time_option, penalty_min: amount,
        problems: each, divisions: each,
    }
    BoardProblem { problem: id, label: text, name: text, rgb: text_option }
    Division { division: id, name: text }
    BoardRow {
        name: text, organization: text_option, divisions: ids, hidden: any, solved: any, penalty: amount,
        last_solved_min: amount, last_scored_at_ms: amount, cells: each,
    }
    Cell { problem: id, judged: any, pending: any, solved_min: amount_option }
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
            BoardKey::First { problem, .. } => id(problem).map_err(|fault| fault.at("problem")),
        }
    }
}

impl Check for BoardValue {
    fn check(&self) -> Checked {
        match self {
            BoardValue::Header(header) => header.check().map_err(|fault| fault.at("header")),
            BoardValue::Row(row) => row.check().map_err(|fault| fault.at("row")),
            BoardValue::First(first) => first.check().map_err(|fault| fault.at("first")),
        }
    }
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
    if value.is_finite() {
        Ok(())
    } else {
        Err(Fault::new(format!("is {value}, expected a finite number")))
    }
}

/// The overall division has no name.
fn board_versions(items: &[(crate::Id, u64)]) -> Checked {
    list(items, |(division, version)| {
        if division == OVERALL {
            Ok(())
        } else {
            id(division).map_err(|fault| fault.at("[0]"))
        }?;
        count(version).map_err(|fault| fault.at("[1]"))
    })
}
