//! Similarity of sources: pairs of teams whose submissions share more than chance explains (winnowing: Schleimer, Wilkerson,
//! Aiken, "Winnowing: Local Algorithms for Document Fingerprinting", SIGMOD 2003). Flags for a person; never a verdict.
//!
//! ```text
//! text -> tokens -> k-grams -> fingerprints --+
//!                                             +--(inverted index, per fingerprint)--> shared per pair, size per team --> pairs
//! templates --------------------------------- +
//! ```

pub mod fingerprint;
pub mod pairs;
pub mod tokens;
