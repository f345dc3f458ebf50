//! Pairing and statistics.
