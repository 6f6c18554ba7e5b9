//! RFC 8785 (JSON Canonicalization Scheme): one text per JSON value, so that equal data has equal hashes.
