//! Metrics of the HTTP side, in the process's default registry. No label carries a team, event, submission or lab.

use std::collections::{BTreeMap, HashSet};
use std::sync::{LazyLock, OnceLock};

use gravity_events::burn::Usage;
use gravity_events::publish::LabPhase;
use gravity_events::{Id, Topic};
use parking_lot::Mutex;
use prometheus::{
    Encoder, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder, register_histogram_vec,
    register_int_counter_vec, register_int_gauge, register_int_gauge_vec,
};

/// `gravity_http_request_duration_seconds{service,route,status}`: from the request's head to the response's head.
pub static HTTP_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "gravity_http_request_duration_seconds",
        "Time from a request's head to its response's head, by service, route template and status",
        &["service", "route", "status"],
        vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]
    )
    .expect("registered once, by this static")
});

/// `gravity_records_total{topic,outcome}`. `accepted`: durable in the log through HTTP; `refused`: by HTTP, before the
/// log; `counted`, `duplicate`, `conflict`, `dead_letter`: by the pipeline that reads the topic.
pub static RECORDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "gravity_records_total",
        "Records by topic and what became of them",
        &["topic", "outcome"]
    )
    .expect("registered once, by this static")
});

/// The `accepted` of [`RECORDS`] for a topic, without a look-up for each record.
pub fn accepted(topic: Topic) -> &'static IntCounter {
    static ACCEPTED: [OnceLock<IntCounter>; Topic::ALL.len()] = [const { OnceLock::new() }; Topic::ALL.len()];
    ACCEPTED[usize::from(topic.code())].get_or_init(|| RECORDS.with_label_values(&[topic.name(), "accepted"]))
}

/// `gravity_stream_subscribers`: open board streams.
pub static STREAM_SUBSCRIBERS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("gravity_stream_subscribers", "Open board streams").expect("registered once, by this static")
});

/// `gravity_http_connections`: open connections.
pub static CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("gravity_http_connections", "Open HTTP connections").expect("registered once, by this static")
});

/// `gravity_tokens_total{tenant,model,kind}`: tokens that counted, as the burn pipeline shows them. `cached` is part of `input`.
pub static TOKENS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "gravity_tokens_total",
        "Tokens that counted, by tenant, model and kind; cached ones are part of the input",
        &["tenant", "model", "kind"]
    )
    .expect("registered once, by this static")
});

/// `gravity_budget_alerts_total{mark_bp}`: marks that budgets passed, in basis points of their limits.
pub static BUDGET_ALERTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("gravity_budget_alerts_total", "Marks that budgets passed", &["mark_bp"])
        .expect("registered once, by this static")
});

/// `gravity_labs{state}`: labs by where they are in their lives. Those in `requested` are the queue of provisioning.
pub static LABS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("gravity_labs", "Labs that are not released, by state", &["state"])
        .expect("registered once, by this static")
});

/// `gravity_lab_alerts`: labs with an alert.
pub static LAB_ALERTS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("gravity_lab_alerts", "Labs whose measurements are unusual now")
        .expect("registered once, by this static")
});

/// Tenants and models that have counters of their own; further ones are told together as `-`.
const TOKEN_SERIES_MAX: usize = 1_000;

/// Counts tokens that an epoch brought, by tenant and model.
pub fn count_tokens(used: &BTreeMap<(&Id, &Id), Usage>) {
    static KNOWN: LazyLock<Mutex<HashSet<(Id, Id)>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock();
    for (&(tenant, model), used) in used {
        let key = (tenant.clone(), model.clone());
        let known = known.contains(&key) || (known.len() < TOKEN_SERIES_MAX && known.insert(key));
        let [tenant, model] = if known { [tenant.as_str(), model.as_str()] } else { ["-", "-"] };
        for (kind, count) in
            [("input", used.input_tokens), ("output", used.output_tokens), ("cached", used.cached_tokens)]
        {
            // A counter only goes up, and so does usage.
            if let Ok(count @ 1..) = u64::try_from(count) {
                TOKENS.with_label_values(&[tenant, model, kind]).inc_by(count);
            }
        }
    }
}

/// Registers all of them, so that they are shown from the start.
pub fn register() {
    LazyLock::force(&HTTP_DURATION);
    for topic in Topic::ALL {
        RECORDS.with_label_values(&[topic.name(), "dead_letter"]);
    }
    LazyLock::force(&STREAM_SUBSCRIBERS);
    LazyLock::force(&CONNECTIONS);
    LazyLock::force(&TOKENS);
    BUDGET_ALERTS.with_label_values(&["10000"]);
    LazyLock::force(&LAB_ALERTS);
    for phase in LabPhase::ALL {
        LABS.with_label_values(&[phase.name()]);
    }
}

/// Everything in the default registry in Prometheus' text format.
pub fn text() -> Result<Vec<u8>, prometheus::Error> {
    let mut out = Vec::new();
    TextEncoder::new().encode(&prometheus::gather(), &mut out)?;
    Ok(out)
}
