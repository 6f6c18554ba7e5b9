//! What a challenge is worth after so many solves. Sources of the functions: CTFd's dynamic value plugin, GZCTF,
//! NIZKCTF, DEF CON's qualifier. Integers where the function allows it; else from `libm`, rounded once.

use gravity_events::body::ValueFunction;

/// Points after `solves` teams have solved it.
pub fn value(function: &ValueFunction, solves: u32) -> i64 {
    let after_first = i128::from(solves.saturating_sub(1));
    let n = f64::from(solves);
    match *function {
        ValueFunction::Static { points } => points,
        ValueFunction::Linear { initial, minimum, decay } => {
            narrow((i128::from(initial) - i128::from(decay) * after_first).max(i128::from(minimum)))
        }
        ValueFunction::Logarithmic { initial, minimum, decay } => {
            // Rounded up, as a whole: subtract what is rounded down.
            let square = |x: i128| x.saturating_mul(x);
            let fall = (i128::from(initial) - i128::from(minimum)).saturating_mul(square(after_first));
            let fall = fall.div_euclid(square(i128::from(decay)).max(1));
            narrow((i128::from(initial) - fall).max(i128::from(minimum)))
        }
        ValueFunction::Exponential { initial, .. } if solves <= 1 => initial,
        ValueFunction::Exponential { initial, minimum_bp, difficulty_milli } => {
            let rate = f64::from(minimum_bp) / 10_000.0;
            let decay = libm::exp((1.0 - n) / (difficulty_milli as f64 / 1_000.0));
            (initial as f64 * (rate + (1.0 - rate) * decay)).floor() as i64
        }
        ValueFunction::Nizkctf if solves == 0 => 500,
        ValueFunction::Nizkctf => (500.0 - 80.0 * libm::log2((n + 3.0) / 4.0)).floor().max(50.0) as i64,
        ValueFunction::Defcon if solves == 0 => 500,
        ValueFunction::Defcon => (100.0 + 400.0 / (1.0 + 0.08 * n * libm::log(n))).floor() as i64,
    }
}

fn narrow(points: i128) -> i64 {
    i64::try_from(points).unwrap_or(if points < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(function: &ValueFunction, solves: &[u32]) -> Vec<i64> {
        solves.iter().map(|n| value(function, *n)).collect()
    }

    #[test]
    fn golden_values() {
        let logarithmic = ValueFunction::Logarithmic { initial: 500, minimum: 100, decay: 20 };
        assert_eq!(
            values(&logarithmic, &[0, 1, 2, 3, 11, 20, 21, 22, 1_000_000]),
            [500, 500, 499, 496, 400, 139, 100, 100, 100]
        );
        let linear = ValueFunction::Linear { initial: 500, minimum: 100, decay: 30 };
        assert_eq!(values(&linear, &[0, 1, 2, 14, 15, 99]), [500, 500, 470, 110, 100, 100]);
        let exponential = ValueFunction::Exponential { initial: 1_000, minimum_bp: 2_500, difficulty_milli: 5_000 };
        assert_eq!(values(&exponential, &[0, 1, 2, 6, 20, 500]), [1_000, 1_000, 864, 525, 266, 250]);
        assert_eq!(values(&ValueFunction::Nizkctf, &[0, 1, 2, 5, 13, 100, 10_000]), [500, 500, 474, 420, 340, 125, 50]);
        assert_eq!(values(&ValueFunction::Defcon, &[0, 1, 2, 10, 100, 4_000_000]), [500, 500, 460, 240, 110, 100]);
        assert_eq!(values(&ValueFunction::Static { points: 7 }, &[0, 9]), [7, 7]);
    }

    #[test]
    fn extremes_stay_integers() {
        let big = gravity_events::codec::MAX_INTEGER;
        for function in [
            ValueFunction::Linear { initial: 0, minimum: 0, decay: big },
            ValueFunction::Logarithmic { initial: big, minimum: 0, decay: 1 },
            ValueFunction::Logarithmic { initial: 0, minimum: big, decay: big },
            ValueFunction::Exponential { initial: big, minimum_bp: 0, difficulty_milli: 1 },
        ] {
            for solves in [0, 1, 2, u32::MAX] {
                assert!((0..=big).contains(&value(&function, solves)), "{function:?} {solves}");
            }
        }
    }
}
