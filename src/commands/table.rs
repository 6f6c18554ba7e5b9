//! Tables for people, from rows of JSON.

use serde_json::Value;

/// The named fields of each row as columns under their names: text to the left, numbers to the right.
pub fn table(names: &[&str], rows: &[Value]) -> String {
    let cell = |row: &Value, name: &str| match &row[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Object(map) if map.is_empty() => "-".to_owned(),
        Value::Object(map) => {
            let pairs = map.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("-")));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let mut lines = vec![names.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| names.iter().map(|name| cell(row, name)).collect()));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let is_number: Vec<bool> = names.iter().map(|name| rows.iter().any(|row| row[*name].is_number())).collect();
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if is_number[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [
            json!({"problem": "apples", "teams": 12, "group": {"team": "a"}}),
            json!({"problem": null, "teams": 7, "group": {}}),
        ];
        let expected = "PROBLEM  TEAMS  GROUP\napples      12  team=a\n-            7  -\n";
        assert_eq!(table(&["problem", "teams", "group"], &rows), expected);
    }
}
