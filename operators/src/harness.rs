//! What an author tests a view with: scripts of epochs over several workers, oracles, golden files.
