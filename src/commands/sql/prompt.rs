//! The prompt of `gravity sql`: questions over several lines, and the commands that people of psql know.

use gravity_ingest::client::Client;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::{Format, answer};

const HELP: &str = "A question ends with `;`. Ctrl-C drops it, Ctrl-D leaves.
  \\d          tables, with what they hold
  \\d TABLE    columns of a table, such as \\d live.boards
  \\q          leave";

/// Asks for questions and answers them, until there are no more. An answer that fails ends nothing.
pub async fn run(client: &Client, format: Format) -> anyhow::Result<()> {
    let mut editor = DefaultEditor::new()?;
    eprintln!("Tables are in the schemas lake, live and views. \\d lists them, \\? helps.");
    let mut question = String::new();
    loop {
        let prompt = if question.is_empty() { "gravity=> " } else { "gravity-> " };
        // Reading blocks, and nothing else goes on meanwhile.
        let line = match tokio::task::block_in_place(|| editor.readline(prompt)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                question.clear();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        if question.is_empty() && line.trim() == "\\q" {
            return Ok(());
        }
        question.push_str(&line);
        question.push('\n');
        let is_command = question.trim_start().starts_with('\\');
        if question.trim().is_empty() {
            question.clear();
        } else if is_command || is_whole(&question) {
            let whole = std::mem::take(&mut question);
            let _ = editor.add_history_entry(whole.trim());
            for question in questions(&whole) {
                // Ctrl-C ends this answer: the server ends a query whose client is gone.
                tokio::select! {
                    answered = answer(client, &question, format) => {
                        if let Err(error) = answered {
                            eprintln!("{error:#}");
                        }
                    }
                    _ = tokio::signal::ctrl_c() => eprintln!("given up"),
                }
            }
        }
    }
}

/// Whether a text ends with the `;` of a question.
fn is_whole(text: &str) -> bool {
    split(text).1.trim().is_empty()
}

/// The questions of a text: what stands between `;`, and what follows the last one. A command is a line.
pub fn questions(text: &str) -> Vec<String> {
    let (mut questions, rest) = split(text);
    questions.push(rest);
    questions.iter().map(|q| q.trim().to_owned()).filter(|q| !q.is_empty()).collect()
}

/// Whole questions, and what is left. A `;` in quotes or in a comment is a part of its question.
fn split(text: &str) -> (Vec<String>, String) {
    let (mut whole, mut question, mut rest) = (Vec::new(), String::new(), text);
    while let Some(c) = rest.chars().next() {
        let at_start = question.trim().is_empty();
        let length = match c {
            '\\' if at_start => rest.find('\n').unwrap_or(rest.len()),
            '\'' | '"' => rest[1..].find(c).map_or(rest.len(), |end| end + 2),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => c.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        rest = after;
        if c == ';' {
            whole.push(std::mem::take(&mut question));
            continue;
        }
        question.push_str(part);
        if c == '\\' && at_start {
            whole.push(std::mem::take(&mut question));
        }
    }
    (whole, question)
}

/// A question as SQL; or what is to be said of it.
pub fn meaning(question: &str) -> Result<String, String> {
    let Some(command) = question.strip_prefix('\\') else { return Ok(question.to_owned()) };
    let mut words = command.trim_end_matches(';').split_whitespace();
    match (words.next(), words.next()) {
        (Some("d" | "dt"), None) => Ok("select table_schema as schema, table_name as \"table\" from \
            information_schema.tables where table_schema in ('lake', 'live', 'views') order by 1, 2"
            .to_owned()),
        (Some("d"), Some(table)) => {
            let (schema, name) = table.split_once('.').unwrap_or(("lake", table));
            let quoted = |text: &str| text.replace('\'', "''");
            Ok(format!(
                "select column_name as \"column\", data_type as type from information_schema.columns \
                where table_schema = '{}' and table_name = '{}' order by ordinal_position",
                quoted(schema),
                quoted(name)
            ))
        }
        (Some("?" | "h" | "help"), _) => Err(HELP.to_owned()),
        _ => Err(format!("there is no \\{command}\n{HELP}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_end_with_a_semicolon_that_is_not_quoted() {
        let text = "select ';' as a; -- ; no\nselect \"x;y\" /* ; */ from t\n;\\d live.boards\nselect 1";
        let expected = ["select ';' as a", "-- ; no\nselect \"x;y\" /* ; */ from t", "\\d live.boards", "select 1"];
        assert_eq!(questions(text), expected);
        assert!(is_whole("select 1;\n") && !is_whole("select ';'\n") && !is_whole("select 1; select"));
        for odd in ["'", "\"", "/*", "--", "\\", ";;", "", "é'ß"] {
            let _ = questions(odd);
        }
        assert_eq!(questions(" ; ;"), Vec::<String>::new());
    }

    #[test]
    fn commands_are_questions_too() {
        assert!(meaning("\\d").unwrap().contains("information_schema.tables"));
        let columns = meaning("\\d live.bo'ards;").unwrap();
        assert!(columns.contains("'live'") && columns.contains("'bo''ards'"), "{columns}");
        assert!(meaning("\\d usage").unwrap().contains("table_schema = 'lake'"));
        assert!(meaning("\\nothing").unwrap_err().contains("there is no \\nothing"));
        assert_eq!(meaning("select 1").unwrap(), "select 1");
    }
}
