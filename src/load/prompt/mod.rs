//! Prompt versions in the dotprompt format.

pub mod frontmatter;
pub mod marks;
pub mod messages;
pub mod picoschema;
pub mod template;
pub mod text;
pub mod variables;

mod bind;
mod dialect;
mod disk;
mod dots;
mod git;
mod inclusions;
mod library;
mod lint;
mod manifest;
mod source;
mod syntax;
#[cfg(test)]
mod testing;
mod version;
mod yaml;

pub use library::Library;
pub use variables::Variable;
pub use version::Prompt;

/// Names in a row, at most twenty.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}
