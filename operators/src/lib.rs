//! Pure operators and views: how facts become boards.
