//! The tables of the lake: which topics they hold, and their columns.

use bytes::Bytes;
use gravity_events::board::{BoardKey, BoardValue, OVERALL};
use gravity_events::body::LabStep;
use gravity_events::{Body, Position, Record, Topic};

use super::columns::{Column, DAY_MS, Kind, Value, column};

/// What a row is made of.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its place in the log.
    pub position: Position,
    /// When the log took it.
    pub appended_at_ms: i64,
    /// The record; None: its bytes are none (of refused ones only).
    pub record: Option<Record>,
    /// Its bytes.
    pub raw: Bytes,
    /// Why it did not count: code and reason. None: it did.
    pub refused: Option<(String, Option<String>)>,
}

impl Row {
    /// The moment whose day says in which part it is kept. Of what was refused the log's own: nobody looked at its times.
    fn kept_at_ms(&self) -> i64 {
        let said = self.record.as_ref().filter(|_| self.refused.is_none()).and_then(|record| record.time_ms);
        said.unwrap_or(self.appended_at_ms)
    }

    /// The part of its table: day and tenant.
    pub fn part(&self) -> (i64, &str) {
        (self.kept_at_ms().div_euclid(DAY_MS), self.tenant())
    }

    fn tenant(&self) -> &str {
        self.record.as_ref().map_or("-", |record| record.tenant.as_str())
    }

    fn body(&self) -> Option<&Body> {
        self.record.as_ref().map(|record| &record.body)
    }
}

/// Which rows of its topics a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those that counted.
    Accepted,
    /// Those that did not.
    Refused,
    /// All that pipelines wrote.
    Written,
}

/// A table of the lake.
pub struct Table {
    /// Its name, in the schema `lake`.
    pub name: &'static str,
    /// What it holds, for people.
    pub about: &'static str,
    /// Where its rows come from.
    pub topics: &'static [Topic],
    /// Which of them.
    pub rows: Rows,
    /// Whether a record of its topics is one of its rows.
    pub takes: fn(&Row) -> bool,
    /// Its columns.
    pub columns: Vec<Column<Row>>,
    /// Columns by which rows of a file are sorted.
    pub sorted_by: &'static [&'static str],
    /// Columns in which single values are looked for.
    pub looked_up: &'static [&'static str],
}

/// Tables are kept in parts by these.
pub const PARTITIONED_BY: [&str; 2] = ["day", "tenant"];

/// Every table, in order of their names.
pub fn tables() -> Vec<Table> {
    vec![
        adjustments(),
        alerts(),
        analytics(),
        boards(),
        judgements(),
        labs(),
        meters(),
        reference(),
        refused(),
        similarity(),
        submissions(),
        telemetry(),
        usage(),
    ]
}

/// A column that a body may have.
macro_rules! of_body {
    ($name:literal, $kind:ident, $about:literal, $($pattern:pat => $value:expr),+ $(,)?) => {
        column($name, Kind::$kind, $about, |row: &Row| match row.body() {
            $(Some($pattern) => Value::from($value),)+
            _ => Value::Null,
        })
    };
}

fn common(own: Vec<Column<Row>>) -> Vec<Column<Row>> {
    let mut columns = vec![
        column("tenant", Kind::Text, "Who pays", |row: &Row| row.tenant().into()),
        column("day", Kind::Day, "Day of `time`, or else of `appended_at` (UTC)", |row: &Row| {
            Value::Time(row.kept_at_ms())
        }),
        column("event", Kind::Text, "The event", |row: &Row| row.record.as_ref().and_then(|r| r.event.as_ref()).into()),
        column("type", Kind::Text, "Type of the record", |row: &Row| row.body().map(Body::kind).into()),
    ];
    columns.extend(own);
    columns.extend([
        column("subject", Kind::Text, "Subject of the record", |row: &Row| {
            row.record.as_ref().and_then(|r| r.subject.as_ref()).into()
        }),
        column("time", Kind::Time, "When it was, as the record says", |row: &Row| {
            row.record.as_ref().and_then(|r| r.time_ms).map_or(Value::Null, Value::Time)
        }),
        column("id", Kind::Text, "Id of the record, unique with tenant and source", |row: &Row| {
            row.record.as_ref().map(|r| &r.id).into()
        }),
        column("source", Kind::Text, "Who said it", |row: &Row| row.record.as_ref().map(|r| &r.source).into()),
        column("appended_at", Kind::Time, "When the log took it", |row: &Row| Value::Time(row.appended_at_ms)),
        column("log_topic", Kind::Text, "Its topic", |row: &Row| row.position.topic.name().into()),
        column("log_partition", Kind::Int, "Its partition", |row: &Row| i64::from(row.position.partition).into()),
        column("log_offset", Kind::Int, "Its offset", |row: &Row| row.position.offset.into()),
    ]);
    columns
}

