//! How a score came about, step by step, for whoever asks.

/// Takes the steps of a computation; does nothing, at no cost, where nobody asked.
#[derive(Debug, Default)]
pub struct Explain(Option<Vec<String>>);

impl Explain {
    /// Nobody asked.
    pub fn nothing() -> Explain {
        Explain(None)
    }

    /// Keeps every step.
    pub fn steps() -> Explain {
        Explain(Some(Vec::new()))
    }

    /// One step, in words and numbers for people.
    pub fn step(&mut self, text: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.0 {
            steps.push(text());
        }
    }

    /// The steps so far.
    pub fn into_steps(self) -> Vec<String> {
        self.0.unwrap_or_default()
    }
}

/// Basis points as per cent, for people: `87.65 %`.
pub fn percent(bp: i64) -> String {
    format!("{}.{:02} %", bp.div_euclid(100), bp.rem_euclid(100))
}
