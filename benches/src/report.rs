//! docs/benchmarks.md: one table; and the same for programs beside it, as JSON. A run replaces the rows of its own cases and
//! leaves the others.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{cases, machine};

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which case.
    pub case: &'static str,
    /// Under which load.
    pub load: String,
    /// What was measured, with its unit.
    pub figure: String,
    /// What stood beside it in the same run.
    pub peer: String,
    /// The one by the other.
    pub ratio: String,
    /// What is asked for, and whether it is met.
    pub target: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { case, load, figure, peer, ratio, target } = self;
        write!(f, "| {case} | {load} | {figure} | {peer} | {ratio} | {target} |")
    }
}

/// `value` against a limit, in words.
pub fn at_most(value: f64, limit: f64, unit: &str) -> String {
    format!("<= {limit}{unit}: {}", if value <= limit { "met" } else { "missed" })
}

const HEAD: &str = "\
# Benchmarks

Written by `make bench` (`scripts/bench [CASE..] [--quick]`); each case is a file in benches/src/cases. A ratio compares
with what stood beside it in the same run, on the same machine. CPU is user and system time of all threads of the process.

| case | load | figure | peer or floor | ratio | target |
|---|---|---|---|---|---|
";

/// Puts a case's rows in place.
pub fn update(path: &Path, case: &str, rows: &[Row]) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let (mut page, mut runs) = (HEAD.to_owned(), String::new());
    for (name, _) in cases::ALL {
        let (row, run) = (format!("| {name} |"), format!("- {name}: "));
        if *name == case {
            rows.iter().for_each(|r| page.push_str(&format!("{r}\n")));
            runs.push_str(&format!("{run}{}\n", machine::line()));
        } else {
            page.push_str(&lines(&old, &row));
            runs.push_str(&lines(&old, &run));
        }
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, format!("{page}\nTaken:\n\n{runs}"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    update_json(&path.with_extension("json"), case, rows)
}

/// By case: when and where it was taken, and its rows.
fn update_json(path: &Path, case: &str, rows: &[Row]) -> anyhow::Result<()> {
    let mut all: BTreeMap<String, Value> = match std::fs::read(path) {
        Ok(old) => serde_json::from_slice(&old).with_context(|| format!("{} is not what it was", path.display()))?,
        Err(_) => BTreeMap::new(),
    };
    all.retain(|name, _| cases::ALL.iter().any(|c| c.0 == name));
    all.insert(case.to_owned(), json!({ "taken": machine::line(), "rows": rows }));
    std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}

fn lines(page: &str, start: &str) -> String {
    page.lines().filter(|l| l.starts_with(start)).map(|l| format!("{l}\n")).collect()
}
