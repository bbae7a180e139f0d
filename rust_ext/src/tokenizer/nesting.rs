//! How deep the lists and objects of a file are nested, before a parser that calls itself reads it.

use memchr::memchr2;

/// More levels than any tokenizer has; the JSON parser of the `tokenizers` crate ends here too.
pub(super) const MAX_DEPTH: usize = 128;

/// Returns whether more than [`MAX_DEPTH`] brackets that no string holds are open at once.
///
/// Whether `json` is otherwise well-formed does not matter.
pub(super) fn is_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(json, at),
            b'[' | b'{' if depth == MAX_DEPTH => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Returns the position behind the string whose first character is at `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        at += 1; // what a backslash escapes
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_brackets_count_unless_closed_or_in_a_string() {
        let nested = |depth: usize| format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
        assert!(!is_too_deep(nested(MAX_DEPTH / 2).as_bytes()));
        assert!(is_too_deep(nested(MAX_DEPTH / 2 + 1).as_bytes()));
        assert!(is_too_deep(&[b'['; MAX_DEPTH + 1]));
        assert!(!is_too_deep("[],".repeat(1_000).as_bytes()));
        let text = format!(r#"["{}\"{}\\"]"#, "[".repeat(200), "{".repeat(200));
        assert!(!is_too_deep(text.as_bytes()));
        assert!(is_too_deep(format!("{text}{}", "[".repeat(200)).as_bytes()));
        for broken in [&b"\""[..], b"\"\\", b"\"\\\"", b"]]"] {
            assert!(!is_too_deep(broken));
        }
    }
}
