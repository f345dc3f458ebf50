//! Prompt versions in the dotprompt format (google/dotprompt): YAML front matter and a Handlebars template.
//!
//! ```text
//! NAME, PATH, git:REV:NAME ── library ──▶ source (disk, git) ──▶ frontmatter ─┬─▶ manifest: model, config, schemas, tools
//!                                                                             └─▶ template ──▶ version::Prompt
//! template:  syntax ▶ (parser) ▶ dots ▶ lint, inclusions, variables ▶ bind
//! rendering: values ▶ text with marks ▶ messages ▶ Request
//! ```
//!
//! Everything that can be wrong with a prompt is found when it is opened, with its place, all at once. After that, a case
//! is rendered without any lookup by a name that comes from data: values are inserted as they are, never escaped, never
//! rendered again, and can't pass for a role, media, the history or a section.
//!
//! The lower layers ([`frontmatter`], [`picoschema`], [`template`], [`messages`]) do what dotprompt's specification says,
//! also where promptgate refuses it: unknown keys and context variables are mistakes in [`Library::open`] only.

pub mod frontmatter;
pub mod marks;
pub mod messages;
pub mod picoschema;
pub mod template;
pub mod text;
pub mod variables;

mod bind;
mod content;
mod dialect;
mod disk;
mod dots;
mod git;
mod inclusions;
mod library;
mod lint;
mod manifest;
mod schema;
mod source;
mod syntax;
#[cfg(test)]
mod testing;
mod version;
mod yaml;

pub use library::Library;
pub use schema::schema;
pub use version::Prompt;

/// Names in a row, at most twenty.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
