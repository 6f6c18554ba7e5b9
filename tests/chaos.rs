//! Random faults under load, one after the other, on the embedded log and on Kafka, with the lake in a folder and on an S3
//! server, on disks that lose power or are full, over networks that are cut: after each, what is shown and kept is what it
//! would be without it.
//!
//! `GRAVITY_CHAOS=N` sets how many; `make chaos N=1000` is for a night. The seed is printed, and taken from `GRAVITY_SEED` where
//! set. Without N there are 12, the same ones each time.

#[path = "power_loss/disk.rs"]
mod disk;
#[path = "chaos/faults.rs"]
mod faults;
#[path = "../storage/tests/support/s3_server.rs"]
mod s3_server;
#[path = "chaos/site.rs"]
mod site;
#[path = "chaos/small_disk.rs"]
mod small_disk;
mod support;
#[path = "chaos/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::time::Instant;

use faults::Fault;
use gravity_operators::harness::dice::Dice;
use site::{Site, Stands};
use support::environment::{number, seed};

/// Faults of a site, before another kind of site has its turn.
const OF_A_SITE: u64 = 20;
const SITES: [Stands; 3] = [
    Stands { broker: false, store: false, modelled_disk: true, small_disk: false },
    Stands { broker: true, store: true, modelled_disk: false, small_disk: false },
    Stands { broker: false, store: true, modelled_disk: false, small_disk: true },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_fault_all_is_as_if_it_had_not_been() {
    let wanted = number("GRAVITY_CHAOS");
    let all = wanted.unwrap_or(12);
    let of_a_site = OF_A_SITE.min(all.div_ceil(SITES.len() as u64));
    let mut random = Dice::new(if wanted.is_some() { seed() } else { number("GRAVITY_SEED").unwrap_or(4_160) });
    // By kind: how many, and how long from the fault until all was checked.
    let (mut table, mut done) = (BTreeMap::<&str, (u64, f64)>::new(), 0);
    for on in SITES.into_iter().cycle() {
        if done == all {
            break;
        }
        let mut site = Site::new(on).await;
        for _ in 0..of_a_site.min(all - done) {
            // Of several, one whose kind had its turn less often: also a short run has most kinds.
            let any: Vec<_> = (0..4).map(|_| site.any_fault(&mut random)).collect();
            let times = |fault: &Fault| table.get(fault.kind()).map_or(0, |entry| entry.0);
            let fault = any.into_iter().min_by_key(times).expect("there are some");
            eprintln!("fault {done}: {fault:?}");
            let began = Instant::now();
            if let Err(what) = site.suffer(&fault, &mut random).await {
                panic!("fault {done}, {fault:?}, {on:?}: {what}\nserver: {}", site.server.log());
            }
            let took_s = began.elapsed().as_secs_f64();
            eprintln!("fault {done}: all is well after {took_s:.1} s");
            let entry = table.entry(fault.kind()).or_default();
            *entry = (entry.0 + 1, entry.1.max(took_s));
            done += 1;
        }
        site.end().await;
    }
    eprintln!("| fault | times | longest until all was checked |\n|---|---|---|");
    for (kind, (times, longest_s)) in table {
        eprintln!("| {kind} | {times} | {longest_s:.1} s |");
    }
}
