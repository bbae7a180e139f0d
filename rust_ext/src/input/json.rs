//! A scanner of JSON that checks everything and builds nothing.
//!
//! What is not wanted of a line is passed over, but its grammar is checked as strictly as if it
//! were (RFC 8259), except that half a surrogate pair may stand in a string that is passed over,
//! as Python writes it. Nothing calls itself, so that nesting costs no stack. It works on bytes
//! and leaves the question whether they are UTF-8 to the caller: all that it looks for is ASCII.

use std::ops::Range;

/// Room beyond the unescaped string that [`Scanner::unescape`] writes to.
pub(crate) use super::unescape::SLACK;
use super::unescape::{BLOCK, SIMPLE, is_special, special, unescape};

/// How deep values may be nested; what Python's parsers bear is about as much.
pub(crate) const MAX_DEPTH: usize = 1_000;

/// Why a scan ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Invalid,
    TooDeep,
}

type Scanned<T> = Result<T, Fault>;

/// Where a string lies between its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub(crate) range: Range<usize>,
    pub(crate) has_escapes: bool,
}

/// A position in a line.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The objects and lists that are open: a bit each, 1 for an object.
    open: [u64; MAX_DEPTH.div_ceil(64)],
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, open: [0; MAX_DEPTH.div_ceil(64)], depth: 0 }
    }

    /// Returns how many bytes have been passed.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Returns how many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Returns bytes of the line.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &'a [u8] {
        &self.bytes[range]
    }

    /// Passes white space and returns the byte behind it, without passing that.
    pub(crate) fn peek(&mut self) -> Scanned<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(Fault::Invalid),
            }
        }
    }

    /// Passes `byte`, which must be the next that is no white space.
    pub(crate) fn expect(&mut self, byte: u8) -> Scanned<()> {
        if self.peek()? != byte {
            return Err(Fault::Invalid);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes `byte` if it is the next that is no white space.
    pub(crate) fn accept(&mut self, byte: u8) -> Scanned<bool> {
        let is_next = self.peek()? == byte;
        self.at += usize::from(is_next);
        Ok(is_next)
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Scanned<()> {
        if self.peek().is_ok() { Err(Fault::Invalid) } else { Ok(()) }
    }

    /// Begins an object, which counts as a level.
    pub(crate) fn open_object(&mut self) -> Scanned<()> {
        self.expect(b'{')?;
        self.descend(true)
    }

    /// Ends the object that was opened last and not ended.
    pub(crate) fn close_object(&mut self) -> Scanned<()> {
        self.expect(b'}')?;
        self.depth -= 1;
        Ok(())
    }

    /// Passes a string, opening quote included.
    pub(crate) fn string(&mut self) -> Scanned<Quoted> {
        self.expect(b'"')?;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.pass_plain();
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Quoted { range: start..self.at - 1, has_escapes });
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.pass_escape()?;
                }
                _ => return Err(Fault::Invalid),
            }
        }
    }

    /// Passes a string up to its first escape or its end, and says whether that is its end.
    ///
    /// At an escape it stands before the backslash, for [`Scanner::unescape`].
    pub(crate) fn plain_string(&mut self) -> Scanned<(Range<usize>, bool)> {
        self.expect(b'"')?;
        let start = self.at;
        self.pass_plain();
        let range = start..self.at;
        match self.bytes.get(self.at) {
            Some(b'"') => {
                self.at += 1;
                Ok((range, true))
            }
            Some(b'\\') => Ok((range, false)),
            _ => Err(Fault::Invalid),
        }
    }

    /// Passes the rest of a string and writes what it stands for to `to`; returns its length.
    ///
    /// `to` must have room for the bytes that are left of the line and [`SLACK`] more: what a
    /// string stands for is never longer than the string.
    pub(crate) fn unescape(&mut self, to: &mut [u8]) -> Scanned<usize> {
        let mut length = 0;
        loop {
            let (passed, written) = unescape(&self.bytes[self.at..], &mut to[length..]);
            self.at += passed;
            length += written;
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(length);
                }
                Some(b'\\') => length += self.escape(&mut to[length..])?,
                Some(&byte) if byte >= 0x20 => {
                    to[length] = byte;
                    length += 1;
                    self.at += 1;
                }
                _ => return Err(Fault::Invalid),
            }
        }
    }

    /// Passes any value.
    pub(crate) fn skip_value(&mut self) -> Scanned<()> {
        let outer = self.depth;
        loop {
            let byte = self.peek()?;
            let is_open = match byte {
                b'{' => {
                    self.at += 1;
                    self.descend(true)?;
                    if self.peek()? == b'}' {
                        false
                    } else {
                        self.key()?;
                        true
                    }
                }
                b'[' => {
                    self.at += 1;
                    self.descend(false)?;
                    self.peek()? != b']'
                }
                _ => {
                    self.scalar(byte)?;
                    false
                }
            };
            if !is_open && self.after_value(outer)? {
                return Ok(());
            }
        }
    }

    /// Passes what may follow a value inside of others; `true` if all of them down to `outer`
    /// ended, `false` if another value follows.
    fn after_value(&mut self, outer: usize) -> Scanned<bool> {
        while self.depth > outer {
            let innermost = self.depth - 1;
            let is_object = self.open[innermost / 64] >> (innermost % 64) & 1 == 1;
            match self.peek()? {
                b',' => {
                    self.at += 1;
                    if is_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return Err(Fault::Invalid),
            }
            self.at += 1;
            self.depth -= 1;
        }
        Ok(true)
    }

    fn key(&mut self) -> Scanned<()> {
        self.string()?;
        self.expect(b':')
    }

    fn descend(&mut self, is_object: bool) -> Scanned<()> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.open[word] = self.open[word] & !(1 << bit) | u64::from(is_object) << bit;
        self.depth += 1;
        Ok(())
    }

    fn scalar(&mut self, first: u8) -> Scanned<()> {
        match first {
            b'"' => self.string().map(|_| ()),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Scanned<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Fault::Invalid);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Scanned<()> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// Passes one digit and more.
    fn digits(&mut self) -> Scanned<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(Fault::Invalid) } else { Ok(()) }
    }

    /// Stops at the next quote, backslash or control character, or at the end.
    fn pass_plain(&mut self) {
        while let Some(block) = self.bytes[self.at..].first_chunk::<BLOCK>() {
            let found = special(block);
            if found != 0 {
                self.at += found.trailing_zeros() as usize;
                return;
            }
            self.at += BLOCK;
        }
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len());
    }

    /// Passes an escape of a string that is not wanted.
    fn pass_escape(&mut self) -> Scanned<()> {
        self.at += 1;
        match self.bytes.get(self.at) {
            Some(b'u') => {
                self.at += 1;
                self.hex().map(|_| ())
            }
            Some(&letter) => {
                self.at += 1;
                simple(letter).map(|_| ())
            }
            None => Err(Fault::Invalid),
        }
    }

    /// Passes an escape and writes what it stands for; returns its length.
    fn escape(&mut self, to: &mut [u8]) -> Scanned<usize> {
        let letter = *self.bytes.get(self.at + 1).ok_or(Fault::Invalid)?;
        self.at += 2;
        if letter != b'u' {
            to[0] = simple(letter)?;
            return Ok(1);
        }
        let mut code = self.hex()?;
        if (0xD800..0xDC00).contains(&code) {
            if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                return Err(Fault::Invalid);
            }
            self.at += 2;
            let low = self.hex()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(Fault::Invalid);
            }
            code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        let character = char::from_u32(code).ok_or(Fault::Invalid)?;
        Ok(character.encode_utf8(to).len())
    }

    /// Passes four hexadecimal digits.
    fn hex(&mut self) -> Scanned<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Fault::Invalid)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, &digit| {
            let value = char::from(digit).to_digit(16).ok_or(Fault::Invalid)?;
            Ok(code << 4 | value)
        })
    }
}

