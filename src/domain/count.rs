//! Numbers with their nouns.

/// `1 match`, `2 matches`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
