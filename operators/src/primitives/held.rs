//! How much the operators of this process hold in memory, by name: for the metric `gravity_operator_records`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

type Totals = BTreeMap<String, Arc<AtomicI64>>;

static TOTALS: LazyLock<RwLock<Totals>> = LazyLock::new(RwLock::default);

/// One worker's share of what an operator holds. Gone when dropped.
#[derive(Debug)]
pub struct Held {
    total: Arc<AtomicI64>,
    share: i64,
}

impl Held {
    /// Nothing as yet.
    pub fn by(operator: &str) -> Held {
        let mut totals = TOTALS.write().unwrap_or_else(PoisonError::into_inner);
        Held { total: totals.entry(operator.to_owned()).or_default().clone(), share: 0 }
    }

    /// So many rows now.
    pub fn set(&mut self, rows: usize) {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        if rows != self.share {
            self.total.fetch_add(rows - self.share, Ordering::Relaxed);
            self.share = rows;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Every operator's rows, over all workers and pipelines of the process, by name.
pub fn all() -> Vec<(String, i64)> {
    let totals = TOTALS.read().unwrap_or_else(PoisonError::into_inner);
    totals.iter().map(|(operator, rows)| (operator.clone(), rows.load(Ordering::Relaxed))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_end_with_their_worker() {
        let of = |name: &str| all().into_iter().find(|(n, _)| n == name).map(|(_, rows)| rows);
        let (mut a, mut b) = (Held::by("held-test"), Held::by("held-test"));
        a.set(3);
        b.set(4);
        a.set(1);
        assert_eq!(of("held-test"), Some(5));
        drop(b);
        assert_eq!(of("held-test"), Some(1));
    }
}
