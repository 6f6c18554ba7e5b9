//! The second look at `data` that serde refused: which field, what was found, what was expected.

use serde::Deserialize;

use crate::DecodeError;

/// Longest excerpt of the input in a message, in bytes.
const MAX_EXCERPT_BYTES: usize = 80;

/// Why `data` is no `T`. Slow; for input that has been refused.
pub(crate) fn explain<'a, T: Deserialize<'a>>(data: &'a str) -> DecodeError {
    let mut json = serde_json::Deserializer::from_str(data);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        // Only the text after the value can be wrong then.
        Ok(_) => DecodeError::Invalid { field: "data".into(), problem: "is more than one value".into() },
        Err(error) => {
            let path = error.path().to_string();
            let field = if path == "." { "data".to_owned() } else { format!("data.{path}") };
            let text = error.into_inner().to_string();
            describe(field, text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem))
        }
    }
}

/// Puts serde's words into ours.
fn describe(field: String, text: &str) -> DecodeError {
    if let Some(name) = text.strip_prefix("missing field `").and_then(|t| t.strip_suffix('`')) {
        return DecodeError::Missing { field: format!("{field}.{name}") };
    }
    let problem = if let Some((found, expected)) = mismatch(text) {
        format!("is {}, expected {}", found_in_words(found), expected_in_words(expected))
    } else if let Some((found, expected)) =
        text.strip_prefix("unknown variant ").and_then(|t| t.split_once(", expected "))
    {
        format!("is {}, expected {expected}", excerpt(found))
    } else if text.starts_with("is ") {
        excerpt(text)
    } else {
        format!("cannot be read: {}", excerpt(text))
    };
    DecodeError::Invalid { field, problem }
}

fn mismatch(text: &str) -> Option<(&str, &str)> {
    ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|start| text.strip_prefix(start))
        .and_then(|rest| rest.rsplit_once(", expected "))
}

fn found_in_words(found: &str) -> String {
    for (serde, ours) in [("string ", "the string "), ("integer ", "the number "), ("floating point ", "the number ")] {
        if let Some(value) = found.strip_prefix(serde) {
            return format!("{ours}{}", excerpt(value));
        }
    }
    match found {
        "map" => "an object".into(),
        "sequence" => "a list".into(),
        other => excerpt(other.strip_prefix("boolean ").unwrap_or(other)),
    }
}

fn expected_in_words(expected: &str) -> &str {
    match expected {
        "i64" | "i32" => "an integer",
        "u64" | "u32" => "an integer that is not negative",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "map with a single key" => "an object with one key",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

fn excerpt(text: &str) -> String {
    if text.len() <= MAX_EXCERPT_BYTES {
        return text.to_owned();
    }
    let mut end = MAX_EXCERPT_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use crate::body::*;

    fn said<'a, T: serde::Deserialize<'a>>(data: &'a str) -> String {
        super::explain::<T>(data).to_string()
    }

    #[test]
    fn names_field_found_and_expected() {
        let sub =
            |rest: &str| said::<SubmissionReceived>(&format!(r#"{{"submission":"s","team":"t"{rest}}}"#).leak()[..]);
        assert_eq!(sub(""), "`data.problem` is missing");
        assert_eq!(
            sub(r#","problem":"p","contest_time_ms":"x""#),
            "`data.contest_time_ms` is the string \"x\", expected an integer"
        );
        assert_eq!(sub(r#","problem":7"#), "`data.problem` is the number `7`, expected a string");
        assert_eq!(sub(r#","problem":{}"#), "`data.problem` is an object, expected a string");
        assert_eq!(
            sub(r#","problem":"p","revision":-1"#),
            "`data.revision` is the number `-1`, expected an integer that is not negative"
        );
        assert_eq!(
            said::<TeamRegistered>(r#"{"team":"t","groups":["a",null]}"#),
            "`data.groups[1]` is null, expected a string"
        );
        assert_eq!(
            said::<EventConfigured>(r#"{"name":"e","scoring":"golf"}"#),
            "`data.scoring` is `golf`, expected one of `icpc`, `ctf`, `ioi`, `kaggle`, `rubric`"
        );
        assert_eq!(
            said::<EventStarted>(r#"{"at":"yesterday"}"#),
            "`data.at` is `yesterday`, which is not an RFC 3339 time such as 2026-03-14T08:00:00.000Z"
        );
        assert_eq!(said::<EventStarted>("{}"), "`data.at` is missing");
        assert_eq!(said::<EventExtended>("{}"), "`data.duration_ms` is missing");
        assert_eq!(
            said::<RubricPublished>(r#"{"rubric":"r","version":1,"dimensions":[{"dimension":"d","weight_bp":1}]}"#),
            "`data.dimensions[0].operator` is missing"
        );
        assert_eq!(
            said::<PricePublished>(r#"{"price_list":"p","version":1,"currency":"EUR","prices":[["m","input",1]]}"#),
            "`data.prices[0]` is a list, expected an object"
        );
    }

    #[test]
    fn messages_stay_short() {
        let long = format!(r#"{{"at":"{}"}}"#, "é".repeat(5000));
        assert!(said::<EventStarted>(&long).len() < 250);
        let long = format!(r#"{{"team":"t","hidden":"{}"}}"#, "é".repeat(5000));
        assert!(said::<TeamRegistered>(&long).ends_with("..., expected true or false"));
    }
}