/// All that the record says, as JSON.
fn data() -> Column<Row> {
    column("data", Kind::Text, "All that the record says, as JSON", |row: &Row| {
        row.body().and_then(|body| body.encode().ok()).into()
    })
}

fn all(_: &Row) -> bool {
    true
}

fn usage() -> Table {
    Table {
        name: "usage",
        about: "Usage that counted: one row per record",
        topics: &[Topic::Usage],
        rows: Rows::Accepted,
        takes: all,
        columns: common(vec![
            of_body!("model", Text, "Model, machine type or hint",
                Body::UsageTokens(b) => &b.model, Body::UsageVm(b) => &b.machine, Body::UsageHint(b) => &b.hint),
            of_body!("input_tokens", Int, "Tokens read",
                Body::UsageTokens(b) => b.input_tokens, Body::UsageVm(_) | Body::UsageHint(_) => 0_i64),
            of_body!("output_tokens", Int, "Tokens written",
                Body::UsageTokens(b) => b.output_tokens, Body::UsageVm(_) | Body::UsageHint(_) => 0_i64),
            of_body!("cached_tokens", Int, "Of the tokens read, those from a cache",
                Body::UsageTokens(b) => b.cached_tokens, Body::UsageVm(_) | Body::UsageHint(_) => 0_i64),
            of_body!("duration_ms", Int, "How long a machine ran",
                Body::UsageVm(b) => b.duration_ms, Body::UsageTokens(_) | Body::UsageHint(_) => 0_i64),
            of_body!("team", Text, "The team", Body::UsageTokens(b) => b.team.as_ref(), Body::UsageVm(b) => b.team.as_ref(),
                Body::UsageHint(b) => b.team.as_ref()),
            of_body!("lab", Text, "The lab", Body::UsageTokens(b) => b.lab.as_ref(), Body::UsageVm(b) => b.lab.as_ref(),
                Body::UsageHint(b) => b.lab.as_ref()),
        ]),
        sorted_by: &["event", "time"],
        looked_up: &["id", "subject"],
    }
}

fn submissions() -> Table {
    Table {
        name: "submissions",
        about: "What teams handed in, selected, withdrew, revealed and voted, and adjustments of boards",
        topics: &[Topic::Submissions],
        rows: Rows::Accepted,
        takes: all,
        columns: common(vec![
            of_body!("submission", Text, "The submission", Body::SubmissionReceived(b) => &b.submission,
                Body::SubmissionSelected(b) => &b.submission, Body::SubmissionWithdrawn(b) => &b.submission),
            of_body!("team", Text, "The team", Body::SubmissionReceived(b) => &b.team, Body::SubmissionSelected(b) => &b.team,
                Body::SubmissionWithdrawn(b) => &b.team, Body::HintRevealed(b) => &b.team, Body::VoteRecorded(b) => &b.team,
                Body::BoardAdjusted(b) => &b.team),
            of_body!("problem", Text, "The problem", Body::SubmissionReceived(b) => &b.problem,
                Body::HintRevealed(b) => &b.problem, Body::BoardAdjusted(b) => b.problem.as_ref()),
            of_body!("language", Text, "The language", Body::SubmissionReceived(b) => b.language.as_ref()),
            of_body!("contest_time_ms", Int, "Time since the start of the event", Body::SubmissionReceived(b) => b.contest_time_ms),
            of_body!("revision", Int, "The greatest one holds", Body::SubmissionReceived(b) => b.revision,
                Body::SubmissionWithdrawn(b) => b.revision),
            data(),
        ]),
        sorted_by: &["event", "time"],
        looked_up: &["submission", "team"],
    }
}

