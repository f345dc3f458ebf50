//! Parts of promptgate that a build may lack.

/// A Cargo feature of this package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    /// This binary was built with it.
    pub enabled: bool,
}

impl Feature {
    /// What to say where it is needed and missing: what is missing, and how to get it.
    pub fn missing(self) -> String {
        let name = self.name;
        format!(
            "needs the Cargo feature `{name}`: use a published binary, or build with `cargo build --features {name}`"
        )
    }
}
