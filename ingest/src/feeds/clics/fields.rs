//! Reads the fields of a feed's objects: ids may be numbers, null is the same as absent, problems name the field.

use gravity_events::{Id, id::id_problem};
use serde_json::{Map, Value};

use super::time::{minutes_ms, reltime_ms, time_ms};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldProblem {
    /// Which.
    pub field: &'static str,
    /// What is wrong and what was expected.
    pub problem: String,
}

/// The fields of one object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a Map<String, Value>);

fn wrong(field: &'static str, value: &Value, problem: &str) -> FieldProblem {
    let shown: String = value.to_string().chars().take(80).collect();
    FieldProblem { field, problem: format!("is {shown}, which {problem}") }
}

/// An id that may be written as a string or a number; `None` where it is null, absent or empty.
pub(super) fn as_id(value: Option<&Value>) -> Result<Option<Id>, &'static str> {
    let id = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(s)) if s.is_empty() => return Ok(None),
        Some(Value::String(s)) => Id::from(s.as_str()),
        Some(Value::Number(n)) => Id::from(n.to_string()),
        Some(_) => return Err("is not an identifier (a string)"),
    };
    id_problem(&id).map_or(Ok(Some(id)), Err)
}

impl<'a> Fields<'a> {
    fn get(self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|v| !v.is_null())
    }

    pub fn id(self, field: &'static str) -> Result<Option<Id>, FieldProblem> {
        let value = self.get(field);
        as_id(value).map_err(|p| wrong(field, value.unwrap_or(&Value::Null), p))
    }

    pub fn need_id(self, field: &'static str) -> Result<Id, FieldProblem> {
        let missing = || FieldProblem { field, problem: "is missing; expected an identifier".into() };
        self.id(field)?.ok_or_else(missing)
    }

    pub fn ids(self, field: &'static str) -> Result<Vec<Id>, FieldProblem> {
        let Some(value) = self.get(field) else {
            return Ok(Vec::new());
        };
        let list = value.as_array().ok_or_else(|| wrong(field, value, "is not a list of identifiers"))?;
        let ids = list.iter().filter_map(|v| as_id(Some(v)).map_err(|p| wrong(field, v, p)).transpose());
        ids.collect()
    }

    pub fn text(self, field: &'static str) -> Result<Option<String>, FieldProblem> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s.clone())),
            Some(Value::Number(n)) => Ok(Some(n.to_string())),
            Some(v) => Err(wrong(field, v, "is not a text")),
        }
    }

    pub fn flag(self, field: &'static str) -> Result<Option<bool>, FieldProblem> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(*b)),
            Some(v) => Err(wrong(field, v, "is neither true nor false")),
        }
    }

    pub fn int(self, field: &'static str) -> Result<Option<i64>, FieldProblem> {
        let Some(v) = self.get(field) else { return Ok(None) };
        v.as_i64().map(Some).ok_or_else(|| wrong(field, v, "is not a whole number"))
    }

    pub fn time(self, field: &'static str) -> Result<Option<i64>, FieldProblem> {
        match self.get(field) {
            None => Ok(None),
            Some(v @ Value::String(s)) => time_ms(s).map(Some).map_err(|p| wrong(field, v, p)),
            Some(v) => Err(wrong(field, v, "is not a time such as 2026-03-14T08:00:00.000+01:00")),
        }
    }

    pub fn reltime(self, field: &'static str) -> Result<Option<i64>, FieldProblem> {
        let Some(v) = self.get(field) else { return Ok(None) };
        let ms = match v {
            Value::String(s) => reltime_ms(s),
            Value::Number(n) => minutes_ms(n.as_f64().unwrap_or(f64::NAN)),
            _ => Err("is not a time span such as 1:00:00.000"),
        };
        ms.map(Some).map_err(|p| wrong(field, v, p))
    }

    /// A colour as `#` and hexadecimal digits; anything else is no colour, and nothing worth an error.
    pub fn rgb(self, field: &str) -> Option<String> {
        let text = self.get(field)?.as_str()?;
        let hex = text.strip_prefix('#')?;
        (matches!(hex.len(), 3 | 6) && hex.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_string())
    }
}
