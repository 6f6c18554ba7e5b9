//! The event file: an event, its problems, teams and the rest, in TOML or JSON, as `gravity apply` takes it.
//!
//! It becomes reference records with ids made of their content, so that applying a file again changes nothing, and
//! applying a changed one sends what changed. What is no longer in the file stays; say `deleted = true` to take it away.

use std::collections::BTreeSet;

use gravity_events::body::{
    CustomAward, EventConfigured, GroupRegistered, JudgementTypePublished, LanguagePublished, OrganizationRegistered,
    ProblemPublished, RubricDimension, RubricPublished, TeamRegistered,
};
use gravity_events::record::stable_hash128;
use gravity_events::{Body, Id, Record};

mod entries;

use super::own::checked;
use crate::http::extract::is_other_json;
use crate::http::misfit::Misfit;

pub use entries::*;

/// The source of the records of an event file.
pub const SOURCE: &str = "urn:gravity:event-file";

/// Why a file is not an event file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventFileError {
    /// Not TOML or not JSON.
    #[error("the event file cannot be read: {0}")]
    Syntax(String),
    /// A field is missing, unknown or holds something else than it should.
    #[error("`{}` {}", .0.field, .0.message)]
    Field(Misfit),
}

fn wrong(field: impl Into<String>, message: impl Into<String>) -> EventFileError {
    EventFileError::Field(Misfit { code: "invalid", field: field.into(), message: message.into() })
}

/// The verdicts of an event that names none: (id, name, solved, penalty).
const VERDICTS: [(&str, &str, bool, bool); 9] = [
    ("AC", "accepted", true, false),
    ("WA", "wrong answer", false, true),
    ("PE", "presentation error", false, true),
    ("NO", "no output", false, true),
    ("TLE", "time limit exceeded", false, true),
    ("MLE", "memory limit exceeded", false, true),
    ("OLE", "output limit exceeded", false, true),
    ("RTE", "run-time error", false, true),
    ("CE", "compile error", false, false),
];

impl EventFile {
    /// Reads and checks a file in TOML.
    pub fn from_toml(text: &str) -> Result<EventFile, EventFileError> {
        let reader = toml::Deserializer::parse(text).map_err(|e| EventFileError::Syntax(e.to_string()))?;
        let file: EventFile = serde_path_to_error::deserialize(reader)
            .map_err(|e| EventFileError::Field(Misfit::new(&e.path().to_string(), e.inner().message())))?;
        file.check()?;
        Ok(file)
    }