fn judgements() -> Table {
    Table {
        name: "judgements",
        about: "What evaluators said: one row per revision, and rejudgings",
        topics: &[Topic::Judgements],
        rows: Rows::Accepted,
        takes: all,
        columns: common(vec![
            of_body!("judgement", Text, "The judgement", Body::JudgementRecorded(b) => &b.judgement),
            of_body!("submission", Text, "Of which submission", Body::JudgementRecorded(b) => &b.submission),
            of_body!("judgement_type", Text, "The verdict; none: not yet", Body::JudgementRecorded(b) => b.judgement_type.as_ref()),
            of_body!("start_contest_time_ms", Int, "When judging began", Body::JudgementRecorded(b) => b.start_contest_time_ms),
            of_body!("end_contest_time_ms", Int, "When judging ended", Body::JudgementRecorded(b) => b.end_contest_time_ms),
            of_body!("revision", Int, "The greatest one holds", Body::JudgementRecorded(b) => b.revision),
            of_body!("deleted", Bool, "It holds no more", Body::JudgementRecorded(b) => b.deleted),
            of_body!("rejudging", Text, "The rejudging that it is part of", Body::JudgementRecorded(b) => b.rejudging.as_ref(),
                Body::RejudgingOpened(b) => &b.rejudging, Body::RejudgingApplied(b) => &b.rejudging,
                Body::RejudgingCancelled(b) => &b.rejudging),
            data(),
        ]),
        sorted_by: &["event", "time"],
        looked_up: &["submission", "judgement"],
    }
}

fn step(body: &Body) -> Option<&LabStep> {
    match body {
        Body::LabStepStarted(b) | Body::LabStepSucceeded(b) | Body::LabStepFailed(b) => Some(b),
        _ => None,
    }
}

fn labs() -> Table {
    Table {
        name: "labs",
        about: "What became of labs, step by step",
        topics: &[Topic::Labs],
        rows: Rows::Accepted,
        takes: all,
        columns: common(vec![
            column("lab", Kind::Text, "The lab", |row: &Row| match row.body() {
                Some(Body::LabProvisionRequested(b)) => (&b.lab).into(),
                Some(Body::LabReady(b) | Body::LabFailed(b) | Body::LabReleased(b)) => (&b.lab).into(),
                Some(body) => step(body).map(|step| &step.lab).into(),
                None => Value::Null,
            }),
            column("step", Kind::Text, "The step", |row: &Row| row.body().and_then(step).map(|step| &step.step).into()),
            column("attempt", Kind::Int, "Which attempt, from 1", |row: &Row| {
                row.body().and_then(step).map(|step| i64::from(step.attempt)).into()
            }),
            of_body!("team", Text, "For whom", Body::LabProvisionRequested(b) => b.team.as_ref()),
            data(),
        ]),
        sorted_by: &["lab", "time"],
        looked_up: &["lab"],
    }
}

fn telemetry() -> Table {
    Table {
        name: "telemetry",
        about: "What labs measured",
        topics: &[Topic::Telemetry],
        rows: Rows::Accepted,
        takes: all,
        columns: common(vec![
            of_body!("lab", Text, "The lab", Body::LabTelemetry(b) => &b.lab),
            of_body!("metric", Text, "What was measured", Body::LabTelemetry(b) => &b.metric),
            of_body!("value", Float, "How much", Body::LabTelemetry(b) => b.value),
        ]),
        sorted_by: &["lab", "metric", "time"],
        looked_up: &["lab"],
    }
}

fn reference() -> Table {
    Table {
        name: "reference",
        about: "Events and their states, teams, problems, rubrics, prices: every version of each",
        topics: &[Topic::Reference],
        rows: Rows::Accepted,
        takes: all,
        columns: common(vec![data()]),
        sorted_by: &["event", "type"],
        looked_up: &["id"],
    }
}

fn refused() -> Table {
    Table {
        name: "refused",
        about: "Records that did not count, and why: duplicates, conflicts, dead letters",
        topics: &[
            Topic::Reference,
            Topic::Submissions,
            Topic::Judgements,
            Topic::Usage,
            Topic::Telemetry,
            Topic::Labs,
            Topic::Sources,
        ],
        rows: Rows::Refused,
        takes: all,
        columns: common(vec![
            column("code", Kind::Text, "`duplicate`, `conflict`, ...", |row: &Row| {
                row.refused.as_ref().map(|(code, _)| code.as_str()).into()
            }),
            column("reason", Kind::Text, "What is wrong with it", |row: &Row| {
                row.refused.as_ref().and_then(|(_, detail)| detail.as_deref()).into()
            }),
            column("bytes", Kind::Int, "Its length", |row: &Row| (row.raw.len() as u64).into()),
        ]),
        sorted_by: &["code", "appended_at"],
        looked_up: &["id"],
    }
}

