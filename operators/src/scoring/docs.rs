//! The page that documents every operator, made from the catalogue.

use serde_json::Value;

use super::dimensions::CATALOGUE;

const HEAD: &str = "\
# Operators for dimensions

Made from the catalogue (`operators/src/scoring/dimensions.rs`) by the test of that crate; `gravity operator list` prints the
same. A rubric names an operator for each of its dimensions, with parameters and a weight in basis points; all weights add up
to 10,000. An operator gives 0 to 10,000 basis points to a submission, or nothing while what it needs is not measured: then
the dimension is pending. How to add one: [tutorial-operator.md](tutorial-operator.md).
";

/// The page, in Markdown.
pub fn page() -> String {
    let mut out = String::from(HEAD);
    for entry in CATALOGUE {
        let schema = (entry.schema)();
        out.push_str(&format!("\n## {}\n\n{}\n", entry.name, entry.summary));
        if let Some(text) = schema["description"].as_str() {
            out.push_str(&format!("\n{}\n", one_line(text)));
        }
        out.push_str("\n| parameter | | what it is |\n|---|---|---|\n");
        parameters(&mut out, "", &schema, &schema);
        out.push_str(&format!("\nFor example:\n\n```json\n{}\n```\n", entry.example));
    }
    out
}

/// A row for each parameter; those of objects in lists below theirs.
fn parameters(out: &mut String, path: &str, object: &Value, root: &Value) {
    let required: Vec<&str> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in object["properties"].as_object().into_iter().flatten() {
        let shown = resolved(schema, root);
        let text = schema["description"].as_str().or(shown["description"].as_str()).unwrap_or_default();
        let need = if required.contains(&name.as_str()) { "required" } else { "optional" };
        let mut text = one_line(text);
        let words: Vec<String> = shown["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| Some(format!("`{}`: {}", v["const"].as_str()?, one_line(v["description"].as_str()?))))
            .collect();
        if !words.is_empty() {
            text.push_str(&format!(" {}", words.join(" ")));
        }
        out.push_str(&format!("| `{path}{name}` | {need} | {text} |\n"));
        let items = resolved(&shown["items"], root);
        if items["properties"].is_object() {
            parameters(out, &format!("{path}{name}[]."), items, root);
        }
    }
}

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
