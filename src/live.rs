//! The live tables of SQL: what is shown now, read from memory when a query is planned.

mod analytics;
mod flags;

use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use gravity_api::operations::PartitionLag;
use gravity_api::serving::analytics::Analytics;
use gravity_api::serving::burn::Burn;
use gravity_api::serving::flags::Flags;
use gravity_api::serving::{Boards, HeaderState, RankedRow};
use gravity_events::Id;
use gravity_events::board::OVERALL;
use gravity_events::burn::{Cell, Charged};
use gravity_storage::lake::columns::{Column, Kind, Value, batch, column, schema};
use gravity_storage::sql::{LiveTable, Scope};

use crate::operations::NodeOperations;

/// A table whose rows are read by `read`.
fn table<R: 'static>(
    name: &'static str,
    about: &'static str,
    columns: Vec<Column<R>>,
    read: impl Fn(&Scope) -> Vec<R> + Send + Sync + 'static,
) -> LiveTable {
    let schema = schema(&columns);
    let read =
        move |scope: &Scope| -> Result<Vec<RecordBatch>, ArrowError> { Ok(vec![batch(&columns, &read(scope))?]) };
    LiveTable { name, about, schema, read: Box::new(read) }
}

/// Every live table, over what this process shows.
pub fn tables(
    boards: &Arc<Boards>,
    burn: &Arc<Burn>,
    analytics: &Arc<Analytics>,
    flagged: &Arc<Flags>,
    operations: &Arc<NodeOperations>,
) -> Vec<LiveTable> {
    let (rows, heads, burn, operations) = (boards.clone(), boards.clone(), burn.clone(), operations.clone());
    let mut tables = vec![
        table("boards", "Rows of all boards as they are shown", board_columns(), move |scope| board_rows(&rows, scope)),
        table("events", "Events with a board", event_columns(), move |scope| events(&heads, scope)),
        table("burn", "What was used and what it costs, by minute", burn_columns(), move |scope| cells(&burn, scope)),
        table("lag", "Durable records that no epoch has", lag_columns(), move |scope| lag(&operations, scope)),
    ];
    tables.extend(analytics::tables(analytics));
    tables.extend(flags::tables(flagged));
    tables
}

fn sees(scope: &Scope, tenant: &Id) -> bool {
    scope.tenant().is_none_or(|own| own == tenant)
}

struct BoardLine {
    header: Arc<HeaderState>,
    version: u64,
    row: RankedRow,
}

fn board_rows(boards: &Boards, scope: &Scope) -> Vec<BoardLine> {
    let snapshot = boards.snapshot();
    let mut lines = Vec::new();
    for event in snapshot.events.iter().filter(|e| sees(scope, &e.header.tenant)) {
        let Some((version, rows)) = event.ranked(OVERALL) else { continue };
        lines.extend(rows.into_iter().map(|row| BoardLine { header: event.header.clone(), version, row }));
    }
    lines
}

fn board_columns() -> Vec<Column<BoardLine>> {
    vec![
        column("tenant", Kind::Text, "Whose event", |l| (&l.header.tenant).into()),
        column("event", Kind::Text, "The event", |l| (&l.header.event).into()),
        column("view", Kind::Text, "`public` or `jury`", |l| l.header.view.name().into()),
        column("version", Kind::Int, "Version of the board", |l| l.version.into()),
        column("rank", Kind::Int, "None: unranked", |l| l.row.rank.map(i64::from).into()),
        column("team", Kind::Text, "The team", |l| (&l.row.row.team).into()),
        column("name", Kind::Text, "Its name", |l| l.row.row.row.name.as_str().into()),
        column("score", Kind::Int, "In the board's unit", |l| {
            let row = &l.row.row.row;
            row.points.as_ref().map_or(i64::from(row.solved), |points| points.score).into()
        }),
        column("penalty", Kind::Int, "Of boards that have one", |l| l.row.row.row.penalty.into()),
        column("hidden", Kind::Bool, "Seen by the jury alone", |l| l.row.row.row.hidden.into()),
        column("last_scored_at", Kind::Time, "When its score grew last", |l| match l.row.row.row.last_scored_at_ms {
            0 => Value::Null,
            at_ms => Value::Time(at_ms),
        }),
    ]
}

fn events(boards: &Boards, scope: &Scope) -> Vec<Arc<HeaderState>> {
    let snapshot = boards.snapshot();
    snapshot.events.iter().map(|e| e.header.clone()).filter(|header| sees(scope, &header.tenant)).collect()
}

