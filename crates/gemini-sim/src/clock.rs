//! Time on the wire: RFC 3339 stamps, and durations in seconds.

use serde_json::Value;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The stamp of a moment.
pub(super) fn stamp(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}

/// The moment of a stamp.
pub(super) fn moment(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}

/// A duration as protocol buffers write it: `3.5s`.
pub(super) fn duration(value: &Value) -> Option<Duration> {
    let seconds = value.as_str()?.strip_suffix('s')?;
    // The standard parser also takes exponents, infinity and signs; the service does not.
    let plain = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = plain.then(|| seconds.parse::<f64>().ok())??;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A duration as protocol buffers write it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_are_decimal_seconds() {
        for (text, millis) in [
            ("300s", Some(300_000)),
            ("3.5s", Some(3_500)),
            ("0s", Some(0)),
            ("3", None),
            ("s", None),
            ("-1s", None),
            ("1e3s", None),
            ("infs", None),
            ("99999999999999999999999s", None),
        ] {
            let read = duration(&json!(text)).map(|d| d.as_millis());
            assert_eq!(read, millis, "{text}");
        }
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5s");
        assert_eq!(seconds(Duration::from_secs(1)), "1s");
    }

    #[test]
    fn stamps_are_read_back() {
        let then = OffsetDateTime::from_unix_timestamp(1_786_000_000).unwrap();
        assert_eq!(moment(&json!(stamp(then))), Some(then));
        assert_eq!(moment(&json!("yesterday")), None);
    }
}
