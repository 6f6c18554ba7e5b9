//! Alerts of budgets: one for each mark that what was spent passes, and again when it was below in between.

use std::collections::BTreeSet;

use gravity_events::body::BudgetAlert;
use gravity_events::burn::Account;
use gravity_events::{Body, Id, Record};
use sqlx::Row;

use super::{LedgerError, Tx, outbox, text};

/// The source of alerts.
const SOURCE: &str = "gravity:budgets";

/// Looks at the budgets of accounts on which something was booked, and puts alerts in the outbox.
pub(super) async fn look(
    tx: &mut Tx,
    accounts: impl IntoIterator<Item = Account>,
    now_ms: i64,
) -> Result<(), LedgerError> {
    const BUDGETS: &str = "SELECT b.budget, b.limit_micro, b.alerts_bp, b.told_bp, a.settled_micro + a.unreserved_micro \
         FROM budgets b JOIN accounts a ON a.tenant = b.tenant AND a.event = b.event AND a.team = b.team \
         WHERE b.tenant = $1 AND b.event = $2 AND b.team = $3 ORDER BY b.budget";
    const TOLD: &str = "UPDATE budgets SET told_bp = $4 WHERE tenant = $1 AND event = $2 AND budget = $3";
    for account in accounts.into_iter().collect::<BTreeSet<_>>() {
        let (tenant, event) = (account.tenant.as_str(), text(&account.event));
        let query = sqlx::query(BUDGETS).bind(tenant).bind(event).bind(text(&account.team));
        for row in query.fetch_all(&mut **tx).await? {
            let (budget, limit_micro): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let marks: Vec<u32> = serde_json::from_str(&row.try_get::<String, _>(2)?).unwrap_or_default();
            let (told_bp, spent_micro): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
            let passed: Vec<u32> =
                marks.into_iter().filter(|mark| is_passed(*mark, spent_micro, limit_micro)).collect();
            let highest = passed.iter().copied().max().map_or(0, i64::from);
            for mark_bp in passed.into_iter().filter(|mark| i64::from(*mark) > told_bp) {
                let body = BudgetAlert { budget: budget.as_str().into(), mark_bp, spent_micro, limit_micro };
                let id = format!("{event}/{budget}/{mark_bp}/{now_ms}");
                let record = alert(&account, id.as_str().into(), body, now_ms);
                outbox::put(tx, &format!("alert/{tenant}/{id}"), &record, now_ms).await?;
            }
            if highest != told_bp {
                let query = sqlx::query(TOLD).bind(tenant).bind(event).bind(budget.as_str()).bind(highest);
                query.execute(&mut **tx).await?;
            }
        }
    }
    Ok(())
}

/// Whether so much of the limit was spent; a limit of nothing is passed by the first micro-unit.
fn is_passed(mark_bp: u32, spent_micro: i64, limit_micro: i64) -> bool {
    spent_micro > 0 && i128::from(spent_micro) * 10_000 >= i128::from(limit_micro) * i128::from(mark_bp)
}

fn alert(account: &Account, id: Id, body: BudgetAlert, now_ms: i64) -> Record {
    Record {
        id,
        source: SOURCE.into(),
        tenant: account.tenant.clone(),
        event: account.event.clone(),
        subject: Some(body.budget.clone()),
        time_ms: Some(now_ms),
        backfill: false,
        body: Body::BudgetAlert(body),
    }
}

#[cfg(test)]
mod tests {
    use super::is_passed;

    #[test]
    fn marks_are_shares_of_the_limit() {
        assert!(is_passed(8_000, 80, 100) && !is_passed(8_000, 79, 100));
        assert!(is_passed(12_000, i64::MAX, i64::MAX / 2), "no overflow");
        assert!(is_passed(5_000, 1, 0) && !is_passed(5_000, 0, 0));
    }
}
