//! Where reading goes on behind a broken record.
//!
//! In an array, at the comma behind it, as long as brackets and quotes fit together; where they do
//! not, at the next line that begins as the broken record's own did. Line ends are never inside of
//! strings, so such a line begins a record, whatever went wrong before it.

use memchr::memchr_iter;

use super::nesting::Nesting;

/// What was found of the end of a broken element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The bytes end before it.
    More,
    /// The comma behind it, or the bracket that ends the array, is at [`Structure::at`].
    Certain,
    /// Brackets or quotes contradict each other.
    Uncertain,
}

/// The brackets and quotes of an element whose grammar is broken.
#[derive(Debug)]
pub(super) struct Structure {
    /// Where to go on, counted from the first byte of the element.
    pub(super) at: usize,
    open: Nesting,
    is_in_text: bool,
}

impl Structure {
    /// Begins at a byte outside of strings; `open` are the brackets that are open there.
    pub(super) fn new(at: usize, open: Nesting) -> Self {
        Self { at, open, is_in_text: false }
    }

    /// Looks for the end of the element.
    pub(super) fn run(&mut self, bytes: &[u8]) -> End {
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'\\' if self.is_in_text => {
                    if self.at + 1 == bytes.len() {
                        return End::More;
                    }
                    self.at += 1;
                }
                b'\n' | b'\r' if self.is_in_text => return End::Uncertain,
                b'"' => self.is_in_text = !self.is_in_text,
                _ if self.is_in_text => {}
                b'\\' => return End::Uncertain,
                b'{' | b'[' => self.open.push(byte == b'{'),
                b',' | b']' if self.open.is_empty() => return End::Certain,
                b'}' | b']' if self.open.pop() != Some(byte == b'}') => return End::Uncertain,
                _ => {}
            }
            self.at += 1;
        }
        End::More
    }
}

/// Returns where a line begins with `indentation` and then with `opener`, searching the line ends
/// from `from` on; the position is that of `opener`.
///
/// `None` where no such line has begun; a line whose beginning the bytes do not hold has not.
pub(super) fn find_line(
    bytes: &[u8],
    from: usize,
    indentation: &[u8],
    is_opener: impl Fn(usize, u8) -> bool,
) -> Option<usize> {
    memchr_iter(b'\n', bytes.get(from..)?).find_map(|end| {
        let line = from + end + 1;
        let rest = bytes[line..].strip_prefix(indentation)?;
        is_opener(from + end, *rest.first()?).then_some(line + indentation.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(element: &str) -> (End, usize) {
        let mut structure = Structure::new(0, Nesting::default());
        (structure.run(element.as_bytes()), structure.at)
    }

    #[test]
    fn an_element_ends_where_brackets_and_quotes_say_so() {
        assert_eq!(end("{'a': [1, 2]}, 3"), (End::Certain, 13));
        assert_eq!(end("{\"a\\\",}\" 5}]"), (End::Certain, 11));
        for uncertain in ["{\"a\n", "{]", "}", "{\\}", "[1}"] {
            assert_eq!(end(uncertain).0, End::Uncertain, "{uncertain}");
        }
        for more in ["{", "{\"a,", "\"\\", "oops"] {
            assert_eq!(end(more).0, End::More, "{more}");
        }
    }

    #[test]
    fn a_line_is_found_by_its_indentation_and_its_first_byte() {
        let bytes = b"{\n  {\n    {\n  [\n  {";
        let brace = |_: usize, byte: u8| byte == b'{';
        assert_eq!(find_line(bytes, 0, b"  ", brace), Some(4));
        assert_eq!(find_line(bytes, 3, b"  ", brace), Some(18));
        assert_eq!(find_line(bytes, 0, b"", brace), None);
        assert_eq!(find_line(b"a\n  ", 0, b"  ", brace), None);
    }
}
