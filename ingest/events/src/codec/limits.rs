//! How large things may be, and the checks of single values. [`crate::body`] says which field gets which check.

use crate::id::id_problem;
use crate::time::format_rfc3339_ms;
use crate::{DecodeError, Id};

/// Largest record, in bytes of JSON.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Largest batch, in bytes of JSON.
pub const MAX_BATCH_BYTES: usize = 16 << 20;
/// Most records in a batch.
pub const MAX_BATCH_RECORDS: usize = 10_000;
/// Longest name or other text, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 16 << 10;
/// Longest source text, in bytes.
pub const MAX_SOURCE_BYTES: usize = 256 << 10;
/// Most items in a list.
pub const MAX_ITEMS: usize = 1_000;
/// Most attributes of a record, extensions included.
pub const MAX_ATTRIBUTES: usize = 64;
/// Largest count, amount or revision, and with a minus the smallest: beyond it, readers of JSON that compute in
/// doubles (I-JSON, RFC 7493), and with them the canonical form, lose digits.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;
/// First time that is accepted: 1970-01-01.
pub const MIN_TIME_MS: i64 = 0;
/// Last time that is accepted: the end of the year 2100.
pub const MAX_TIME_MS: i64 = 4_133_980_799_999;
/// Longest duration, and farthest contest time before or after the start: ten years (of 366 days).
pub const MAX_SPAN_MS: i64 = 10 * 366 * 86_400_000;

/// What is wrong with a value: the path to it, from the outside in, and the problem.
#[derive(Debug)]
pub(crate) struct Fault {
    path: String,
    problem: String,
}

/// The outcome of a check.
pub(crate) type Checked = Result<(), Fault>;

impl Fault {
    pub fn new(problem: impl Into<String>) -> Fault {
        Fault { path: String::new(), problem: problem.into() }
    }

    /// The same fault, seen from the object that holds the value as `field`.
    pub fn at(mut self, field: &str) -> Fault {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }

    pub fn at_index(self, index: usize) -> Fault {
        self.at(&format!("[{index}]"))
    }

    /// As the codec reports it.
    pub fn into_error(self) -> DecodeError {
        DecodeError::Invalid { field: self.path, problem: self.problem }
    }
}

/// Checks a value that may be absent.
pub(crate) fn optional<T>(value: &Option<T>, check: impl FnOnce(&T) -> Checked) -> Checked {
    value.as_ref().map_or(Ok(()), check)
}

/// Checks the length of a list and every item.
pub(crate) fn list<T>(items: &[T], mut check: impl FnMut(&T) -> Checked) -> Checked {
    if items.len() > MAX_ITEMS {
        return Err(Fault::new(format!("has {} items; at most {MAX_ITEMS} are accepted", items.len())));
    }
    items.iter().enumerate().try_for_each(|(n, item)| check(item).map_err(|fault| fault.at_index(n)))
}

pub(crate) fn id(id: &Id) -> Checked {
    match id_problem(id) {
        None => Ok(()),
        Some(problem) => Err(Fault::new(problem)),
    }
}

pub(crate) fn ids(ids: &[Id]) -> Checked {
    list(ids, id)
}

pub(crate) fn id_option(value: &Option<Id>) -> Checked {
    optional(value, id)
}

pub(crate) fn text(text: &str) -> Checked {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Fault::new(format!("has {} bytes; at most {MAX_TEXT_BYTES} are accepted", text.len())));
    }
    Ok(())
}

pub(crate) fn source(text: &str) -> Checked {
    if text.len() > MAX_SOURCE_BYTES {
        return Err(Fault::new(format!("has {} bytes; at most {MAX_SOURCE_BYTES} are accepted", text.len())));
    }
    Ok(())
}

pub(crate) fn text_option(value: &Option<String>) -> Checked {
    optional(value, |t| text(t))
}

fn within(value: i64, least: i64, most: i64) -> Checked {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Fault::new(format!("is {value}, expected an integer from {least} to {most}")))
}

/// An amount, which may be negative.
pub(crate) fn amount(value: &i64) -> Checked {
    within(*value, -MAX_INTEGER, MAX_INTEGER)
}

pub(crate) fn amount_option(value: &Option<i64>) -> Checked {
    optional(value, amount)
}

/// An amount of at least 0.
pub(crate) fn size(value: &i64) -> Checked {
    within(*value, 0, MAX_INTEGER)
}

/// A count, version or revision.
pub(crate) fn count(value: &u64) -> Checked {
    if *value <= MAX_INTEGER as u64 {
        return Ok(());
    }
    Err(Fault::new(format!("is {value}, expected an integer from 0 to {MAX_INTEGER}")))
}

/// A share of something whole, in basis points.
pub(crate) fn share(value: &u32) -> Checked {
    within(i64::from(*value), 0, 10_000)
}

/// A mark that may lie past the whole (120 % of a budget), in basis points.
pub(crate) fn mark(value: &u32) -> Checked {
    within(i64::from(*value), 0, 1_000_000)
}

pub(crate) fn marks(values: &[u32]) -> Checked {
    list(values, mark)
}

/// A number of a sequence that begins with 1.
pub(crate) fn ordinal(value: &u32) -> Checked {
    within(i64::from(*value), 1, i64::from(u32::MAX))
}

pub(crate) fn duration(value: &i64) -> Checked {
    within(*value, 0, MAX_SPAN_MS)
}

pub(crate) fn duration_option(value: &Option<i64>) -> Checked {
    optional(value, duration)
}

/// A length in milliseconds that is billed.
pub(crate) fn run_time(value: &u64) -> Checked {
    within(i64::try_from(*value).unwrap_or(i64::MAX), 0, MAX_SPAN_MS)
}

/// A contest time; negative before the start (CLICS RELTIME).
pub(crate) fn contest_time(value: &i64) -> Checked {
    within(*value, -MAX_SPAN_MS, MAX_SPAN_MS)
}

pub(crate) fn contest_time_option(value: &Option<i64>) -> Checked {
    optional(value, contest_time)
}

pub(crate) fn time(ms: &i64) -> Checked {
    if (MIN_TIME_MS..=MAX_TIME_MS).contains(ms) {
        return Ok(());
    }
    let printed = format_rfc3339_ms(*ms);
    Err(Fault::new(format!("is `{printed}`, expected a time in the years 1970 to 2100")))
}

pub(crate) fn time_option(value: &Option<i64>) -> Checked {
    optional(value, time)
}

/// Serde has checked all that there is to check.
pub(crate) fn any<T>(_: &T) -> Checked {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_rfc3339_ms;

    #[test]
    fn limits_are_what_they_say() {
        assert_eq!(parse_rfc3339_ms("2100-12-31T23:59:59.999Z"), Ok(MAX_TIME_MS));
        assert!(time(&MIN_TIME_MS).is_ok() && time(&MAX_TIME_MS).is_ok());
        assert!(time(&(MIN_TIME_MS - 1)).is_err() && time(&(MAX_TIME_MS + 1)).is_err());
        assert!(contest_time(&-MAX_SPAN_MS).is_ok() && contest_time(&(MAX_SPAN_MS + 1)).is_err());
        assert!(count(&(MAX_INTEGER as u64)).is_ok() && count(&(1 << 53)).is_err());
        assert!(duration(&0).is_ok() && duration(&-1).is_err());
    }

    #[test]
    fn faults_name_the_path() {
        let fault = list(&[Id::from("a"), Id::from("")], id).map_err(|f| f.at("groups").at("team").at("data"));
        let error = fault.expect_err("an empty id").into_error();
        assert_eq!(error.to_string(), "`data.team.groups[1]` is empty");
    }
}
