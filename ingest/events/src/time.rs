//! Times on the wire: RFC 3339 in UTC outside, milliseconds since 1970 inside.

/// Milliseconds since 1970 for an RFC 3339 time, or what is wrong with it. Fractions beyond the millisecond are cut; a
/// leap second is the second before it.
pub fn parse_rfc3339_ms(text: &str) -> Result<i64, &'static str> {
    const WRONG: &str = "is not an RFC 3339 time such as 2026-03-14T08:00:00.000Z";
    let b = text.as_bytes();
    let number = |from: usize, to: usize| -> Result<i64, &'static str> {
        let part = b.get(from..to).ok_or(WRONG)?;
        part.iter().try_fold(0, |n, c| {
            if c.is_ascii_digit() {
                Ok(n * 10 + i64::from(c - b'0'))
            } else {
                Err(WRONG)
            }
        })
    };
    let is = |at: usize, any: &[u8]| b.get(at).is_some_and(|c| any.contains(c));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return Err(WRONG);
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err("is not a day of the calendar");
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err("is not a time of day");
    }
    let mut at = 19;
    let mut millis = 0;
    if is(at, b".") {
        let digits = b[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 {
            return Err(WRONG);
        }
        for n in 0..3 {
            millis = millis * 10 + if n < digits { i64::from(b[at + 1 + n] - b'0') } else { 0 };
        }
        at += 1 + digits;
    }
    let offset_minutes = match b.get(at) {
        Some(b'Z' | b'z') if at + 1 == b.len() => 0,
        Some(sign @ (b'+' | b'-')) if is(at + 3, b":") && at + 6 == b.len() => {
            let (h, m) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            if h > 23 || m > 59 {
                return Err("has an impossible offset from UTC");
            }
            if *sign == b'-' { -(h * 60 + m) } else { h * 60 + m }
        }
        _ => return Err(WRONG),
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second.min(59);
    Ok((seconds - offset_minutes * 60) * 1_000 + millis)
}

/// RFC 3339 in UTC with milliseconds, as every record prints it. Years outside 0..=9999 are clamped to the nearest.
pub fn format_rfc3339_ms(ms: i64) -> String {
    let ms = ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (y, m, d) = civil_from_days(days);
    let (s, milli) = (rest / 1_000, rest % 1_000);
    format!(
        "{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}.{milli:03}Z",
        s / 3_600,
        s / 60 % 60,
        s % 60
    )
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        era * 400 + year_of_era + i64::from(month <= 2),
        month,
        day_of_year - (153 * mp + 2) / 5 + 1,
    )
}

/// Reads a time from text without a copy of it.
struct Time;

impl serde::de::Visitor<'_> for Time {
    type Value = i64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an RFC 3339 time")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
        parse_rfc3339_ms(text).map_err(|problem| {
            let text: String = text.chars().take(40).collect();
            E::custom(format_args!("is `{text}`, which {problem}"))
        })
    }
}

/// `#[serde(with = "crate::time::rfc3339")]`: an `i64` of milliseconds as RFC 3339.
pub mod rfc3339 {
    use serde::{Deserializer, Serializer};

    /// Prints.
    pub fn serialize<S: Serializer>(ms: &i64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::format_rfc3339_ms(*ms))
    }

    /// Parses.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
        d.deserialize_str(super::Time)
    }
}

/// `#[serde(with = "crate::time::rfc3339_option")]`: the same for an option; null is `None`.
pub mod rfc3339_option {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    /// Prints.
    pub fn serialize<S: Serializer>(ms: &Option<i64>, s: S) -> Result<S::Ok, S::Error> {
        match ms {
            Some(ms) => s.serialize_str(&super::format_rfc3339_ms(*ms)),
            None => s.serialize_none(),
        }
    }

    /// Parses.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
        struct Given(i64);
        impl<'de> Deserialize<'de> for Given {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                super::rfc3339::deserialize(d).map(Given)
            }
        }
        Ok(Option::<Given>::deserialize(d)?.map(|time| time.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn print_then_parse_is_the_identity(ms in -62_167_219_200_000..=253_402_300_799_999_i64) {
            prop_assert_eq!(parse_rfc3339_ms(&format_rfc3339_ms(ms)), Ok(ms));
        }

        #[test]
        fn printed_times_sort_as_the_times(a in -62_167_219_200_000..=253_402_300_799_999_i64, b in 0..4_133_980_800_000_i64) {
            prop_assert_eq!(format_rfc3339_ms(a).cmp(&format_rfc3339_ms(b)), a.cmp(&b));
        }

        #[test]
        fn any_text_is_a_time_or_an_error(text in ".{0,40}") {
            let _ = parse_rfc3339_ms(&text);
        }
    }

    #[test]
    fn an_offset_is_taken_off() {
        let utc = parse_rfc3339_ms("2026-03-14T08:00:00Z");
        for same in [
            "2026-03-14T09:00:00+01:00",
            "2026-03-13T22:30:00-09:30",
            "2026-03-14t08:00:00z",
            "2026-03-14 08:00:00-00:00",
        ] {
            assert_eq!(parse_rfc3339_ms(same), utc, "{same}");
        }
        assert_eq!(
            parse_rfc3339_ms("2016-12-31T23:59:60Z"),
            parse_rfc3339_ms("2016-12-31T23:59:59Z"),
            "a leap second"
        );
    }

    #[test]
    fn known_times() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-01T00:00:00-05:00", 1_767_243_600_000),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("1969-12-31T23:59:59.5Z", -500),
            ("2023-11-16T18:15:46.6805900Z", 1_700_158_546_680),
        ] {
            assert_eq!(parse_rfc3339_ms(text), Ok(ms), "{text}");
            assert_eq!(parse_rfc3339_ms(&format_rfc3339_ms(ms)), Ok(ms));
        }
        for bad in [
            "",
            "2026",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+1",
            "２026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.Z",
        ] {
            assert!(parse_rfc3339_ms(bad).is_err(), "{bad}");
        }
    }
}