fn event_columns() -> Vec<Column<Arc<HeaderState>>> {
    fn at<'a>(ms: Option<i64>) -> Value<'a> {
        ms.map_or(Value::Null, Value::Time)
    }
    vec![
        column("tenant", Kind::Text, "Whose event", |h: &Arc<HeaderState>| (&h.tenant).into()),
        column("event", Kind::Text, "The event", |h| (&h.event).into()),
        column("view", Kind::Text, "`public` or `jury`", |h| h.view.name().into()),
        column("name", Kind::Text, "Its name", |h| h.header.name.as_str().into()),
        column("starts_at", Kind::Time, "When it is to start", |h| at(h.header.start_at_ms)),
        column("started_at", Kind::Time, "When it started", |h| at(h.header.started_at_ms)),
        column("frozen_at", Kind::Time, "When it was frozen", |h| at(h.header.frozen_at_ms)),
        column("ended_at", Kind::Time, "When it ended", |h| at(h.header.ended_at_ms)),
        column("thawed_at", Kind::Time, "When it was thawed", |h| at(h.header.thawed_at_ms)),
        column("finalized_at", Kind::Time, "When it was finalized", |h| at(h.header.finalized_at_ms)),
    ]
}

struct BurnLine {
    cell: Cell,
    charged: Charged,
    currency: Option<Id>,
}

fn cells(burn: &Burn, scope: &Scope) -> Vec<BurnLine> {
    let tenants = burn.snapshot().tenants.into_iter().filter(|(tenant, ..)| sees(scope, tenant));
    let lines = tenants.flat_map(|(_, currency, cells)| {
        cells.into_iter().map(move |(cell, charged)| BurnLine { cell, charged, currency: currency.clone() })
    });
    lines.collect()
}

fn burn_columns() -> Vec<Column<BurnLine>> {
    vec![
        column("tenant", Kind::Text, "Who pays", |l| (&l.cell.tenant).into()),
        column("window_start", Kind::Time, "The minute", |l| Value::Time(l.cell.start_ms())),
        column("event", Kind::Text, "The event", |l| l.cell.event.as_ref().into()),
        column("team", Kind::Text, "The team", |l| l.cell.team.as_ref().into()),
        column("lab", Kind::Text, "The lab", |l| l.cell.lab.as_ref().into()),
        column("model", Kind::Text, "Model or machine type", |l| l.cell.item.name().into()),
        column("records", Kind::Int, "Records counted", |l| l.charged.usage.records.into()),
        column("input_tokens", Kind::Int, "Tokens read", |l| l.charged.usage.input_tokens.into()),
        column("output_tokens", Kind::Int, "Tokens written", |l| l.charged.usage.output_tokens.into()),
        column("cached_tokens", Kind::Int, "Of the tokens read, those from a cache", |l| {
            l.charged.usage.cached_tokens.into()
        }),
        column("duration_ms", Kind::Int, "Time that machines ran", |l| l.charged.usage.duration_ms.into()),
        column("cost_micro", Kind::Int, "In micro-units of `currency`", |l| l.charged.cost_micro.into()),
        column("currency", Kind::Text, "In which it is paid", |l| l.currency.as_ref().into()),
        column("price_list", Kind::Text, "The list that charged it", |l| {
            l.charged.prices.as_ref().map(|(list, _)| list).into()
        }),
        column("price_version", Kind::Int, "Its version", |l| {
            l.charged.prices.as_ref().map(|(_, version)| *version).into()
        }),
        column("unpriced", Kind::Bool, "Something of it has no price", |l| l.charged.unpriced.into()),
    ]
}

/// For operators of the platform: a tenant sees none of it.
fn lag(operations: &NodeOperations, scope: &Scope) -> Vec<(String, PartitionLag)> {
    let pipelines = if *scope == Scope::All { operations.told() } else { Vec::new() };
    pipelines.into_iter().flat_map(|p| p.lag.into_iter().map(move |lag| (p.name.clone(), lag))).collect()
}

fn lag_columns() -> Vec<Column<(String, PartitionLag)>> {
    vec![
        column("pipeline", Kind::Text, "Which pipeline", |(pipeline, _): &(String, PartitionLag)| {
            pipeline.as_str().into()
        }),
        column("topic", Kind::Text, "Its topic", |(_, lag)| lag.topic.as_str().into()),
        column("partition", Kind::Int, "The partition", |(_, lag)| i64::from(lag.partition).into()),
        column("bound", Kind::Int, "The first offset that no epoch has", |(_, lag)| lag.bound.into()),
        column("log_end", Kind::Int, "The first offset that is not durable", |(_, lag)| lag.end.into()),
        column("lag", Kind::Int, "Records between", |(_, lag)| lag.lag.into()),
    ]
}
