//! The Azure LLM inference traces: one request a line, as CSV with the columns TIMESTAMP, ContextTokens and GeneratedTokens.
//!
//! Requests have no id of their own: each is named by its content and by how often the trace had it before, so that the same
//! trace always gives the same records.

use std::collections::{BTreeMap, HashMap};

use gravity_events::body::UsageTokens;
use gravity_events::record::stable_hash128;
use gravity_events::time::parse_rfc3339_ms;
use gravity_events::{Body, Id, Record};

use super::{FeedError, Importer, Outgoing, source_name};

/// The model that records name: a trace does not say which it was.
pub const MODEL: &str = "azure-llm";

/// Where each column is.
#[derive(Clone, Copy)]
struct Columns {
    time: usize,
    input: usize,
    output: usize,
}

/// Turns each line into a `usage.tokens` record.
pub struct AzureLlmImporter {
    tenant: Id,
    event: Option<Id>,
    source: Id,
    line: u64,
    columns: Option<Columns>,
    /// How often each request was there, by its hash.
    seen: HashMap<u128, u32>,
    skipped: BTreeMap<String, u64>,
}

impl AzureLlmImporter {
    /// For a tenant, and an event where there is one.
    pub fn new(tenant: Id, event: Option<Id>) -> AzureLlmImporter {
        let source = source_name("azure-llm", event.as_deref().unwrap_or("-"));
        let (seen, skipped) = (HashMap::new(), BTreeMap::new());
        AzureLlmImporter { tenant, event, source, line: 0, columns: None, seen, skipped }
    }

    fn record(&mut self, line: &str, columns: Columns) -> Result<Record, FeedError> {
        let number = self.line;
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let object = |field: &'static str, problem: String| FeedError::Object {
            line: number,
            kind: "request",
            id: String::new(),
            field,
            problem,
        };
        let cell = |at: usize, field| {
            cells.get(at).copied().filter(|cell| !cell.is_empty()).ok_or_else(|| object(field, "is missing".into()))
        };
        let tokens = |at, field| {
            let text = cell(at, field)?;
            text.parse().map_err(|_| object(field, format!("is `{text}`, expected a whole number")))
        };
        let time = cell(columns.time, "TIMESTAMP")?;
        // The trace's clock has no zone. Its documentation has none either: UTC.
        let time_ms = parse_rfc3339_ms(&format!("{}Z", time.replacen(' ', "T", 1))).map_err(|_| {
            object("TIMESTAMP", format!("is `{time}`, expected a time such as 2023-11-16 18:17:03.9799600"))
        })?;
        let body = UsageTokens {
            model: MODEL.into(),
            input_tokens: tokens(columns.input, "ContextTokens")?,
            output_tokens: tokens(columns.output, "GeneratedTokens")?,
            ..UsageTokens::default()
        };
        let hash = stable_hash128(&cells.iter().map(|cell| cell.as_bytes()).collect::<Vec<_>>());
        let before = self.seen.entry(hash).or_default();
        *before += 1;
        let record = Record {
            id: format!("{hash:032x}/{before}").into(),
            source: self.source.clone(),
            tenant: self.tenant.clone(),
            event: self.event.clone(),
            subject: None,
            time_ms: Some(time_ms),
            backfill: true,
            body: Body::UsageTokens(body),
        };
        record.validate().map_err(|error| FeedError::Record { line: number, error })?;
        Ok(record)
    }
}

fn columns(line: &str) -> Option<Columns> {
    let names: Vec<&str> = line.split(',').map(str::trim).collect();
    let find = |name: &str| names.iter().position(|n| n.eq_ignore_ascii_case(name));
    Some(Columns { time: find("TIMESTAMP")?, input: find("ContextTokens")?, output: find("GeneratedTokens")? })
}

impl Importer for AzureLlmImporter {
    fn push_line(&mut self, line: &str, out: &mut Vec<Outgoing>) -> Result<(), FeedError> {
        self.line += 1;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(());
        }
        let Some(known) = self.columns else {
            self.columns = columns(line);
            let problem = "is no header, expected the columns TIMESTAMP, ContextTokens and GeneratedTokens";
            return match self.columns {
                Some(_) => Ok(()),
                None => Err(FeedError::NotAnEvent { line: self.line, problem: problem.into() }),
            };
        };
        let record = self.record(line, known)?;
        // Sums do not depend on order.
        let identity = [record.tenant.as_str(), &record.source, &record.id];
        out.push(Outgoing::new(&record, &identity));
        Ok(())
    }

    fn skipped(&self) -> &BTreeMap<String, u64> {
        &self.skipped
    }

    fn scope(&self) -> String {
        format!("{}/{}", self.tenant, self.event.as_deref().unwrap_or("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gravity_events::codec;

    fn read(lines: &[&str]) -> (Vec<Record>, Vec<FeedError>) {
        let mut importer = AzureLlmImporter::new("t".into(), Some("e".into()));
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        for line in lines {
            errors.extend(importer.push_line(line, &mut out).err());
        }
        (out.iter().map(|o| codec::decode(&o.bytes).unwrap()).collect(), errors)
    }

    const HEAD: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";

    #[test]
    fn each_request_is_a_record_and_equal_ones_are_told_apart() {
        let line = "2023-11-16 18:17:03.9799600,4808,10";
        let (records, errors) = read(&[HEAD, line, line, "2023-11-16 18:17:04.0319600,3180,8", ""]);
        assert_eq!((records.len(), errors.len()), (3, 0));
        assert_eq!(records[0].time_ms, Some(1_700_158_623_979));
        let Body::UsageTokens(body) = &records[2].body else { panic!("{:?}", records[2]) };
        assert_eq!((body.input_tokens, body.output_tokens), (3_180, 8));
        assert_ne!(records[0].id, records[1].id);
        assert_eq!(records, read(&[HEAD, line, line, "2023-11-16 18:17:04.0319600,3180,8"]).0, "the same every time");
        let (turned, _) = read(&["GeneratedTokens,TIMESTAMP,ContextTokens", "10,2023-11-16 18:17:03.9799600,4808"]);
        assert_eq!((turned[0].time_ms, &turned[0].body), (records[0].time_ms, &records[0].body));
    }

    #[test]
    fn bad_lines_say_which_and_why() {
        let (records, errors) =
            read(&[HEAD, "x,1,2", "2023-11-16 18:17:03,-1,2", "2023-11-16 18:17:03,1", "2023-11-16 18:17:03,1,2"]);
        assert_eq!(records.len(), 1);
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(texts[0].contains("line 2") && texts[0].contains("TIMESTAMP"), "{texts:?}");
        assert!(texts[1].contains("ContextTokens") && texts[1].contains("`-1`"), "{texts:?}");
        assert!(texts[2].contains("GeneratedTokens") && texts[2].contains("missing"), "{texts:?}");
        let (_, errors) = read(&["2023-11-16 18:17:03,1,2"]);
        assert!(errors[0].to_string().contains("no header"));
    }
}
