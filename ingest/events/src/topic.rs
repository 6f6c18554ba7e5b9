//! Topics: names, direction and order of reading.

use serde::{Deserialize, Serialize};

/// One topic of the platform. The order of the variants is the order in which an epoch reads them: reference data first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // each variant is its name, see `Topic::name`
pub enum Topic {
    Reference,
    Submissions,
    Judgements,
    Usage,
    Telemetry,
    Labs,
    Scores,
    BoardsPublic,
    BoardsJury,
    Burn,
    Alerts,
    Epochs,
    DeadLetter,
    Changes,
    Sources,
    Similarities,
    Accepted,
    Analytics,
}

impl Topic {
    /// Every topic, in order.
    pub const ALL: [Topic; 18] = [
        Topic::Reference,
        Topic::Submissions,
        Topic::Judgements,
        Topic::Usage,
        Topic::Telemetry,
        Topic::Labs,
        Topic::Scores,
        Topic::BoardsPublic,
        Topic::BoardsJury,
        Topic::Burn,
        Topic::Alerts,
        Topic::Epochs,
        Topic::DeadLetter,
        Topic::Changes,
        Topic::Sources,
        Topic::Similarities,
        Topic::Accepted,
        Topic::Analytics,
    ];

    /// The Kafka name, without a configured prefix.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Reference => "gravity.reference.v1",
            Topic::Submissions => "gravity.submissions.v1",
            Topic::Judgements => "gravity.judgements.v1",
            Topic::Usage => "gravity.usage.v1",
            Topic::Telemetry => "gravity.telemetry.v1",
            Topic::Labs => "gravity.labs.v1",
            Topic::Scores => "gravity.scores.v1",
            Topic::BoardsPublic => "gravity.boards.public.v1",
            Topic::BoardsJury => "gravity.boards.jury.v1",
            Topic::Burn => "gravity.burn.v1",
            Topic::Alerts => "gravity.alerts.v1",
            Topic::Epochs => "gravity.epochs.v1",
            Topic::DeadLetter => "gravity.deadletter.v1",
            Topic::Changes => "gravity.changes.v1",
            Topic::Sources => "gravity.sources.v1",
            Topic::Similarities => "gravity.similarities.v1",
            Topic::Accepted => "gravity.accepted.v1",
            Topic::Analytics => "gravity.analytics.v1",
        }
    }

    /// The topic of that name.
    pub fn from_name(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Whether users and feeds write to it (the others are written by pipelines only).
    pub fn is_input(self) -> bool {
        self <= Topic::Labs || self == Topic::Sources
    }

    /// A small number that stands for the topic in files; never reused.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The topic of a code.
    pub fn from_code(code: u8) -> Option<Topic> {
        Topic::ALL.get(code as usize).copied()
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_unique_and_stable() {
        for t in Topic::ALL {
            assert_eq!(Topic::from_name(t.name()), Some(t));
            assert_eq!(Topic::from_code(t.code()), Some(t));
        }
        assert_eq!(Topic::DeadLetter.code(), 12);
        assert_eq!(Topic::from_name("gravity.nothing.v1"), None);
    }
}
