//! Prints how many records of each type a CLICS feed becomes, and what is left out: `feed_stat FILE`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::time::Instant;

use gravity_ingest::feeds::Importer;
use gravity_ingest::feeds::clics::ClicsImporter;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: feed_stat FILE");
        return ExitCode::from(2);
    };
    match stat(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("cannot read {path}: {e}");
            ExitCode::FAILURE
        }
    }
}

fn stat(path: &str) -> std::io::Result<()> {
    let mut importer = ClicsImporter::new("tenant", "event", "/feeds/clics/event");
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut ids, mut records, mut bad) = (BTreeSet::new(), 0, 0);
    let began = Instant::now();
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        match importer.push(&line?) {
            Ok(told) => told.into_iter().for_each(|r| {
                records += 1;
                *kinds.entry(r.body.kind()).or_default() += 1;
                ids.insert(r.id);
            }),
            Err(e) => {
                bad += 1;
                eprintln!("{e}");
            }
        }
    }
    kinds.iter().for_each(|(kind, n)| println!("{kind:28} {n}"));
    println!("{:28} {records} with {} ids", "records", ids.len());
    importer.skipped().iter().for_each(|(kind, n)| println!("skipped {kind:20} {n}"));
    println!("{:28} {bad}", "bad lines");
    eprintln!("{:?}; memory as JSON: {} bytes", began.elapsed(), importer.snapshot().map_or(0, |s| s.len()));
    Ok(())
}