fn simple(letter: u8) -> Scanned<u8> {
    match SIMPLE[usize::from(letter)] {
        0 => Err(Fault::Invalid),
        byte => Ok(byte),
    }
}

/// Returns what a backslash and a letter stand for, but for `u`.
pub(crate) fn simple_escape(letter: u8) -> Option<u8> {
    simple(letter).ok()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn scan(line: &str) -> Scanned<()> {
        let mut scanner = Scanner::new(line.as_bytes());
        scanner.skip_value()?;
        scanner.end()
    }

    /// What the string in quotes stands for.
    fn unescaped(quoted: &str) -> Scanned<String> {
        let mut scanner = Scanner::new(quoted.as_bytes());
        let (plain, is_whole) = scanner.plain_string()?;
        let mut bytes = quoted.as_bytes()[plain].to_vec();
        if !is_whole {
            let mut room = vec![0; scanner.remaining() + SLACK];
            let length = scanner.unescape(&mut room)?;
            bytes.extend_from_slice(&room[..length]);
        }
        scanner.end()?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn each_rule_of_the_grammar_is_held_to() {
        for valid in [
            "0",
            "-0",
            "10.50",
            "1e5",
            "-1.5E-07",
            "1E+2",
            "true",
            "false",
            "null",
            r#""""#,
            r#""\"\\\/\b\f\n\r\t\u0aF9""#,
            "[]",
            "[ ]",
            "{}",
            "{ }",
            "[1, [2], {}]",
            " \t\r\n1 ",
            r#"{"a" : [] , "b":{"c":null}}"#,
            r#""\ud800 half a pair, passed over""#,
        ] {
            assert_eq!(scan(valid), Ok(()), "{valid}");
        }
        for invalid in [
            "",
            " ",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+",
            "0x1",
            "tru",
            "True",
            "NaN",
            "nul",
            "\"",
            "\"a\nb\"",
            "\"\u{1}\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\u12g4""#,
            r#""\"#,
            "[",
            "]",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[}",
            "{]",
            "{",
            "{1:2}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a" 1}"#,
            r#"{"a":1 "b":2}"#,
            "1 2",
            "[[]",
            "[]]",
            "\u{b}1",
            "'a'",
        ] {
            assert_eq!(scan(invalid), Err(Fault::Invalid), "{invalid}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        for broken in
            [r#""\ud800""#, r#""\ud800x""#, r#""\ud800\n""#, r#""\ud800\u0041""#, r#""\udc00""#]
        {
            assert_eq!(unescaped(broken), Err(Fault::Invalid), "{broken}");
        }
        assert_eq!(unescaped(r#""\uD83D\ude00\u0000é""#).unwrap(), "😀\0é");
    }

    /// Bytes that JSON is made of, and some that end it.
    fn nearly_json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(","),
            Just(":"),
            Just("\"a\""),
            Just("\"\\n\""),
            Just("\"\\u00e9\""),
            Just("1"),
            Just("-0.5e3"),
            Just("true"),
            Just("null"),
            Just(" "),
            Just("\""),
            Just("\\"),
            Just("\u{1}"),
            Just("é"),
            Just("00"),
            Just("{\"k\":"),
            Just("[1,"),
            Just("\"long enough to fill more than one block of it\""),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_another_parser_takes_is_taken_and_nothing_else(line in nearly_json()) {
            let other = serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok();
            prop_assert_eq!(scan(&line).is_ok(), other, "{}", line);
        }

        #[test]
        fn text_comes_back_as_it_was(text in "(\\PC|[\"\\\\/\n\t\u{0}\u{1f}é😀]){0,80}") {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescaped(&quoted).unwrap(), text.clone());
            let ascii = text.encode_utf16().fold(String::new(), |mut ascii, unit| {
                write!(ascii, "\\u{unit:04x}").unwrap();
                ascii
            });
            prop_assert_eq!(unescaped(&format!("\"{ascii}\"")).unwrap(), text);
            prop_assert_eq!(scan(&quoted), Ok(()));
        }
    }
}
