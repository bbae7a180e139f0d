//! JSON to a [`Value`], strictly; what is spelled otherwise than it would be written is uncommon.
//!
//! Numbers are kept as they are spelled, so that only those are taken that a double holds and that
//! are written alike: at most 15 digits and no exponent, or whole ones of at most 18. Zeros at the
//! end of a fraction are left out, as they are by whoever writes a double.

use std::collections::HashSet;
use std::rc::Rc;

use super::value::{Object, Text, Value};
use super::{Made, Stop};
use crate::input::json::simple_escape;
use crate::input::unescape::{BLOCK, is_special, special};

/// Deeper values are uncommon: what reads them calls itself.
const DEEPEST: usize = 100;

/// Objects of more keys are uncommon: a key is found by looking at all of them.
const MOST_KEYS: usize = 4096;

/// Objects of more keys are searched for repeated ones by hash.
const FEW_KEYS: usize = 16;

const WHOLE_DIGITS: usize = 18;
const FRACTION_DIGITS: usize = 15;

/// Reads one value whose keys are known to differ.
pub(super) fn parse_checked(text: &str) -> Made<Value<'_>> {
    Parser { text, at: 0, checks_keys: false }.whole()
}

/// Reads one value that was checked by nobody; an object with a key twice is uncommon.
pub(super) fn parse(text: &str) -> Made<Value<'_>> {
    Parser { text, at: 0, checks_keys: true }.whole()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    checks_keys: bool,
}

impl<'a> Parser<'a> {
    fn whole(mut self) -> Made<Value<'a>> {
        let value = self.value(0)?;
        self.blanks();
        if self.at == self.text.len() { Ok(value) } else { Err(Stop::Uncommon) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes a byte behind blanks if it is the next one.
    fn accept(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Made<()> {
        if self.accept(byte) { Ok(()) } else { Err(Stop::Uncommon) }
    }

    fn value(&mut self, depth: usize) -> Made<Value<'a>> {
        if depth > DEEPEST {
            return Err(Stop::Uncommon);
        }
        self.blanks();
        match self.peek().ok_or(Stop::Uncommon)? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => Ok(Value::Text(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Made<Value<'a>> {
        for word in ["null", "true", "false"] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(Value::Plain(word));
            }
        }
        Err(Stop::Uncommon)
    }

    fn object(&mut self, depth: usize) -> Made<Value<'a>> {
        self.at += 1;
        let mut object = Object::default();
        if self.accept(b'}') {
            return Ok(Value::of(object));
        }
        loop {
            self.blanks();
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            object.0.push((key, value));
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(b'}')?;
        if object.len() > MOST_KEYS || (self.checks_keys && repeats_a_key(&object)) {
            return Err(Stop::Uncommon);
        }
        Ok(Value::of(object))
    }

    fn list(&mut self, depth: usize) -> Made<Value<'a>> {
        self.at += 1;
        let mut values = Vec::new();
        if self.accept(b']') {
            return Ok(Value::List(Rc::new(values)));
        }
        loop {
            values.push(self.value(depth + 1)?);
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(b']')?;
        Ok(Value::List(Rc::new(values)))
    }

    fn string(&mut self) -> Made<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(Stop::Uncommon);
        }
        let start = self.at + 1;
        self.at = self.run_end(start)?;
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Text::Clean(&self.text[start..self.at - 1]));
        }
        let mut made = String::with_capacity(2 * (self.at - start) + 32);
        made.push_str(&self.text[start..self.at]);
        while self.peek() == Some(b'\\') {
            made.push(self.escape()?);
            let from = self.at;
            self.at = self.run_end(from)?;
            made.push_str(&self.text[from..self.at]);
        }
        if self.peek() != Some(b'"') {
            return Err(Stop::Uncommon); // a control character as it is
        }
        self.at += 1;
        Ok(made.into())
    }

    /// Returns where what stands for itself ends.
    fn run_end(&self, from: usize) -> Made<usize> {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            let found = special(block);
            if found != 0 {
                return Ok(at + found.trailing_zeros() as usize);
            }
            at += BLOCK;
        }
        let rest = bytes.get(at..).ok_or(Stop::Uncommon)?;
        rest.iter().position(|&byte| is_special(byte)).map(|found| at + found).ok_or(Stop::Uncommon)
    }

    fn escape(&mut self) -> Made<char> {
        let letter = *self.text.as_bytes().get(self.at + 1).ok_or(Stop::Uncommon)?;
        self.at += 2;
        if letter != b'u' {
            return simple_escape(letter).map(char::from).ok_or(Stop::Uncommon);
        }
        let high = self.code_unit()?;
        if !(0xD800..0xE000).contains(&high) {
            return char::from_u32(high).ok_or(Stop::Uncommon);
        }
        if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
            return Err(Stop::Uncommon);
        }
        self.at += 2;
        let low = self.code_unit()?;
        if high >= 0xDC00 || !(0xDC00..0xE000).contains(&low) {
            return Err(Stop::Uncommon); // half a pair
        }
        char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).ok_or(Stop::Uncommon)
    }

    fn code_unit(&mut self) -> Made<u32> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Stop::Uncommon)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Stop::Uncommon);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Stop::Uncommon)
    }

    fn number(&mut self) -> Made<Value<'a>> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += length;
        as_written(&rest[..length]).map(Value::Plain).ok_or(Stop::Uncommon)
    }
}

/// Returns a number as it is written again; `None` where that takes more than a look.
fn as_written(spelled: &str) -> Option<&str> {
    let digits = spelled.strip_prefix('-').unwrap_or(spelled);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_whole = !digits.contains('.');
    let are_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    if is_whole {
        return (whole.len() <= WHOLE_DIGITS && spelled != "-0").then_some(spelled);
    }
    // A double below a thousandth or so is written with an exponent, by some sooner than by others.
    let is_small = whole == "0" && fraction.starts_with("000");
    if whole.len() + fraction.len() > FRACTION_DIGITS || is_small {
        return None;
    }
    let kept = fraction.trim_end_matches('0').len().max(1);
    let written = &spelled[..spelled.len() - (fraction.len() - kept)];
    (written != "-0.0").then_some(written)
}

fn repeats_a_key(object: &Object<'_>) -> bool {
    let keys = &object.0;
    if keys.len() > FEW_KEYS {
        let mut seen = HashSet::with_capacity(keys.len());
        return keys.iter().any(|(key, _)| !seen.insert(&**key));
    }
    keys.iter()
        .enumerate()
        .any(|(at, (key, _))| keys[..at].iter().any(|(other, _)| **other == **key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_are_written_as_they_are_read() {
        for (spelled, written) in
            [("0", "0"), ("-12", "-12"), ("1.50", "1.5"), ("2.00", "2.0"), ("0.001", "0.001")]
        {
            assert_eq!(as_written(spelled), Some(written));
        }
        for other in ["-0", "-0.0", "01", "1e5", "0.0001", "1234567890123456789", "1.", ".5", "-"] {
            assert_eq!(as_written(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_json_is_uncommon() {
        for text in
            ["", "{", "[1,]", "{\"a\":1,}", "\"\\ud800\"", "\"a\nb\"", "nul", "1 2", "{1:2}"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("{\"a\":1,\"a\":2}").is_err());
        assert!(parse(&"[".repeat(1_000)).is_err());
    }

    #[test]
    fn escapes_stand_for_characters() {
        let value = parse(r#""a\n\u00e9\ud83d\ude00\/\"b""#).unwrap();
        assert_eq!(value.as_str(), Some("a\né😀/\"b"));
    }
}
