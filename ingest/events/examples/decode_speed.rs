//! Prints how long it takes to decode typical records, with and without their identity.
//!
//! `cargo run --release --example decode_speed -p gravity-events`

use std::hint::black_box;
use std::time::Instant;

use gravity_events::codec::{decode, decode_full, encode};

const JUDGEMENT: &str = r#"{"specversion":"1.0","id":"judgements/4f1c-88812","source":"feed/clics","type":"judgement.recorded","tenant":"acme","event":"finals-2026","time":"2026-03-14T10:22:31.250Z","data":{"judgement":"88812","submission":"40123","judgement_type":"AC","start_contest_time_ms":8551000,"end_contest_time_ms":8553250,"revision":2}}"#;
const SUBMISSION: &str = r#"{"specversion":"1.0","id":"submissions/4f1c-40123","source":"feed/clics","type":"submission.received","tenant":"acme","event":"finals-2026","time":"2026-03-14T10:22:30.000Z","data":{"submission":"40123","team":"team-1042","problem":"knapsack","language":"cpp","contest_time_ms":8550000}}"#;
const USAGE: &str = r#"{"specversion":"1.0","id":"01J9Z3N3C5","source":"gateway/eu-1","type":"usage.tokens","tenant":"acme","subject":"team-1042","time":"2026-03-14T10:22:30.000Z","data":{"model":"large-1","input_tokens":1532,"output_tokens":211,"cached_tokens":1024}}"#;

const ROUNDS: u32 = 300_000;

fn measure<T>(name: &str, work: impl Fn() -> T) {
    // The best of a few rounds: what the code takes, without what else the machine was doing.
    let best = (0..5).map(|_| {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(work());
        }
        start.elapsed() / ROUNDS
    });
    println!("{name:<32} {:>6} ns/record", best.min().unwrap_or_default().as_nanos());
}

fn main() {
    for (name, json) in [("judgement", JUDGEMENT), ("submission", SUBMISSION), ("usage", USAGE)] {
        match decode_full(json.as_bytes()) {
            Ok((record, _)) => measure(&format!("{name} encode"), || encode(black_box(&record))),
            Err(error) => return eprintln!("{name}: {error}"),
        }
        measure(&format!("{name} decode ({} bytes)", json.len()), || decode(black_box(json.as_bytes())));
        measure(&format!("{name} decode_full"), || decode_full(black_box(json.as_bytes())));
    }
}
