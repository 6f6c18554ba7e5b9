//! What an event file may say, section by section.

use std::fmt;

use gravity_events::Id;
use gravity_events::body::{BoardRules, Interval, Scoring, Selection, Subtasks, ValueFunction};
use gravity_events::time::parse_rfc3339_ms;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::super::duration::DurationMs;

/// The tenant when the file names none.
pub const TENANT_DEFAULT: &str = "default";

/// An event and everything that belongs to it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFile {
    /// The event.
    pub event: EventSection,
    /// Its problems, in the board's order.
    #[serde(default)]
    pub problem: Vec<ProblemEntry>,
    /// Its teams.
    #[serde(default)]
    pub team: Vec<TeamEntry>,
    /// Groups of teams.
    #[serde(default)]
    pub group: Vec<GroupEntry>,
    /// Organizations of teams.
    #[serde(default)]
    pub organization: Vec<OrganizationEntry>,
    /// Languages of submissions.
    #[serde(default)]
    pub language: Vec<LanguageEntry>,
    /// How its boards differ from what is usual for their kind.
    #[serde(default)]
    pub rules: RulesSection,
    /// Awards besides those that follow from the board.
    #[serde(default)]
    pub award: Vec<AwardEntry>,
    /// Rubrics.
    #[serde(default)]
    pub rubric: Vec<RubricEntry>,
    /// Verdicts; absent: AC, WA, TLE, RTE and the other usual ones.
    #[serde(default)]
    pub judgement_type: Option<Vec<JudgementTypeEntry>>,
}

/// `[[award]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwardEntry {
    /// Its id; one that follows from the board, such as `gold-medal`, takes that one's place.
    pub id: Id,
    /// For people.
    pub citation: String,
    /// Who has it.
    #[serde(default)]
    pub teams: Vec<Id>,
}

/// `[event]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSection {
    /// Its id, unique on the platform.
    pub id: Id,
    /// Who pays for it.
    #[serde(default = "tenant_default")]
    pub tenant: Id,
    /// Its name.
    pub name: String,
    /// Its long name.
    #[serde(default)]
    pub formal_name: Option<String>,
    /// How it is ranked.
    #[serde(default)]
    pub scoring: Scoring,
    /// Planned start.
    #[serde(default)]
    pub start_at: Option<At>,
    /// Length; absent: no end.
    #[serde(default)]
    pub duration: Option<DurationMs>,
    /// How long before its end the public board freezes.
    #[serde(default)]
    pub freeze: Option<DurationMs>,
    /// Penalty per rejected submission, whole minutes; 20 when absent.
    #[serde(default)]
    pub penalty: Option<DurationMs>,
    /// Only teams of this group are on the boards.
    #[serde(default)]
    pub main_group: Option<Id>,
    /// Raise it to go back to a content that was applied before: a record that came once does not count again.
    #[serde(default)]
    pub revision: u64,
}

fn tenant_default() -> Id {
    Id::const_new(TENANT_DEFAULT)
}

/// `[rules]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesSection {
    /// The rubric that counts; absent: the last one by name.
    pub rubric: Option<Id>,
    /// Rubric boards: `best`, `last` or `chosen` submissions count.
    pub selection: Selection,
    /// IOI boards: `each` subtask's best, or the best submission as a `whole`.
    pub subtasks: Subtasks,
    /// CTF boards: what a problem is worth which does not say it itself.
    pub value: Option<ValueFunction>,
    /// Kaggle boards: how many selected submissions count.
    pub selected_max: Option<u32>,
    /// Kaggle boards: the least score is the best one.
    pub lower_is_better: bool,
    /// Equal teams do not share a rank.
    pub strict: bool,
    /// CTF boards: teams without a solve are listed, too.
    pub list_all: bool,
    /// Spans of the event that do not count as time.
    pub removed_intervals: Vec<IntervalEntry>,
}

