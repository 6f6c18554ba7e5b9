//! Durations as people write them: `5h`, `1h30m`, `90m`, `1:00:00`, `1:00:00.250`, or milliseconds as a number.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

/// A duration in milliseconds, not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DurationMs(pub i64);

const EXPECTED: &str = "a duration such as \"5h\", \"1h30m\", \"1:00:00\", or milliseconds as a number";
/// Ten years; more is a slip.
const MAX_MS: i64 = 10 * 366 * 86_400_000;

/// Milliseconds of a text, or `None` where it is no duration.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let ms = if text.contains(':') { clock(text)? } else { units(text)? };
    (0..=MAX_MS).contains(&ms).then_some(ms)
}

/// `H:MM:SS[.mmm]`.
fn clock(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let (h, m, s) = (digits(parts.next()?)?, digits(parts.next()?)?, digits(parts.next()?)?);
    if parts.next().is_some() || m > 59 || s > 59 || fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    let milli = digits(&format!("{fraction:0<3}"))?;
    h.checked_mul(3_600_000)?.checked_add(m * 60_000 + s * 1_000 + milli)
}

/// Numbers with units, the larger first: `1h30m`.
fn units(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let (mut rest, mut total, mut from) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let number = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after = &rest[number..];
        let unit = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let at = from + UNITS[from..].iter().position(|(name, _)| *name == &after[..unit])?;
        total = total.checked_add(digits(&rest[..number])?.checked_mul(UNITS[at].1)?)?;
        from = at + 1;
        rest = after[unit..].trim_start();
    }
    (from > 0).then_some(total)
}

fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl<'de> Deserialize<'de> for DurationMs {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<DurationMs, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = DurationMs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<DurationMs, E> {
                parse_duration_ms(text).map(DurationMs).ok_or_else(|| E::custom(format!("`{text}` is not {EXPECTED}")))
            }
            fn visit_i64<E: Error>(self, ms: i64) -> Result<DurationMs, E> {
                if (0..=MAX_MS).contains(&ms) {
                    Ok(DurationMs(ms))
                } else {
                    Err(E::custom(format!("{ms} is not {EXPECTED}")))
                }
            }
            fn visit_u64<E: Error>(self, ms: u64) -> Result<DurationMs, E> {
                self.visit_i64(i64::try_from(ms).unwrap_or(i64::MAX))
            }
        }
        d.deserialize_any(Read)
    }
}

/// `H:MM:SS.mmm`, as the CLICS Contest API writes a RELTIME.
pub fn format_reltime(ms: i64) -> String {
    let (sign, ms) = if ms < 0 { ("-", ms.unsigned_abs()) } else { ("", ms.unsigned_abs()) };
    format!("{sign}{}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("5h", 18_000_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("90m", 5_400_000),
            ("2d", 172_800_000),
            ("1s250ms", 1_250),
            ("0s", 0),
            ("1:00:00", 3_600_000),
            ("0:00:01.5", 1_500),
            ("100:00:00.250", 360_000_250),
        ] {
            assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
        }
        for bad in [
            "",
            "5",
            "h",
            "-5h",
            "5 h",
            "5hours",
            "30m1h",
            "1h1h",
            "1:00",
            "1:60:00",
            "1:00:00.",
            "1:00:00.1234",
            "99999999d",
            "9999999999999999999h",
            "١h",
        ] {
            assert_eq!(parse_duration_ms(bad), None, "{bad}");
        }
        assert_eq!(format_reltime(18_000_250), "5:00:00.250");
        assert_eq!(format_reltime(-1_000), "-0:00:01.000");
        assert_eq!(serde_json::from_str::<DurationMs>("1000").unwrap(), DurationMs(1_000));
        assert!(serde_json::from_str::<DurationMs>("-1").is_err());
    }
}
