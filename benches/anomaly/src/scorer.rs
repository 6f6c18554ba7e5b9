//! The benchmark's scorer (Lavin, Ahmad, "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark",
//! 2015; `sweeper.py` of its code): an early hit in a labelled window earns most, false positives cost the more the farther they
//! are from a window, and one threshold serves all files.

/// What hits, misses and false alarms count.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name in the benchmark.
    pub name: &'static str,
    /// The cost of a false positive; a hit earns 1.
    pub false_positive: f64,
    /// The cost of a window without a hit.
    pub missed: f64,
}

/// The benchmark's three.
pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", false_positive: 0.11, missed: 1.0 },
    Profile { name: "reward_low_FP_rate", false_positive: 0.22, missed: 1.0 },
    Profile { name: "reward_low_FN_rate", false_positive: 0.11, missed: 2.0 },
];

/// What a detector said of a file.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    /// Of each row.
    pub scores: &'a [f64],
    /// The labelled windows: first and last row, in order.
    pub windows: &'a [(usize, usize)],
}

/// The outcome for one profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// 100 is perfect, 0 says nothing.
    pub score: f64,
    /// The threshold with the highest score.
    pub threshold: f64,
}

/// A row that counts: its score, the window that it is in, and what an alarm at it earns.
struct Row {
    score: f64,
    window: Option<usize>,
    worth: f64,
}

fn sigma(y: f64) -> f64 {
    if y > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * y).exp()) - 1.0 }
}

/// The score of a detector over files, at its best threshold.
pub fn outcome(files: &[Said<'_>], profile: &Profile) -> Outcome {
    let mut rows = Vec::new();
    let mut windows = 0;
    for file in files {
        collect(file, profile, windows, &mut rows);
        windows += file.windows.len();
    }
    rows.sort_by(|one, other| other.score.total_cmp(&one.score));
    let null = -profile.missed * windows as f64;
    let mut best_hit = vec![-profile.missed; windows];
    let (mut total, mut best) = (null, Outcome { score: null, threshold: f64::INFINITY });
    for group in rows.chunk_by(|one, other| one.score == other.score) {
        for row in group {
            match row.window {
                None => total += row.worth,
                Some(window) if row.worth > best_hit[window] => {
                    total += row.worth - best_hit[window];
                    best_hit[window] = row.worth;
                }
                Some(_) => {}
            }
        }
        if total > best.score {
            best = Outcome { score: total, threshold: group[0].score };
        }
    }
    Outcome { score: 100.0 * (best.score - null) / (windows as f64 - null), ..best }
}

fn collect(file: &Said<'_>, profile: &Profile, first_window: usize, rows: &mut Vec<Row>) {
    let probation = (file.scores.len() * 15 / 100).min(750);
    let mut next = 0;
    for (at, score) in file.scores.iter().enumerate() {
        while file.windows.get(next).is_some_and(|window| at > window.1) {
            next += 1;
        }
        if at < probation {
            continue;
        }
        let inside = file.windows.get(next).filter(|window| window.0 <= at);
        let before = next.checked_sub(1).map(|n| file.windows[n]);
        let (window, worth) = match (inside, before) {
            (Some((first, last)), _) => {
                let place = -((last - at + 1) as f64) / ((last - first + 1) as f64);
                (Some(first_window + next), sigma(place) / sigma(-1.0))
            }
            (None, None) => (None, -profile.false_positive),
            (None, Some((first, last))) => {
                let place = if last > first { (at - last) as f64 / (last - first) as f64 } else { 4.0 };
                (None, profile.false_positive * sigma(place))
            }
        };
        rows.push(Row { score: *score, window, worth });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Profile = PROFILES[0];

    fn score(alarms: &[usize], windows: &[(usize, usize)]) -> Outcome {
        let mut scores = vec![0.0; 1_000];
        alarms.iter().for_each(|at| scores[*at] = 1.0);
        outcome(&[Said { scores: &scores, windows }], &STANDARD)
    }

    #[test]
    fn the_first_row_of_a_window_is_perfect_and_silence_is_nothing() {
        assert_eq!(score(&[500], &[(500, 599)]).score, 100.0);
        assert_eq!(score(&[], &[(500, 599)]).score, 0.0);
        // Before the probation is over nothing counts.
        assert_eq!(score(&[100], &[(100, 120)]).score, 0.0);
    }

    #[test]
    fn a_late_hit_earns_less_and_only_the_best_counts() {
        // The last row: sigma(-1/100) / sigma(-1) = 0.02499.../0.98661...
        let late = score(&[599], &[(500, 599)]).score;
        let worth = (2.0 / (1.0 + (-0.05f64).exp()) - 1.0) / (2.0 / (1.0 + (-5.0f64).exp()) - 1.0);
        assert!((late - 100.0 * (1.0 + worth) / 2.0).abs() < 1e-9, "{late}");
        assert_eq!(score(&[500, 550, 599], &[(500, 599)]).score, 100.0);
    }

    #[test]
    fn false_alarms_cost_more_far_from_a_window() {
        // Before any window: the whole cost. Per window 1 + 1 is the difference of perfect and null.
        let early = score(&[300, 500], &[(500, 599)]).score;
        assert!((early - 100.0 * (2.0 - 0.11) / 2.0).abs() < 1e-9, "{early}");
        let near = score(&[500, 601], &[(500, 599)]).score;
        let far = score(&[500, 990], &[(500, 599)]).score;
        assert!(near > far && far > early - 1e-9, "{near} {far} {early}");
    }

    #[test]
    fn one_threshold_serves_all_files() {
        let (mut one, mut other) = (vec![0.0; 1_000], vec![0.0; 1_000]);
        one[500] = 0.5;
        // In the other file as much is a false alarm, twenty times.
        (200..220).for_each(|at| other[at] = 0.5);
        let files = [Said { scores: &one, windows: &[(500, 599)] }, Said { scores: &other, windows: &[] }];
        assert_eq!(outcome(&files, &STANDARD).score, 0.0);
        assert_eq!(outcome(&files[..1], &STANDARD).score, 100.0);
    }
}
