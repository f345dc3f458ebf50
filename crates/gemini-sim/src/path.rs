//! Which resource a path names. Anything may stand before the version, as behind a gateway.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Models,
    Model(&'a str),
    /// `models/MODEL:METHOD`.
    Call {
        model: &'a str,
        method: &'a str,
    },
    /// Where an upload starts and goes on; which of the two, the query says.
    Upload,
    Files,
    File(&'a str),
    Download(&'a str),
    Batches,
    Batch(&'a str),
    CancelBatch(&'a str),
    /// What the simulator counted; no part of the real service.
    Counters,
}

/// Where the counters are read.
pub(super) const COUNTERS: &str = "/_promptgate/counters";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// What stands before the version: empty, or a gateway's prefix.
    pub(super) prefix: &'a str,
    /// `v1beta` or `v1`.
    pub(super) version: &'a str,
    pub(super) resource: Resource<'a>,
}

impl<'a> Place<'a> {
    /// Model and method of a call.
    pub(super) fn call(self) -> Option<(&'a str, &'a str)> {
        if let Resource::Call { model, method } = self.resource { Some((model, method)) } else { None }
    }
}

/// Finds version and resource in a path.
pub(super) fn place(path: &str) -> Option<Place<'_>> {
    if path == COUNTERS {
        return Some(Place { prefix: "", version: "", resource: Resource::Counters });
    }
    let (at, version, collection) = ["v1beta", "v1"]
        .iter()
        .flat_map(|version| COLLECTIONS.map(|collection| (*version, collection)))
        .filter_map(|(version, collection)| {
            Some((path.find(&format!("/{version}/{collection}"))?, version, collection))
        })
        .min()?;
    let rest = &path[at + version.len() + collection.len() + 2..];
    let before = &path[..at];
    let named = match rest.strip_prefix('/') {
        None if rest.is_empty() => None,
        None | Some("") => return None,
        Some(name) => Some(name),
    };
    if let Some(prefix) = before.strip_suffix("/upload") {
        return (collection == "files" && named.is_none()).then_some(Place {
            prefix,
            version,
            resource: Resource::Upload,
        });
    }
    let prefix = before.strip_suffix("/download").unwrap_or(before);
    let resource = match (collection, named.map(|name| (name, name.rsplit_once(':')))) {
        ("models", None) => Resource::Models,
        ("models", Some((_, Some((model, method))))) => Resource::Call { model, method },
        ("models", Some((name, None))) => Resource::Model(name),
        ("files", None) => Resource::Files,
        ("files", Some((_, Some((name, "download"))))) => Resource::Download(name),
        ("files", Some((name, None))) => Resource::File(name),
        ("batches", None) => Resource::Batches,
        ("batches", Some((_, Some((name, "cancel"))))) => Resource::CancelBatch(name),
        ("batches", Some((name, None))) => Resource::Batch(name),
        _ => return None,
    };
    Some(Place { prefix, version, resource })
}

const COLLECTIONS: [&str; 3] = ["models", "files", "batches"];

/// The value of a query's parameter under either of its names, as it stands.
pub(super) fn parameter<'a>(query: &'a str, camel: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| super::body::same_name(camel, name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood() {
        let call = |model, method| Resource::Call { model, method };
        for (path, expected) in [
            ("/v1beta/models", Some(("", "v1beta", Resource::Models))),
            ("/v1/models/gemini-x", Some(("", "v1", Resource::Model("gemini-x")))),
            ("/v1beta/models/m:generateContent", Some(("", "v1beta", call("m", "generateContent")))),
            ("/gateway/gemini/v1/models/m:countTokens", Some(("/gateway/gemini", "v1", call("m", "countTokens")))),
            ("/upload/v1beta/files", Some(("", "v1beta", Resource::Upload))),
            ("/g/upload/v1/files", Some(("/g", "v1", Resource::Upload))),
            ("/v1beta/files", Some(("", "v1beta", Resource::Files))),
            ("/v1beta/files/a1", Some(("", "v1beta", Resource::File("a1")))),
            ("/v1beta/files/a1:download", Some(("", "v1beta", Resource::Download("a1")))),
            ("/download/v1beta/files/a1:download", Some(("", "v1beta", Resource::Download("a1")))),
            ("/v1beta/batches", Some(("", "v1beta", Resource::Batches))),
            ("/v1beta/batches/b", Some(("", "v1beta", Resource::Batch("b")))),
            ("/v1/batches/b:cancel", Some(("", "v1", Resource::CancelBatch("b")))),
            ("/_promptgate/counters", Some(("", "", Resource::Counters))),
            ("/v1beta/batches/b:banana", None),
            ("/upload/v1beta/models", None),
            ("/v1beta/files/", None),
            ("/v2/models/m", None),
            ("/v1beta/modelsx", None),
            ("/", None),
        ] {
            let found = place(path).map(|place| (place.prefix, place.version, place.resource));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn parameters_have_two_names() {
        assert_eq!(parameter("alt=sse&page_size=3", "pageSize"), Some("3"));
        assert_eq!(parameter("pageSize=4", "pageSize"), Some("4"));
        assert_eq!(parameter("pageSize", "pageSize"), None);
    }
}