    /// Reads and checks a file in JSON.
    pub fn from_json(bytes: &[u8]) -> Result<EventFile, EventFileError> {
        if is_other_json(bytes) {
            return Err(wrong("body", "is not a JSON object"));
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let file: EventFile = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
            if e.inner().is_data() {
                EventFileError::Field(Misfit::new(&e.path().to_string(), &e.inner().to_string()))
            } else {
                EventFileError::Syntax(e.into_inner().to_string())
            }
        })?;
        reader.end().map_err(|e| EventFileError::Syntax(e.to_string()))?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), EventFileError> {
        let e = &self.event;
        if let (Some(freeze), Some(duration)) = (e.freeze, e.duration)
            && freeze > duration
        {
            return Err(wrong("event.freeze", "is longer than `event.duration`; it is the time before the end"));
        }
        if e.freeze.is_some() && e.duration.is_none() {
            return Err(wrong("event.freeze", "is counted from the end, but `event.duration` is missing"));
        }
        if e.penalty.is_some_and(|p| p.0 % 60_000 != 0) {
            return Err(wrong("event.penalty", "is not a whole number of minutes; write it as in \"20m\""));
        }
        unique("problem", self.problem.iter().map(|p| &p.id))?;
        unique("team", self.team.iter().map(|t| &t.id))?;
        unique("award", self.award.iter().map(|a| &a.id))?;
        let groups = unique("group", self.group.iter().map(|g| &g.id))?;
        let organizations = unique("organization", self.organization.iter().map(|o| &o.id))?;
        unique("language", self.language.iter().map(|l| &l.id))?;
        unique("judgement_type", self.judgement_type.iter().flatten().map(|j| &j.id))?;
        let known = |field: String, kind: &str, id: &Id, all: &BTreeSet<&Id>| {
            if all.contains(id) {
                Ok(())
            } else {
                Err(wrong(field, format!("names the {kind} `{id}`, which the file does not have")))
            }
        };
        for (n, team) in self.team.iter().enumerate() {
            for group in &team.groups {
                known(format!("team[{n}].groups"), "group", group, &groups)?;
            }
            if let Some(organization) = &team.organization {
                known(format!("team[{n}].organization"), "organization", organization, &organizations)?;
            }
        }
        if let Some(group) = &e.main_group {
            known("event.main_group".into(), "group", group, &groups)?;
        }
        for (n, problem) in self.problem.iter().enumerate() {
            if problem.rgb.as_deref().is_some_and(|rgb| !is_colour(rgb)) {
                return Err(wrong(format!("problem[{n}].rgb"), "is not a colour such as #ff8800"));
            }
        }
        // The codec's own checks of every value, so that what is applied is never refused by a pipeline.
        for (field, record) in self.named_records() {
            checked(&record).map_err(|(at, message)| {
                let at = match (field.as_str(), at.as_str()) {
                    ("event", "tenant") => "tenant",
                    ("event", "event")
                    | (_, "problem" | "rubric" | "team" | "group" | "organization" | "language" | "judgement_type") => {
                        "id"
                    }
                    (_, other) => other,
                };
                wrong(format!("{field}.{at}"), message)
            })?;
        }
        Ok(())
    }

    /// The records that set the event up, the event itself first. The same file gives the same records.
    pub fn to_records(&self) -> Vec<Record> {
        self.named_records().into_iter().map(|(_, record)| record).collect()
    }

    /// The records, with the place in the file that each comes from.
    fn named_records(&self) -> Vec<(String, Record)> {
        let e = &self.event;
        let mut all = vec![(
            "event".to_owned(),
            self.record(Body::EventConfigured(EventConfigured {
                name: e.name.clone(),
                formal_name: e.formal_name.clone(),
                scoring: e.scoring,
                start_at: e.start_at.map(|at| at.0),
                duration_ms: e.duration.map(|d| d.0),
                freeze_duration_ms: e.freeze.map(|d| d.0),
                penalty_ms: e.penalty.map(|d| d.0),
                main_group: e.main_group.clone(),
                rules: self.rules.to_rules(),
                awards: self.award.iter().map(award).collect(),
            })),
        )];
        let mut add = |kind: &str, n: usize, body: Body| all.push((format!("{kind}[{n}]"), self.record(body)));
        for (n, g) in self.group.iter().enumerate() {
            let body = GroupRegistered {
                group: g.id.clone(),
                name: g.name.clone(),
                hidden: g.hidden,
                deleted: g.deleted,
                revision: 0,
            };
            add("group", n, Body::GroupRegistered(body));
        }
        for (n, o) in self.organization.iter().enumerate() {
            add(
                "organization",
                n,
                Body::OrganizationRegistered(OrganizationRegistered {
                    organization: o.id.clone(),
                    name: o.name.clone(),
                    formal_name: o.formal_name.clone(),
                    country: o.country.clone(),
                    deleted: o.deleted,
                    revision: 0,
                }),
            );
        }
        for (n, p) in self.problem.iter().enumerate() {
            add(
                "problem",
                n,
                Body::ProblemPublished(ProblemPublished {
                    problem: p.id.clone(),
                    label: p.label.clone().unwrap_or_else(|| p.id.to_string()),
                    name: p.name.clone(),
                    ordinal: i64::try_from(n).unwrap_or(i64::MAX),
                    rgb: p.rgb.clone(),
                    value: p.value.clone(),
                    weight: p.weight,
                    deleted: p.deleted,
                    revision: 0,
                }),
            );
        }
        for (n, l) in self.language.iter().enumerate() {
            let body =
                LanguagePublished { language: l.id.clone(), name: l.name.clone(), deleted: l.deleted, revision: 0 };
            add("language", n, Body::LanguagePublished(body));
        }
        for (n, j) in self.verdicts().into_iter().enumerate() {
            add("judgement_type", n, Body::JudgementTypePublished(j));
        }
        for (n, r) in self.rubric.iter().enumerate() {
            let dimension = |d: &DimensionEntry| RubricDimension {
                dimension: d.id.clone(),
                weight_bp: d.weight_bp,
                operator: d.operator.clone(),
                parameters: d.parameters.clone(),
            };
            let dimensions = r.dimension.iter().map(dimension).collect();
            let body = RubricPublished { rubric: r.id.clone(), version: r.version, dimensions };
            add("rubric", n, Body::RubricPublished(body));
        }
        for (n, t) in self.team.iter().enumerate() {
            add(
                "team",
                n,
                Body::TeamRegistered(TeamRegistered {
                    team: t.id.clone(),
                    name: t.name.clone(),
                    display_name: t.display_name.clone(),
                    organization: t.organization.clone(),
                    groups: t.groups.clone(),
                    hidden: t.hidden,
                    out_of_competition: t.out_of_competition,
                    deleted: t.deleted,
                    revision: 0,
                }),
            );
        }
        all
    }

    fn verdicts(&self) -> Vec<JudgementTypePublished> {
        let published = |id: Id, name: String, solved: bool, penalty: bool, deleted: bool| JudgementTypePublished {
            judgement_type: id,
            name,
            solved: Some(solved),
            penalty: Some(penalty),
            deleted,
            revision: 0,
        };
        match &self.judgement_type {
            Some(given) => given
                .iter()
                .map(|j| published(j.id.clone(), j.name.clone(), j.solved, j.penalty.unwrap_or(!j.solved), j.deleted))
                .collect(),
            None => VERDICTS
                .iter()
                .map(|(id, name, s, p)| published(Id::const_new(id), (*name).to_owned(), *s, *p, false))
                .collect(),
        }
    }

    /// A record whose id is a hash of what it says.
    fn record(&self, body: Body) -> Record {
        let e = &self.event;
        let data = body.encode().expect("a body is plain data");
        let hash =
            stable_hash128(&[e.id.as_bytes(), body.kind().as_bytes(), &e.revision.to_le_bytes(), data.as_bytes()]);
        Record {
            id: format!("{hash:032x}").into(),
            source: Id::const_new(SOURCE),
            tenant: e.tenant.clone(),
            event: Some(e.id.clone()),
            subject: None,
            time_ms: None,
            // A file may be applied again long after: its identities are kept while the event lives.
            backfill: true,
            body,
        }
    }
}

fn award(entry: &AwardEntry) -> CustomAward {
    CustomAward { award: entry.id.clone(), citation: entry.citation.clone(), teams: entry.teams.clone() }
}

fn is_colour(text: &str) -> bool {
    let hex = text.strip_prefix('#').unwrap_or("");
    matches!(hex.len(), 3 | 6) && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

fn unique<'a>(kind: &str, ids: impl Iterator<Item = &'a Id>) -> Result<BTreeSet<&'a Id>, EventFileError> {
    let mut seen = BTreeSet::new();
    for (n, id) in ids.enumerate() {
        if !seen.insert(id) {
            return Err(wrong(format!("{kind}[{n}].id"), format!("`{id}` is there twice")));
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests;
