//! What of an attempt each view may know. The public tally takes only what comes out of [`VisibleAttempt::censor`], so
//! that no bit of a hidden verdict can get into it.

use super::attempts::Attempt;
use super::rules::{Effect, Rules};

/// An attempt in which a hidden verdict does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisibleAttempt {
    effect: Effect,
}

impl VisibleAttempt {
    /// Takes the verdict away, unread, where the public may not know it: from the freeze on until the thaw.
    pub fn censor(rules: &Rules, contest_time_ms: i64, attempt: &Attempt) -> Self {
        let effect = match rules.hidden_from_ms() {
            Some(from) if contest_time_ms >= from => Effect::Pending,
            _ => TrueAttempt::of(rules, attempt).effect,
        };
        VisibleAttempt { effect }
    }

    /// What it does to the public board.
    pub fn effect(self) -> Effect {
        self.effect
    }
}

/// An attempt as judges know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrueAttempt {
    effect: Effect,
}

impl TrueAttempt {
    /// With its current verdict.
    pub fn of(rules: &Rules, attempt: &Attempt) -> Self {
        TrueAttempt { effect: attempt.verdict.map_or(Effect::Pending, |verdict| rules.effect(verdict)) }
    }

    /// What it does to the jury's board.
    pub fn effect(self) -> Effect {
        self.effect
    }
}
