//! The live tables of analytics: one per view of events, and the windows of meters.

use std::sync::Arc;

use gravity_api::serving::analytics::{Analytics, WindowShown};
use gravity_events::Id;
use gravity_events::analytics::{MeterWindow, Minutes, ViewKey, ViewRow, ViewSpec};
use gravity_storage::lake::columns::{Column, Kind, Value, column};
use gravity_storage::sql::LiveTable;

use super::table;

/// All of them.
pub fn tables(analytics: &Arc<Analytics>) -> Vec<LiveTable> {
    let mut tables: Vec<LiveTable> = analytics.specs().iter().map(|spec| view(spec, analytics.clone())).collect();
    let shown = analytics.clone();
    let about = "What tenants measure of their usage, by window and group";
    tables.push(table("meters", about, meter_columns(), move |scope| shown.windows_everywhere(scope.tenant())));
    tables
}

type Line = (ViewKey, ViewRow);

/// Numbers of a view at most.
const NUMBERS: [for<'a> fn(&'a Line) -> Value<'a>; 8] =
    [number::<0>, number::<1>, number::<2>, number::<3>, number::<4>, number::<5>, number::<6>, number::<7>];

fn number<const N: usize>(line: &Line) -> Value<'_> {
    line.1.numbers.get(N).copied().flatten().into()
}

fn view(spec: &'static ViewSpec, analytics: Arc<Analytics>) -> LiveTable {
    let mut columns: Vec<Column<Line>> = vec![
        column("tenant", Kind::Text, "Whose event", |line: &Line| (&line.0.tenant).into()),
        column("event", Kind::Text, "The event", |line| (&line.0.event).into()),
    ];
    match spec.minutes {
        Minutes::None => {}
        Minutes::Clock => columns.push(column("window_start", Kind::Time, "The minute", |line| {
            line.0.minute_ms.map_or(Value::Null, Value::Time)
        })),
        Minutes::Contest => {
            let about = "The minute's start, in contest time";
            columns.push(column("contest_minute_ms", Kind::Int, about, |line| line.0.minute_ms.into()));
        }
    }
    if let Some(by) = spec.by {
        columns.push(column(by, Kind::Text, "What the row is about", |line| line.0.by.as_ref().into()));
    }
    if let Some(about) = spec.team {
        columns.push(column("team", Kind::Text, about, |line| line.1.team.as_ref().into()));
    }
    debug_assert!(spec.numbers.len() <= NUMBERS.len(), "{} has more numbers than a live table tells", spec.name);
    columns.extend(spec.numbers.iter().zip(NUMBERS).map(|((name, about), get)| column(name, Kind::Int, about, get)));
    table(spec.name, spec.about, columns, move |scope| analytics.view_everywhere(scope.tenant(), spec.name))
}

type Window = (MeterWindow, WindowShown);

fn meter_columns() -> Vec<Column<Window>> {
    fn of<'a>(window: &'a Window, by: &str) -> Value<'a> {
        window.0.group.iter().find(|(name, _)| name == by).and_then(|(_, of): &(Id, Option<Id>)| of.as_ref()).into()
    }
    vec![
        column("tenant", Kind::Text, "Whose", |window: &Window| (&window.0.tenant).into()),
        column("meter", Kind::Text, "The meter", |window| (&window.0.meter).into()),
        column("window_start", Kind::Time, "Start of the window", |window| Value::Time(window.0.start_ms)),
        column("window_end", Kind::Time, "The first moment after it", |window| Value::Time(window.0.end_ms)),
        column("event", Kind::Text, "Of which event, where it is grouped by it", |window| of(window, "event")),
        column("team", Kind::Text, "Of which team", |window| of(window, "team")),
        column("participant", Kind::Text, "Of whom", |window| of(window, "participant")),
        column("model", Kind::Text, "Of which model or machine type", |window| of(window, "model")),
        column("lab", Kind::Text, "Of which lab", |window| of(window, "lab")),
        column("value", Kind::Int, "The number; of a mean the sum, to be divided by `records`", |window| {
            window.1.value.value.into()
        }),
        column("records", Kind::Int, "Records in it", |window| window.1.value.records.into()),
        column("corrected_at", Kind::Time, "When usage that came late changed it last", |window| {
            window.1.corrected_at_ms.map_or(Value::Null, Value::Time)
        }),
    ]
}
