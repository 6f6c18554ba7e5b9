//! The dataflow runtime: sequencer, folds, views, journal, committer, recovery.
