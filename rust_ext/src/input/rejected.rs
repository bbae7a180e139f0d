//! What is kept of a line that cannot be read.

use std::borrow::Cow;

use base64::Engine as _;
use serde::Serialize;

/// Lines of more than this are shown by their head.
const LONGEST_SHOWN_BYTES: usize = 1 << 20;

/// How much of them.
const SHOWN_BYTES: usize = 1 << 16;

/// Appends a rejected line's entry: where it was, why, and what it was; of a long line its head
/// and its length.
pub(crate) fn reject(path: &str, record: u64, reason: &str, raw: &[u8], to: &mut Vec<u8>) {
    let is_long = raw.len() > LONGEST_SHOWN_BYTES;
    let shown = if is_long { head(raw) } else { raw };
    let text = std::str::from_utf8(shown);
    let encoded = |_| base64::engine::general_purpose::STANDARD.encode(shown);
    let entry = RejectedLine {
        origin: Origin { path, record },
        reason,
        raw: text.map_or_else(|fault| Cow::Owned(encoded(fault)), Cow::Borrowed),
        raw_encoding: text.is_err().then_some("base64"),
        raw_bytes: is_long.then_some(raw.len()),
    };
    // Strings and numbers always have a JSON form.
    if serde_json::to_writer(&mut *to, &entry).is_ok() {
        to.push(b'\n');
    }
}

/// Returns the beginning of a long line, cut between characters.
fn head(raw: &[u8]) -> &[u8] {
    let head = &raw[..SHOWN_BYTES];
    match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => &head[..error.valid_up_to()],
        _ => head,
    }
}

#[derive(Serialize)]
struct RejectedLine<'a> {
    origin: Origin<'a>,
    reason: &'a str,
    raw: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_encoding: Option<&'a str>,
    /// Of a line that is not here as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_bytes: Option<usize>,
}

#[derive(Serialize)]
struct Origin<'a> {
    path: &'a str,
    record: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(raw: &[u8]) -> serde_json::Value {
        let mut to = Vec::new();
        reject("a", 3, "no_text", raw, &mut to);
        serde_json::from_slice(&to).unwrap()
    }

    #[test]
    fn a_long_line_is_its_head_and_its_length() {
        let whole = "x".repeat(LONGEST_SHOWN_BYTES);
        assert_eq!(entry(whole.as_bytes())["raw"], whole);
        assert_eq!(entry(whole.as_bytes()).get("raw_bytes"), None);
        let long = format!("x{}", "é".repeat(LONGEST_SHOWN_BYTES / 2));
        let shown = entry(long.as_bytes());
        assert_eq!(shown["raw"], long[..SHOWN_BYTES - 1]);
        assert_eq!(shown["raw_bytes"], long.len());
        assert_eq!(shown.get("raw_encoding"), None);
        let shown = entry(&vec![0xff; LONGEST_SHOWN_BYTES + 1]);
        assert_eq!(shown["raw"].as_str().map(str::len), Some(SHOWN_BYTES.div_ceil(3) * 4));
        assert_eq!(shown["raw_encoding"], "base64");
    }
}
