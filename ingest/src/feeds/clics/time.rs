//! TIME and RELTIME of the Contest API, with the shapes that older systems write.

use gravity_events::time::parse_rfc3339_ms;

const TIME: &str = "is not a time such as 2026-03-14T08:00:00.000+01:00";
const RELTIME: &str = "is not a time span such as 1:00:00.000";

/// Milliseconds since 1970 of a TIME. Offsets may be short (`-05`, `+0530`); none at all means UTC.
pub fn time_ms(text: &str) -> Result<i64, &'static str> {
    let text = text.trim();
    let (date, clock) = text.split_once(['T', 't']).ok_or(TIME)?;
    let Some(at) = clock.find(['+', '-']) else {
        let utc = if clock.ends_with(['Z', 'z']) { "" } else { "Z" };
        return parse_rfc3339_ms(&format!("{date}T{clock}{utc}")).map_err(|_| TIME);
    };
    let (clock, offset) = clock.split_at(at);
    let full = match offset.len() {
        3 => format!("{date}T{clock}{offset}:00"),
        5 if offset.is_ascii() => format!("{date}T{clock}{}:{}", &offset[..3], &offset[3..]),
        _ => format!("{date}T{clock}{offset}"),
    };
    parse_rfc3339_ms(&full).map_err(|_| TIME)
}

/// Milliseconds of a RELTIME: `[-]h:mm:ss[.fraction]`. A bare number is minutes, as older feeds give the penalty.
pub fn reltime_ms(text: &str) -> Result<i64, &'static str> {
    let text = text.trim();
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = rest.split(':');
    let ms = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(minutes), None, None, None) => digits(minutes, 9)? * 60_000,
        (Some(h), Some(m), Some(s), None) => {
            let (s, fraction) = s.split_once('.').unwrap_or((s, "0"));
            digits(fraction, 30)?;
            let milli: String = fraction.chars().chain("00".chars()).take(3).collect();
            (digits(h, 6)? * 3_600 + digits(m, 2)? * 60 + digits(s, 2)?) * 1_000 + digits(&milli, 3)?
        }
        _ => return Err(RELTIME),
    };
    Ok(if negative { -ms } else { ms })
}

/// Milliseconds of a number of minutes.
pub fn minutes_ms(minutes: f64) -> Result<i64, &'static str> {
    if minutes.is_finite() && minutes.abs() < 1e9 { Ok((minutes * 60_000.0) as i64) } else { Err(RELTIME) }
}

fn digits(text: &str, most: usize) -> Result<i64, &'static str> {
    if text.is_empty() || text.len() > most || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RELTIME);
    }
    text[..text.len().min(18)].parse().map_err(|_| RELTIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_every_offset() {
        let at = 1_677_351_929_163;
        for text in [
            "2023-02-25T19:05:29.163Z",
            "2023-02-25T19:05:29.163",
            "2023-02-25T14:05:29.163-05",
            "2023-02-25T14:05:29.1639-05:00",
            " 2023-02-26T00:35:29.163+0530 ",
            "2023-02-26t00:35:29.163+05:30",
        ] {
            assert_eq!(time_ms(text), Ok(at), "{text}");
        }
        for bad in ["", "2023-02-25", "2023-02-25T14:05", "2023-02-25T14:05:29-5", "2023-02-25T14:05:29+é1", "nowTthen"]
        {
            assert!(time_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans() {
        for (text, ms) in [
            ("00:05:29.204", 329_204),
            ("5:00:00", 18_000_000),
            ("-17:15:20.190", -62_120_190),
            ("0:00:00.5", 500),
            ("0:00:00.1239999999", 123),
            ("100:00:00", 360_000_000),
            ("20", 1_200_000),
            ("-0:00:01.000", -1_000),
        ] {
            assert_eq!(reltime_ms(text), Ok(ms), "{text}");
        }
        for bad in ["", "-", "1:00", "1:2:3:4", "a:00:00", "1:00:00.", "1:+1:00", "9999999:00:00", "1.5", "--1:00:00"] {
            assert!(reltime_ms(bad).is_err(), "{bad}");
        }
        assert_eq!(minutes_ms(20.0), Ok(1_200_000));
        assert_eq!(minutes_ms(0.5), Ok(30_000));
        assert!(minutes_ms(f64::INFINITY).is_err());
    }
}
