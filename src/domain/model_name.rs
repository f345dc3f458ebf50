//! Names of models: the one asked for, and the one that served.
//!
//! Two names are the same model if they are equal without the collection in front (`models/`) or differ only by the
//! number of a stable version at the end of one of them (`gemini-3.8-flash-001`, also written `@001`). A model asked for
//! by an alias (`…-latest`) or by a name of one's own (`tunedModels/…`, `dynamic/…`) names no model of the service, so
//! whatever serves it is right; what serves the two arms must still be the same.

/// A model that serves is what was asked for.
pub fn answers_for(requested: &str, served: &str) -> bool {
    let own = ["tunedModels/", "dynamic/"].iter().any(|collection| requested.starts_with(collection));
    own || plain(requested).ends_with("-latest") || same_model(requested, served)
}

/// Two names are of the same model; which of them was asked for makes no difference.
pub fn same_model(one: &str, other: &str) -> bool {
    let (one, other) = (plain(one), plain(other));
    one == other || versionless(one) == other || one == versionless(other)
}

/// A name without its collection.
fn plain(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// A name without the three digits of a stable version.
fn versionless(model: &str) -> &str {
    let Some((name, version)) = model.rsplit_once(['-', '@']) else {
        return model;
    };
    if version.len() == 3 && version.bytes().all(|byte| byte.is_ascii_digit()) { name } else { model }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_same_model() {
        for (requested, model, is) in [
            ("gemini-3.8-flash", "gemini-3.8-flash", true),
            ("models/gemini-3.8-flash", "gemini-3.8-flash", true),
            ("gemini-3.8-flash", "models/gemini-3.8-flash-001", true),
            ("gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash@001", true),
            ("gemini-3.8-flash-001", "gemini-3.8-flash", true),
            ("gemini-3.8-flash-001", "gemini-3.8-flash-002", false),
            ("gemini-3.8-flash", "gemini-3.8-flash-lite", false),
            ("gemini-3.8-flash", "gemini-3.8-flash-0012", false),
            ("gemini-2.5-flash", "gemini-2.5-flash-preview-05-20", false),
            ("gemini-2.5-pro", "gemini-3.8-flash", false),
            ("gemini-flash-latest", "gemini-3.8-flash", true),
            ("tunedModels/mine", "gemini-3.8-flash", true),
        ] {
            assert_eq!(answers_for(requested, model), is, "{requested} {model}");
        }
    }
}