fn similarity() -> Table {
    Table {
        name: "similarity",
        about: "Pairs of sources as they became alike, more or less so, or no longer",
        topics: &[Topic::Similarities],
        rows: Rows::Written,
        takes: |row| matches!(row.body(), Some(Body::SimilarityChanged(_))),
        columns: common(vec![
            of_body!("problem", Text, "The problem", Body::SimilarityChanged(b) => &b.problem),
            of_body!("language", Text, "Languages that are compared with each other", Body::SimilarityChanged(b) => &b.language),
            of_body!("left_team", Text, "The team whose id is the lesser", Body::SimilarityChanged(b) => &b.left.team),
            of_body!("left_submission", Text, "Its submission", Body::SimilarityChanged(b) => &b.left.submission),
            of_body!("right_team", Text, "The other team", Body::SimilarityChanged(b) => &b.right.team),
            of_body!("right_submission", Text, "Its submission", Body::SimilarityChanged(b) => &b.right.submission),
            of_body!("shared", Int, "Fingerprints that they share", Body::SimilarityChanged(b) => i64::from(b.shared)),
            of_body!("share_bp", Int, "How much of the smaller one is in the other, in basis points; 0: no longer alike",
                Body::SimilarityChanged(b) => i64::from(b.share_bp)),
        ]),
        sorted_by: &["event", "problem"],
        looked_up: &[],
    }
}

fn boards() -> Table {
    Table {
        name: "boards",
        about: "How boards changed: rows, headers, first solves and values of challenges, public and jury",
        topics: &[Topic::BoardsPublic, Topic::BoardsJury],
        rows: Rows::Written,
        takes: |row| matches!(row.body(), Some(Body::BoardChanged(_))),
        columns: common(vec![
            of_body!("view", Text, "`public` or `jury`", Body::BoardChanged(b) => b.view.name()),
            of_body!("what", Text, "`header`, `row`, `first` or `worth`", Body::BoardChanged(b) => match &b.key {
                BoardKey::Header { .. } => "header",
                BoardKey::Row { .. } => "row",
                BoardKey::First { .. } => "first",
                BoardKey::Worth { .. } => "worth",
            }),
            of_body!("team", Text, "The team of a row or first solve", Body::BoardChanged(b) => match (&b.key, &b.value) {
                (BoardKey::Row { team, .. }, _) => Some(team),
                (_, Some(BoardValue::First(first))) => Some(&first.team),
                _ => None,
            }),
            of_body!("problem", Text, "The problem of a first solve or value", Body::BoardChanged(b) => match &b.key {
                BoardKey::First { problem, .. } | BoardKey::Worth { problem, .. } => Some(problem),
                _ => None,
            }),
            of_body!("score", Int, "The row's score, in the board's unit", Body::BoardChanged(b) => match &b.value {
                Some(BoardValue::Row(row)) => Some(row.points.as_ref().map_or(i64::from(row.solved), |points| points.score)),
                _ => None,
            }),
            of_body!("version", Int, "Version of the overall board with this change", Body::BoardChanged(b) =>
                b.versions.iter().find(|(division, _)| *division == OVERALL).map(|(_, version)| *version)),
            of_body!("gone", Bool, "It is no more", Body::BoardChanged(b) => b.value.is_none()),
            data(),
        ]),
        sorted_by: &["event", "view", "version"],
        looked_up: &["team"],
    }
}

/// A map as JSON; none where it is empty.
fn json_of(map: serde_json::Value) -> Option<String> {
    map.as_object().is_some_and(|map| !map.is_empty()).then(|| map.to_string())
}

