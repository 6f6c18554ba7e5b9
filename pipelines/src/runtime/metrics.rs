//! What operators of the platform see of a pipeline (names: contracts.md, "Metrics").

use std::sync::LazyLock;

use gravity_operators::primitives::held;
use prometheus::{
    CounterVec, HistogramVec, IntCounterVec, IntGaugeVec, register_counter_vec, register_histogram_vec,
    register_int_counter_vec, register_int_gauge_vec,
};

const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

macro_rules! metrics {
    ($($name:ident: $type:ty = $register:ident!($($arg:expr),*);)*) => {
        $(
            #[allow(missing_docs)] // the help text says it
            pub static $name: LazyLock<$type> = LazyLock::new(|| $register!($($arg),*).expect("metrics are registered once"));
        )*
    };
}

metrics! {
    EPOCH: IntGaugeVec = register_int_gauge_vec!("gravity_epoch", "The last committed epoch.", &["pipeline"]);
    EPOCH_DURATION: HistogramVec = register_histogram_vec!("gravity_epoch_duration_seconds", "From the cut of an epoch to its publication.", &["pipeline"], SECONDS.to_vec());
    COMMIT_DURATION: HistogramVec = register_histogram_vec!("gravity_commit_duration_seconds", "Appending and syncing a frame.", &["pipeline"], SECONDS.to_vec());
    FRESHNESS: HistogramVec = register_histogram_vec!("gravity_freshness_seconds", "From acceptance of an epoch's oldest record to its publication.", &["pipeline"], SECONDS.to_vec());
    DEAD_LETTERS: IntCounterVec = register_int_counter_vec!("gravity_dead_letters_total", "Records refused and kept.", &["topic", "code"]);
    DUPLICATES: IntCounterVec = register_int_counter_vec!("gravity_duplicates_total", "Records that had been counted before.", &["topic"]);
    OPERATOR_RECORDS: IntGaugeVec = register_int_gauge_vec!("gravity_operator_records", "Rows that an operator holds in memory: fold rows, groups of a view.", &["operator"]);
    OPERATOR_BUSY: CounterVec = register_counter_vec!("gravity_operator_busy_seconds_total", "How long an operator ran, by timely's log.", &["pipeline", "operator"]);
    RESTARTS: IntCounterVec = register_int_counter_vec!("gravity_pipeline_restarts_total", "Restarts of a pipeline after an error.", &["pipeline"]);
    OVERRUNS: IntCounterVec = register_int_counter_vec!("gravity_operator_overruns_total", "Calls of operators that did not come back.", &["pipeline"]);
    BROKEN: IntCounterVec = register_int_counter_vec!("gravity_invariant_violations_total", "Things that must not be, seen and survived.", &["invariant"]);
}

/// Tells how much the operators hold now.
pub fn observe_operators() {
    for (operator, rows) in held::all() {
        OPERATOR_RECORDS.with_label_values(&[&operator]).set(rows);
    }
}
