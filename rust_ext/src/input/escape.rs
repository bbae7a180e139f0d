//! Strings as JSON writes them.

/// Bytes looked at together.
const LANES: usize = 8;
const ONES: u64 = u64::from_ne_bytes([1; LANES]);
const HIGHS: u64 = ONES << 7;

/// Appends a string in quotes; bytes that are no UTF-8 stay as they are.
pub(super) fn push_string(value: &[u8], to: &mut Vec<u8>) {
    to.reserve(value.len() + value.len() / 16 + 2);
    to.push(b'"');
    let mut start = 0;
    while let Some(length) = plain_prefix(&value[start..]) {
        let at = start + length;
        to.extend_from_slice(&value[start..at]);
        push_escape(value[at], to);
        start = at + 1;
    }
    to.extend_from_slice(&value[start..]);
    to.push(b'"');
}

/// Returns how many bytes come before the first one that needs an escape, if one does.
fn plain_prefix(value: &[u8]) -> Option<usize> {
    let (words, rest) = value.as_chunks::<LANES>();
    for (number, word) in words.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(number * LANES + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&byte| needs_escape(byte))?;
    Some(value.len() - rest.len() + at)
}

/// Sets the high bit of each byte that needs an escape, of the first such byte at least.
///
/// Borrows run upwards only: a byte above the first hit may be marked wrongly, none below it.
fn marks(word: u64) -> u64 {
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | equal(b'"') | equal(b'\\')
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn push_escape(byte: u8, to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        b'"' | b'\\' => byte,
        _ => {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            to.extend_from_slice(&[b'\\', b'u', b'0', b'0', DIGITS[high], DIGITS[low]]);
            return;
        }
    };
    to.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(text in proptest::prop_oneof![
            "\\PC{0,40}",
            "[\\x00-\\x7f]{0,40}",
            "[ !\"#\\\\\\x1f\\n\\u{80}-\\u{ff}]{0,40}",
        ]) {
            let mut line = Vec::new();
            push_string(text.as_bytes(), &mut line);
            let read: String = serde_json::from_slice(&line).unwrap();
            proptest::prop_assert_eq!(read, text);
        }
    }

    #[test]
    fn only_what_must_be_is_escaped() {
        let mut line = Vec::new();
        push_string("a\"\\\n\r\t\u{1}\u{7f}é\u{2028}".as_bytes(), &mut line);
        assert_eq!(line, "\"a\\\"\\\\\\n\\r\\t\\u0001\u{7f}é\u{2028}\"".as_bytes());
    }
}
