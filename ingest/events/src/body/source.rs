//! What submissions are made of, and which of them are alike.

use serde::{Deserialize, Serialize};

use crate::Id;

/// The text of a submission, for the comparison with those of others. A record of its own, so that no board carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePublished {
    /// Of which submission.
    pub submission: Id,
    /// Whose.
    pub team: Id,
    /// For which problem.
    pub problem: Id,
    /// In which language.
    pub language: Id,
    /// All its files, one after the other.
    pub text: String,
}

/// Text that everybody is given for a problem: what it has counts for nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplatePublished {
    /// Its id.
    pub template: Id,
    /// For which problem.
    pub problem: Id,
    /// In which language.
    pub language: Id,
    /// The text; empty takes the template away.
    pub text: String,
}

/// One of two sources that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alike {
    /// Whose.
    pub team: Id,
    /// Of which submission.
    pub submission: Id,
}

/// The newest sources of two teams are alike: a flag for a person, never a verdict. Or no longer, when `share_bp` is 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SimilarityChanged {
    /// For which problem.
    pub problem: Id,
    /// Languages that are compared with each other.
    pub language: Id,
    /// The team whose id is the lesser.
    pub left: Alike,
    /// The other.
    pub right: Alike,
    /// Fingerprints that they share.
    pub shared: u32,
    /// How much of the smaller one is in the other, in basis points.
    pub share_bp: u32,
}
