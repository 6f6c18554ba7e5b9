//! What serde found wrong, said with the field's path and, for an unknown key, the nearest known one.

use gravity_events::codec::nearest;

/// A value that does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// `missing`, `unknown_key` or `invalid`.
    pub code: &'static str,
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Misfit {
    /// From a path and the text of a serde error.
    pub fn new(path: &str, message: &str) -> Misfit {
        let message = message.split(" at line ").next().unwrap_or(message).trim();
        let is_root = path.is_empty() || path == ".";
        let inside = |field: &str| {
            if is_root { field.to_owned() } else { format!("{path}.{field}") }
        };
        let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        match words.as_slice() {
            [name, ..] if message.starts_with("missing field") => {
                Misfit { code: "missing", field: inside(name), message: "is missing".into() }
            }
            [name, known @ ..] if message.starts_with("unknown field") => {
                // The path of an unknown field may already end with the field itself.
                let ends = path == *name || path.ends_with(&format!(".{name}"));
                let message = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("is not a known key; did you mean `{near}`?"),
                    None => format!("is not a known key; known are {}", known.join(", ")),
                };
                Misfit { code: "unknown_key", field: if ends { path.to_owned() } else { inside(name) }, message }
            }
            _ => {
                let field = if is_root { "body" } else { path };
                Misfit { code: "invalid", field: field.to_owned(), message: format!("does not fit: {message}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_errors_become_fields() {
        for (path, message, code, field, says) in [
            (".", "missing field `team` at line 1 column 2", "missing", "team", "is missing"),
            ("team[0]", "missing field `id`", "missing", "team[0].id", "is missing"),
            (
                "team[0].nmae",
                "unknown field `nmae`, expected one of `id`, `name`",
                "unknown_key",
                "team[0].nmae",
                "`name`",
            ),
            ("event", "unknown field `colour`, expected `id` or `name`", "unknown_key", "event.colour", "id, name"),
            ("event.id", "invalid type: integer `7`, expected a string", "invalid", "event.id", "integer"),
            ("", "invalid type: null, expected struct X", "invalid", "body", "null"),
        ] {
            let m = Misfit::new(path, message);
            assert_eq!((m.code, m.field.as_str()), (code, field));
            assert!(m.message.contains(says), "{m:?}");
        }
    }
}
