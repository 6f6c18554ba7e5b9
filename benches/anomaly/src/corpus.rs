//! The files of the benchmark, and the half that each is in.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gravity_events::time::parse_rfc3339_ms;
use gravity_operators::anomaly::Point;

/// Which half a file is in; committed before any detector was written.
const SPLIT: &str = include_str!("../split.txt");

/// A series.
pub struct Series {
    /// `category/file`.
    pub name: String,
    /// Whether detectors are tuned on it.
    pub tune: bool,
    /// Its points.
    pub points: Vec<Point>,
    /// First and last row of each labelled window.
    pub windows: Vec<(usize, usize)>,
}

/// Reads `data/` and `labels/` of the benchmark.
pub fn read(folder: &Path) -> Result<Vec<Series>> {
    let labels = folder.join("labels/combined_windows.json");
    let text = std::fs::read_to_string(&labels).with_context(|| {
        format!(
            "{}: the benchmark's files are needed (data/ and labels/ of the Numenta Anomaly Benchmark); name their folder by --data",
            labels.display()
        )
    })?;
    let labels: BTreeMap<String, Vec<[String; 2]>> = serde_json::from_str(&text).context("combined_windows.json")?;
    let mut corpus = Vec::new();
    for line in SPLIT.lines().filter(|line| !line.starts_with('#')) {
        let (half, name) = line.split_once(' ').context("split.txt: each line is `half name`")?;
        let path = folder.join("data").join(name);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let points = text
            .lines()
            .skip(1)
            .map(|line| {
                let (at, value) = line.split_once(',').context("no comma")?;
                Ok(Point { at_ms: time(at)?, value: value.trim().parse()? })
            })
            .collect::<Result<Vec<_>>>()
            .with_context(|| path.display().to_string())?;
        let mut windows = Vec::new();
        for [first, last] in labels.get(name).with_context(|| format!("{name} has no labels"))? {
            let (first, last) = (time(first)?, time(last)?);
            let inside: Vec<usize> =
                (0..points.len()).filter(|row| (first..=last).contains(&points[*row].at_ms)).collect();
            if let (Some(first), Some(last)) = (inside.first(), inside.last()) {
                windows.push((*first, *last));
            }
        }
        windows.sort_unstable();
        corpus.push(Series { name: name.into(), tune: half == "tune", points, windows });
    }
    ensure!(!corpus.is_empty(), "split.txt names no file");
    Ok(corpus)
}

/// `2014-02-14 14:30:00`, with a fraction that the benchmark itself leaves out.
fn time(text: &str) -> Result<i64> {
    let whole = text.split('.').next().unwrap_or(text).replace(' ', "T");
    parse_rfc3339_ms(&format!("{whole}Z")).map_err(|why| anyhow::anyhow!("`{text}` is no time: {why}"))
}