impl RulesSection {
    /// As the record says it.
    pub fn to_rules(&self) -> BoardRules {
        let interval = |i: &IntervalEntry| Interval { from_ms: i.from.0, to_ms: i.to.0 };
        BoardRules {
            rubric: self.rubric.clone(),
            selection: self.selection,
            subtasks: self.subtasks,
            value: self.value.clone(),
            selected_max: self.selected_max,
            lower_is_better: self.lower_is_better,
            strict: self.strict,
            list_all: self.list_all,
            removed_intervals: self.removed_intervals.iter().map(interval).collect(),
        }
    }
}

/// A span of the event's own time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntervalEntry {
    /// From here on.
    pub from: DurationMs,
    /// Until before here.
    pub to: DurationMs,
}

/// `[[rubric]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RubricEntry {
    /// Its id.
    pub id: Id,
    /// Its version; a changed rubric needs a higher one.
    pub version: u64,
    /// Its dimensions.
    #[serde(default)]
    pub dimension: Vec<DimensionEntry>,
}

/// `[[rubric.dimension]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DimensionEntry {
    /// Its name.
    pub id: Id,
    /// Its weight in basis points.
    pub weight_bp: u32,
    /// The operator that computes it.
    pub operator: Id,
    /// The operator's parameters.
    #[serde(default)]
    pub parameters: serde_json::Value,
}

/// `[[problem]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemEntry {
    /// Its id.
    pub id: Id,
    /// Its label on the board; its id when absent.
    #[serde(default)]
    pub label: Option<String>,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Colour as `#rrggbb`.
    #[serde(default)]
    pub rgb: Option<String>,
    /// CTF boards: what it is worth.
    #[serde(default)]
    pub value: Option<ValueFunction>,
    /// Other boards of points: its score counts so many times.
    #[serde(default)]
    pub weight: Option<u32>,
    /// Taken away.
    #[serde(default)]
    pub deleted: bool,
}

/// `[[team]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamEntry {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// The name to show, where it differs.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Its organization.
    #[serde(default)]
    pub organization: Option<Id>,
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<Id>,
    /// Never on a public board.
    #[serde(default)]
    pub hidden: bool,
    /// Shown without a rank.
    #[serde(default)]
    pub out_of_competition: bool,
    /// Taken away.
    #[serde(default)]
    pub deleted: bool,
}

/// `[[group]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupEntry {
    /// Its id.
    pub id: Id,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Hides its teams from public boards.
    #[serde(default)]
    pub hidden: bool,
    /// Taken away.
    #[serde(default)]
    pub deleted: bool,
}

/// `[[organization]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationEntry {
    /// Its id.
    pub id: Id,
    /// Short name.
    #[serde(default)]
    pub name: String,
    /// Full name.
    #[serde(default)]
    pub formal_name: Option<String>,
    /// ISO 3166-1 alpha-3 code.
    #[serde(default)]
    pub country: Option<Id>,
    /// Taken away.
    #[serde(default)]
    pub deleted: bool,
}

/// `[[language]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageEntry {
    /// Its id.
    pub id: Id,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Taken away.
    #[serde(default)]
    pub deleted: bool,
}

/// `[[judgement_type]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgementTypeEntry {
    /// Its id, such as `AC`.
    pub id: Id,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whether it solves the problem.
    #[serde(default)]
    pub solved: bool,
    /// Whether it costs penalty; absent: unless it solves.
    #[serde(default)]
    pub penalty: Option<bool>,
    /// Taken away.
    #[serde(default)]
    pub deleted: bool,
}

/// A moment: RFC 3339 as text or, in TOML, as a date-time with offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At(pub i64);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<At, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = At;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time such as 2026-03-14T08:00:00Z")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<At, E> {
                // TOML allows a space between date and time.
                parse_rfc3339_ms(&text.replacen(' ', "T", 1)).map(At).map_err(|e| E::custom(format!("`{text}` {e}")))
            }
            // A date-time of TOML comes as a map with one private key.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<At, A::Error> {
                let entry: Option<(String, String)> = map.next_entry()?;
                let (_, text) = entry.ok_or_else(|| A::Error::custom("is empty; expected an RFC 3339 time"))?;
                self.visit_str(&text)
            }
        }
        d.deserialize_any(Read)
    }
}
