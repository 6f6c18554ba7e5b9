//! What each view may know. Scoring sees a team's work only through a [`Sight`], so that no bit of a hidden verdict can
//! get into the public view.

use gravity_events::board::View;

use super::attempts::{Attempt, When};
use super::facts::{Correction, Outcome};
use super::rules::{Effect, Rules};

/// The measure that stays hidden until the thaw on boards of two splits.
pub const PRIVATE_SPLIT: &str = "private";

/// What one view may know of an event.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    rules: &'a Rules,
    hidden_from_ms: Option<i64>,
    private: bool,
    /// By place: problems of which nothing is hidden any more.
    revealed: &'a [bool],
    corrected: bool,
}

impl<'a> Sight<'a> {
    /// Of the public: verdicts from the freeze on are taken away, unread, until the thaw.
    pub fn public(rules: &'a Rules) -> Self {
        Sight {
            rules,
            hidden_from_ms: rules.hidden_from_ms(),
            private: rules.private_is_public(),
            revealed: &[],
            corrected: false,
        }
    }

    /// Of a team, of its own work: verdicts in a freeze, too.
    pub fn own(rules: &'a Rules) -> Self {
        Sight { hidden_from_ms: None, ..Sight::public(rules) }
    }

    /// Of judges: everything.
    pub fn jury(rules: &'a Rules) -> Self {
        Sight { rules, hidden_from_ms: None, private: true, revealed: &[], corrected: true }
    }

    /// The same with the hidden verdicts of some problems revealed (by place), and hidden corrections, too.
    pub fn with_revealed(self, revealed: &'a [bool], corrected: bool) -> Self {
        Sight { revealed, corrected, ..self }
    }

    fn is_revealed(&self, attempt: &Attempt) -> bool {
        !self.revealed.is_empty()
            && self.rules.place(attempt.problem).is_some_and(|at| self.revealed.get(at) == Some(&true))
    }

    /// The rules.
    pub fn rules(&self) -> &'a Rules {
        self.rules
    }

    /// Whether something of this contest time is hidden.
    pub fn hides(&self, contest_time_ms: i64) -> bool {
        self.hidden_from_ms.is_some_and(|from| contest_time_ms >= from)
    }

    /// What an attempt does to the board.
    pub fn effect(&self, contest_time_ms: i64, attempt: &Attempt) -> Effect {
        match attempt.verdict {
            Some(verdict) if !self.hides(contest_time_ms) || self.is_revealed(attempt) => self.rules.effect(verdict),
            _ => Effect::Pending,
        }
    }

    /// What was measured of an attempt.
    pub fn outcome(&self, contest_time_ms: i64, attempt: &'a Attempt) -> Option<&'a Outcome> {
        attempt.outcome.as_deref().filter(|_| self.effect(contest_time_ms, attempt) != Effect::Pending)
    }

    /// Whether the private split is known.
    pub fn private(&self) -> bool {
        self.private
    }

    /// Whether something of this moment is known. What nobody said the time of counts as in the freeze.
    pub fn knows(&self, time_ms: Option<i64>) -> bool {
        let when = time_ms.map_or(When::Unknown, When::Clock);
        self.hidden_from_ms.is_none() || self.rules.contest_time_ms(when).is_some_and(|at_ms| !self.hides(at_ms))
    }

    /// Whose places in the votes of a panel are known: what was voted in the freeze is shown together with what was corrected.
    pub fn places_of(&self) -> View {
        if self.corrected { View::Jury } else { View::Public }
    }

    /// Whether a correction is known. One whose time nobody said counts as made in the freeze.
    pub fn corrects(&self, correction: &Correction) -> bool {
        correction.visible_now || self.corrected || self.knows(correction.time_ms)
    }
}
