//! How the records of a file lie in it, known by its first block.

use memchr::{memchr, memmem};

use super::checker::{Checker, LineEnds, Progress};

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How the records of a file lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Elements of an array.
    Array,
    /// Values one behind the other, in lines or not; one alone is the whole file.
    Values,
    /// UTF-16 or UTF-32.
    Wide,
    /// Nothing but white space.
    Empty,
}

/// Tells the layout, given the first block behind a byte order mark of UTF-8.
///
/// A list may be the whole file or the first of many records. It is a record if another one
/// follows, or if the file's name promises lines and it ends with the first.
pub(super) fn detect(block: &[u8], is_whole_file: bool, is_named_lines: bool) -> Layout {
    if is_wide(block) {
        return Layout::Wide;
    }
    let Some(first) = block.iter().position(|byte| !byte.is_ascii_whitespace()) else {
        return if is_whole_file { Layout::Empty } else { Layout::Values };
    };
    let block = &block[first..];
    if block[0] != b'[' {
        return Layout::Values;
    }
    let may_follow = || [&b"]\n["[..], b"]\r\n["].iter().any(|m| memmem::find(block, m).is_some());
    if !is_named_lines && !may_follow() {
        return Layout::Array;
    }
    let mut list = Checker::new(LineEnds::Break);
    let is_record = match list.run(block) {
        Progress::Done => {
            let is_followed = block[list.at..].iter().any(|byte| !byte.is_ascii_whitespace());
            is_followed || (is_named_lines && memchr(b'\n', &block[..list.at]).is_none())
        }
        Progress::More => is_named_lines && memchr(b'\n', block).is_none(),
        Progress::Broken => is_named_lines && memchr(b'\n', &block[..list.at]).is_none(),
    };
    if is_record { Layout::Values } else { Layout::Array }
}

/// Returns whether every character takes two bytes or four: by a byte order mark, or by the zeros
/// beside the first character, which is ASCII in JSON (RFC 4627, section 3).
fn is_wide(block: &[u8]) -> bool {
    match *block {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 0, 0xFE, 0xFF, ..] => true,
        [first, second, ..] => (first == 0) != (second == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_file_unless_another_record_follows() {
        use Layout::{Array, Values};
        for (block, named_lines, expected) in [
            ("[1, 2]", false, Array),
            ("[1, 2]\n", true, Values),
            ("[\n1, 2]\n", true, Array),
            ("[1]\n[2]\n", false, Values),
            ("[1]\r\n[2]\r\n", false, Values),
            ("[[1]\n[2]", false, Array),
            ("[[1],\n[2]]", false, Array),
            ("[{\"a\": \"]\\n[\"}]", false, Array),
            ("[1, 2", false, Array),
            ("[1, 2", true, Values),
            ("[1, oops]\n[2]\n", true, Values),
            ("{\"a\": [1]}", false, Values),
            ("nothing", false, Values),
        ] {
            assert_eq!(detect(block.as_bytes(), true, named_lines), expected, "{block}");
        }
        assert_eq!(detect(b" \n", true, false), Layout::Empty);
        assert_eq!(detect(b"", true, false), Layout::Empty);
    }

    #[test]
    fn wide_characters_are_known_with_and_without_a_mark() {
        for wide in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{", b"{\0\"\0", b"\0{\0\"", b"[\0\0\0"] {
            assert_eq!(detect(wide, true, false), Layout::Wide, "{wide:?}");
        }
        assert_eq!(detect(b"\0\0\0\0", true, false), Layout::Values);
    }
}
