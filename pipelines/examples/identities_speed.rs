//! How fast identities are merged, opened and looked up: `cargo run --release -p gravity-pipelines --example
//! identities_speed [identities] [new ones per merge]`. The figures of docs/decisions/0002-identities.md are its.

use std::sync::Arc;
use std::time::Instant;

use gravity_events::Identity;
use gravity_events::record::stable_hash128;
use gravity_pipelines::runtime::dedupe::runs::{self, RunSet, Runs};
use gravity_pipelines::runtime::dedupe::{FOREVER, Identities, Verdict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let all = numbers.next().transpose()?.unwrap_or(8_500_000);
    let per_merge = numbers.next().transpose()?.unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(".")?;
    let id = |n: u64| Identity { id: stable_hash128(&[&n.to_le_bytes()]), data: n };
    let (mut set, mut upto) = (RunSet::none(0), 0);
    let began = Instant::now();
    for first in (0..all).step_by(usize::try_from(per_merge)?) {
        let new = (first..all.min(first + per_merge)).map(id).map(|i| (i.id, i.data, FOREVER)).collect();
        upto += 1;
        let one = Instant::now();
        set = set.merged(dir.path(), new, upto, 100, true, &|| true)?.ok_or("given up")?;
        runs::clean(dir.path(), &set.names())?;
        println!("merge {upto}: {:.2} s, {} runs", one.elapsed().as_secs_f64(), set.names().len());
    }
    println!("{} identities merged in {:.1} s", set.len(), began.elapsed().as_secs_f64());
    let names = set.names();
    for name in &names {
        // Out of the page cache, as after a reboot.
        let file = std::fs::File::open(name.path(&runs::runs_dir(dir.path())))?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    let began = Instant::now();
    let set = RunSet::open(dir.path(), upto, &names)?;
    println!(
        "opened cold in {:.0} ms, {:.1} MB in memory",
        began.elapsed().as_secs_f64() * 1e3,
        set.memory_bytes() as f64 / 1e6
    );
    let table = Identities::with_capacity(0, Arc::new(Runs::new(set)));
    for (what, from, expected) in
        [("known, cold", 0, Verdict::Duplicate), ("known, warm", 0, Verdict::Duplicate), ("new", all, Verdict::New)]
    {
        let n = all.min(1_000_000);
        // The known ones come spread over all runs.
        let step = if from == 0 { all / n } else { 1 };
        let ids: Vec<Identity> = (0..n).map(|i| id(from + i * step)).collect();
        let began = Instant::now();
        for identity in ids {
            if table.look(identity, 100)? != expected {
                return Err("a wrong verdict".into());
            }
        }
        println!("{n} {what}: {:.2} us each", began.elapsed().as_secs_f64() * 1e6 / n as f64);
    }
    Ok(())
}
