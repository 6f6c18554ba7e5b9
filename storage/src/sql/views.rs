//! The schema `views`: answers to what analysts ask most, as queries over the lake and the live tables.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;

use super::catalog::Provided;

/// A query that has a name.
pub struct View {
    /// Its name, in the schema `views`.
    pub name: &'static str,
    /// What it answers.
    pub about: &'static str,
    /// How.
    pub sql: &'static str,
}

/// All of them, by name.
pub const VIEWS: &[View] = &[
    View {
        name: "cost_per_point",
        about: "What a team's models and machines cost for each point that it has",
        sql: "
            with burn as (
                select tenant, event, team, currency, sum(cost_micro) as cost_micro
                from live.burn where team is not null group by tenant, event, team, currency
            )
            select b.tenant, b.event, b.team, b.name, b.score, burn.cost_micro, burn.currency,
                case when b.score > 0 then burn.cost_micro / b.score end as cost_per_point_micro
            from live.boards b join burn on b.tenant = burn.tenant and b.event = burn.event and b.team = burn.team
            where b.view = 'jury'",
    },
    View {
        name: "drop_off",
        about: "Challenges by the share of teams that tried and are still without a solution",
        sql: "
            select tenant, event, problem, teams_tried, teams_solved, teams_without,
                100 * teams_without / teams_tried as without_pct
            from live.funnel",
    },
    View {
        name: "improved",
        about: "Who improved in the last hour of an event: the score then, and before",
        sql: "
            with rows as (
                select tenant, event, team, score, appended_at, version, log_offset,
                    max(appended_at) over (partition by tenant, event) as until
                from lake.boards where what = 'row' and view = 'jury' and not gone
            ),
            marked as (
                select *, appended_at > until - interval '1 hour' as is_new from rows
            ),
            numbered as (
                select *, row_number() over (
                    partition by tenant, event, team, is_new order by version desc, log_offset desc) as n
                from marked
            ),
            last as (select * from numbered where n = 1 and is_new),
            before as (select * from numbered where n = 1 and not is_new)
            select last.tenant, last.event, last.team, coalesce(before.score, 0) as score_before, last.score,
                last.score - coalesce(before.score, 0) as improved_by
            from last left join before
                on last.tenant = before.tenant and last.event = before.event and last.team = before.team
            where last.score > coalesce(before.score, 0)",
    },
    View {
        name: "stuck_labs",
        about: "Labs that were asked for or began a step, and of which nothing was heard for ten minutes",
        sql: "
            with numbered as (
                select tenant, lab, type, step, attempt, time,
                    row_number() over (partition by tenant, lab order by time desc, log_offset desc) as n
                from lake.labs
            )
            select tenant, lab, type as last_record, step, attempt, time as since
            from numbered
            where n = 1 and type not in ('lab.ready', 'lab.failed', 'lab.released')
                and time < now() - interval '10 minutes'",
    },
    View {
        name: "verdicts",
        about: "How many submissions have which verdict, by problem and language: the newest revision of each judgement",
        sql: "
            with received as (
                select *, row_number() over (
                    partition by tenant, event, submission order by revision desc, log_offset desc) as n
                from lake.submissions where type = 'submission.received'
            ),
            judged as (
                select *, row_number() over (
                    partition by tenant, event, judgement order by revision desc, log_offset desc) as n
                from lake.judgements where judgement is not null
            )
            select s.tenant, s.event, s.problem, s.language, j.judgement_type, count(*) as judgements
            from judged j join received s
                on s.tenant = j.tenant and s.event = j.event and s.submission = j.submission
            where j.n = 1 and s.n = 1 and j.judgement_type is not null and coalesce(j.deleted, false) = false
            group by s.tenant, s.event, s.problem, s.language, j.judgement_type",
    },
];

type Session = dyn Fn() -> Result<SessionContext> + Send + Sync;

/// The schema of a session.
pub(super) struct ViewsSchema {
    /// Makes a session that sees the same rows, and no views.
    pub session: Arc<Session>,
}

impl fmt::Debug for ViewsSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewsSchema")
    }
}

/// A view's plan. Why it is boxed here: [`crate::sql`].
fn provided<'a>(session: &'a Session, sql: &'a str) -> BoxFuture<'a, Provided> {
    Box::pin(async move {
        match session()?.state().create_logical_plan(sql).await {
            Ok(plan) => Ok(Some(Arc::new(ViewTable::new(plan, None)) as Arc<dyn TableProvider>)),
            // A process without a live table has no view of it.
            Err(e) if matches!(e.find_root(), DataFusionError::Plan(_)) => Ok(None),
            Err(e) => Err(e),
        }
    })
}

#[async_trait]
impl SchemaProvider for ViewsSchema {
    fn table_names(&self) -> Vec<String> {
        VIEWS.iter().map(|view| view.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Provided {
        let Some(view) = VIEWS.iter().find(|view| view.name == name) else { return Ok(None) };
        provided(&*self.session, view.sql).await
    }

    fn table_exist(&self, name: &str) -> bool {
        VIEWS.iter().any(|view| view.name == name)
    }
}
