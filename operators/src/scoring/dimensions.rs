//! The catalogue: all operators for dimensions, a line each. Each is a file of this folder.

use super::operator::Entry;

/// One line per operator: its file and its struct, in the order of the documentation.
macro_rules! catalogue {
    ($($file:ident :: $operator:ident,)*) => {
        $(mod $file;)*

        /// Every operator.
        pub const CATALOGUE: &[Entry] = &[$(Entry::of::<$file::$operator>(),)*];
    };
}

catalogue! {
    test_groups::TestGroups,
    log_ratio::LogRatio,
    findings::Findings,
    ladder::Ladder,
    budget::Budget,
    measure::Measure,
    panel::Panel,
}

/// The operator of a name.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_examples_are_good() {
        for (n, entry) in CATALOGUE.iter().enumerate() {
            assert!(CATALOGUE[..n].iter().all(|other| other.name != entry.name), "{} is there twice", entry.name);
            let example = serde_json::from_str(entry.example).expect(entry.name);
            (entry.build)(&example).unwrap_or_else(|e| panic!("the example of {}: {e}", entry.name));
            assert_eq!((entry.schema)()["type"], "object", "{}", entry.name);
        }
    }

    #[test]
    fn unknown_parameters_are_named() {
        for entry in CATALOGUE {
            let mut parameters: serde_json::Value = serde_json::from_str(entry.example).expect(entry.name);
            parameters["colour"] = "red".into();
            let error = (entry.build)(&parameters).expect_err(entry.name);
            assert!(error.contains("colour"), "{}: {error}", entry.name);
        }
    }
}
