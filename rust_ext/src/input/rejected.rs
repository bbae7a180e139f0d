//! What is kept of a line that cannot be read.

use std::borrow::Cow;

use base64::Engine as _;
use serde::Serialize;

/// Appends a rejected line's entry: where it was, why, and what it was.
pub(crate) fn reject(path: &str, record: u64, reason: &str, raw: &[u8], to: &mut Vec<u8>) {
    let text = std::str::from_utf8(raw);
    let encoded = |_| base64::engine::general_purpose::STANDARD.encode(raw);
    let entry = RejectedLine {
        origin: Origin { path, record },
        reason,
        raw: text.map_or_else(|fault| Cow::Owned(encoded(fault)), Cow::Borrowed),
        raw_encoding: text.is_err().then_some("base64"),
    };
    // Strings and numbers always have a JSON form.
    if serde_json::to_writer(&mut *to, &entry).is_ok() {
        to.push(b'\n');
    }
}

#[derive(Serialize)]
struct RejectedLine<'a> {
    origin: Origin<'a>,
    reason: &'a str,
    raw: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_encoding: Option<&'a str>,
}

#[derive(Serialize)]
struct Origin<'a> {
    path: &'a str,
    record: u64,
}