fn analytics() -> Table {
    Table {
        name: "analytics",
        about: "How views of events changed, row by row",
        topics: &[Topic::Analytics],
        rows: Rows::Written,
        takes: |row| matches!(row.body(), Some(Body::AnalyticsChanged(_))),
        columns: common(vec![
            of_body!("view", Text, "The view", Body::AnalyticsChanged(b) => &b.view),
            of_body!("window_start", Time, "The minute that it is about",
                Body::AnalyticsChanged(b) => b.window_start.map_or(Value::Null, Value::Time)),
            of_body!("contest_minute_ms", Int, "The minute that it is about, in contest time",
                Body::AnalyticsChanged(b) => b.contest_minute_ms),
            of_body!("by", Text, "The problem or language that it is about", Body::AnalyticsChanged(b) => b.by.as_ref()),
            of_body!("team", Text, "The team that it names", Body::AnalyticsChanged(b) => b.team.as_ref()),
            of_body!("numbers", Text, "Its numbers by name, as JSON", Body::AnalyticsChanged(b) => json_of(serde_json::json!(b.numbers))),
            of_body!("gone", Bool, "It is no more", Body::AnalyticsChanged(b) => b.numbers.is_empty()),
        ]),
        sorted_by: &["event", "view", "time"],
        looked_up: &["by"],
    }
}

fn meters() -> Table {
    Table {
        name: "meters",
        about: "How windows of meters changed: corrections, too",
        topics: &[Topic::Analytics],
        rows: Rows::Written,
        takes: |row| matches!(row.body(), Some(Body::MeterChanged(_))),
        columns: common(vec![
            of_body!("meter", Text, "The meter", Body::MeterChanged(b) => &b.meter),
            of_body!("window_start", Time, "Start of the window", Body::MeterChanged(b) => Value::Time(b.window_start)),
            of_body!("window_end", Time, "The first moment after it", Body::MeterChanged(b) => Value::Time(b.window_end)),
            of_body!("window_group", Text, "What it is of, as JSON", Body::MeterChanged(b) => json_of(serde_json::json!(b.group))),
            of_body!("value", Int, "The number; of a mean the sum, to be divided by `records`; none: the window is no more",
                Body::MeterChanged(b) => b.value),
            of_body!("records", Int, "Records in it", Body::MeterChanged(b) => b.records),
            of_body!("correction", Bool, "The window was over: usage came late", Body::MeterChanged(b) => b.correction),
        ]),
        sorted_by: &["meter", "window_start"],
        looked_up: &["meter"],
    }
}

fn adjustments() -> Table {
    Table {
        name: "adjustments",
        about: "What prices that came later made of usage that had been charged, by item and month",
        topics: &[Topic::Changes],
        rows: Rows::Written,
        takes: |row| matches!(row.body(), Some(Body::BurnAdjusted(_))),
        columns: common(vec![
            of_body!("month", Time, "Start of the month (UTC)", Body::BurnAdjusted(b) => Value::Time(b.month)),
            of_body!("kind", Text, "`model`, `machine` or `hint`", Body::BurnAdjusted(b) => &b.kind),
            of_body!("item", Text, "Which", Body::BurnAdjusted(b) => &b.item),
            of_body!("prices", Text, "The lists and versions that came, as JSON",
                Body::BurnAdjusted(b) => json_of(serde_json::json!(b.prices))),
            of_body!("records", Int, "Records whose minute costs otherwise", Body::BurnAdjusted(b) => b.records),
            of_body!("before_micro", Int, "What those minutes cost, in micro-units", Body::BurnAdjusted(b) => b.before_micro),
            of_body!("after_micro", Int, "What they cost since", Body::BurnAdjusted(b) => b.after_micro),
        ]),
        sorted_by: &["month", "item"],
        looked_up: &[],
    }
}

fn alerts() -> Table {
    Table {
        name: "alerts",
        about: "What was flagged for a person",
        topics: &[Topic::Alerts],
        rows: Rows::Written,
        takes: |row| !matches!(row.body(), None | Some(Body::EpochClosed(_))),
        columns: common(vec![
            of_body!("alert", Text, "The alert or budget", Body::AlertRaised(b) => &b.alert, Body::AlertCleared(b) => &b.alert,
                Body::BudgetAlert(b) => &b.budget),
            of_body!("summary", Text, "What is unusual", Body::AlertRaised(b) => b.summary.as_str(),
                Body::AlertCleared(b) => b.summary.as_str()),
            data(),
        ]),
        sorted_by: &["time"],
        looked_up: &["subject"],
    }
}
