//! Lists in pages: `pageSize` and `pageToken` in, `nextPageToken` out.

use super::path::parameter;
use super::status::Status;
use serde_json::{Value, json};

/// Elements of a page when the request doesn't say.
const USUAL: usize = 50;
/// Elements of a page at most.
const LARGEST: usize = 1000;

/// One page of a list: `shown` makes an element's body, `name` is the list's field.
///
/// # Errors
/// 400 when the size or the token is no number.
pub(super) fn page<T>(all: &[T], query: &str, name: &str, shown: impl Fn(&T) -> Value) -> Result<Value, Status> {
    let number = |camel: &str| match parameter(query, camel) {
        None | Some("") => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Status::new(400, format!("Invalid value at '{}', \"{text}\"", super::body::snake(camel)))),
        },
    };
    let size = number("pageSize")?.filter(|size| *size > 0).unwrap_or(USUAL).min(LARGEST);
    let start = number("pageToken")?.unwrap_or(0).min(all.len());
    let end = (start + size).min(all.len());
    let mut body = json!({});
    // Empty lists are left out, as proto3 does.
    if start < end {
        body[name] = all[start..end].iter().map(shown).collect();
    }
    if end < all.len() {
        body["nextPageToken"] = json!(end.to_string());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let all: Vec<u32> = (0..5).collect();
        let get = |query: &str| page(&all, query, "items", |n| json!(n));
        assert_eq!(get("").unwrap(), json!({"items": [0, 1, 2, 3, 4]}));
        assert_eq!(get("pageSize=2").unwrap(), json!({"items": [0, 1], "nextPageToken": "2"}));
        assert_eq!(get("pageSize=2&pageToken=4").unwrap(), json!({"items": [4]}));
        assert_eq!(get("pageToken=9").unwrap(), json!({}));
        assert_eq!(get("pageToken=x").unwrap_err().http, 400);
    }
}
