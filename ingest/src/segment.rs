//! Append-only files of CRC-framed frames: the one storage format of topics and journals.
