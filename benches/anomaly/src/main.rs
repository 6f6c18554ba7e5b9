//! `make bench-anomaly`: the detectors of anomalies on the Numenta Anomaly Benchmark, on the half that they were tuned on and on
//! the half that they were not.

mod corpus;
mod scorer;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use gravity_operators::anomaly::Detector;
use gravity_operators::anomaly::entropy::RelativeEntropy;
use gravity_operators::anomaly::gaussian::WindowedGaussian;
use gravity_operators::anomaly::observer::Observer;

use crate::corpus::Series;
use crate::scorer::{PROFILES, Said};

#[derive(Parser)]
struct Arguments {
    /// The folder with the benchmark's data/ and labels/.
    #[arg(long, default_value = "../shared/data/nab")]
    data: PathBuf,
    /// Prints what each detector said of each row into this folder, as the benchmark's own scorer reads it.
    #[arg(long)]
    results: Option<PathBuf>,
}

/// What makes a detector for a series.
type Make = fn() -> Box<dyn Detector>;

/// The detectors by name: the floor and a peer of the benchmark, then ours.
const DETECTORS: [(&str, Make); 3] = [
    ("windowed-gaussian", || Box::new(WindowedGaussian::default())),
    ("relative-entropy", || Box::new(RelativeEntropy::default())),
    ("observer", || Box::new(Observer::default())),
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let corpus = corpus::read(&arguments.data)?;
    let windows: usize = corpus.iter().map(|series| series.windows.len()).sum();
    let points: usize = corpus.iter().map(|series| series.points.len()).sum();
    println!("{} files, {points} points, {windows} windows", corpus.len());
    println!(
        "{:18} {:6} {:>9} {:>19} {:>19}  threshold",
        "detector", "half", PROFILES[0].name, PROFILES[1].name, PROFILES[2].name
    );
    for (name, make) in DETECTORS {
        let began = Instant::now();
        let said: Vec<Vec<f64>> = corpus.iter().map(|series| run(make, series)).collect();
        let took = began.elapsed();
        for (half, tune) in [("tune", Some(true)), ("report", Some(false)), ("all", None)] {
            let of: Vec<Said<'_>> = corpus
                .iter()
                .zip(&said)
                .filter(|(series, _)| tune.is_none_or(|tune| tune == series.tune))
                .map(|(series, scores)| Said { scores, windows: &series.windows })
                .collect();
            let [standard, low_fp, low_fn] = PROFILES.map(|profile| scorer::outcome(&of, &profile));
            println!(
                "{name:18} {half:6} {:9.2} {:19.2} {:19.2}  {:.3}",
                standard.score, low_fp.score, low_fn.score, standard.threshold
            );
        }
        println!("{name:18} {:.1} us per point", took.as_secs_f64() * 1e6 / points as f64);
        if let Some(folder) = &arguments.results {
            write(folder, name, &corpus, &said)?;
        }
    }
    Ok(())
}

fn run(make: Make, series: &Series) -> Vec<f64> {
    let mut detector = make();
    series.points.iter().map(|point| detector.observe(*point)).collect()
}

fn write(folder: &std::path::Path, name: &str, corpus: &[Series], said: &[Vec<f64>]) -> Result<()> {
    for (series, scores) in corpus.iter().zip(said) {
        let (category, file) = series.name.split_once('/').unwrap_or(("", &series.name));
        let folder = folder.join(name).join(category);
        std::fs::create_dir_all(&folder)?;
        let mut text = String::from("timestamp,value,anomaly_score\n");
        for (point, score) in series.points.iter().zip(scores) {
            let at = gravity_events::time::format_rfc3339_ms(point.at_ms).replace('T', " ").replace('Z', "");
            text.push_str(&format!("{at},{},{score}\n", point.value));
        }
        std::fs::write(folder.join(format!("{name}_{file}")), text)?;
    }
    Ok(())
}
