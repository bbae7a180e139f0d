//! JSON as Python's `json.dumps(value, ensure_ascii=False)` spells it: what templates print.
//!
//! Published templates print tools and arguments through a filter that is this function, so that a
//! rendering is only theirs if the spelling is: `, ` and `: ` between values, escapes where JSON
//! needs them and nowhere else, numbers as Python's `repr`. A number that a double would change
//! (more digits than it holds, beyond its range) keeps its spelling: nothing that a record says is
//! lost. An object with the same key twice is refused, since either value could be the one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use crate::input::fields::unquote;
use crate::input::json::{Fault, MAX_DEPTH, Scanner};

/// Why a value is not respelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unspellable {
    /// It is no JSON, or holds half a surrogate pair.
    Invalid,
    /// An object has a key twice.
    DuplicateKeys,
}

impl From<Fault> for Unspellable {
    fn from(_: Fault) -> Self {
        Self::Invalid
    }
}

/// Appends `raw`, one JSON value, as Python spells it; with `indent`, on lines indented by so many
/// spaces a level.
///
/// # Errors
/// What makes it unspellable; what was appended until then stays.
pub fn respell(raw: &str, indent: Option<usize>, to: &mut String) -> Result<(), Unspellable> {
    let mut speller = Speller { scanner: Scanner::new(raw.as_bytes()), raw, indent, to };
    speller.value(0)?;
    Ok(speller.scanner.end()?)
}

/// Appends a string with its quotes.
pub fn spell_string(text: &str, to: &mut String) {
    to.push('"');
    for character in text.chars() {
        match character {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            control if control < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(to, "\\u{:04x}", u32::from(control));
            }
            other => to.push(other),
        }
    }
    to.push('"');
}

struct Speller<'a, 't> {
    scanner: Scanner<'a>,
    raw: &'a str,
    indent: Option<usize>,
    to: &'t mut String,
}

impl Speller<'_, '_> {
    /// Calls itself; JSON in a string has passed no check of its nesting yet.
    fn value(&mut self, level: usize) -> Result<(), Unspellable> {
        if level > MAX_DEPTH {
            return Err(Unspellable::Invalid);
        }
        match self.scanner.peek()? {
            b'{' => self.object(level),
            b'[' => self.list(level),
            b'"' => self.string().map(|_| ()),
            first => {
                let start = self.scanner.position();
                self.scanner.skip_value()?;
                let spelled = &self.raw[start..self.scanner.position()];
                if first.is_ascii_alphabetic() {
                    self.to.push_str(spelled);
                } else {
                    self.to.push_str(&number(spelled));
                }
                Ok(())
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'_, [u8]>, Unspellable> {
        let quoted = self.scanner.string()?;
        if !quoted.has_escapes {
            // What needs no escape in JSON is what Python does not escape.
            self.to.push('"');
            self.to.push_str(&self.raw[quoted.range.clone()]);
            self.to.push('"');
            return Ok(Cow::Borrowed(&self.raw.as_bytes()[quoted.range]));
        }
        let unescaped = unquote(self.raw.as_bytes(), &quoted)?;
        let text = std::str::from_utf8(&unescaped).map_err(|_| Unspellable::Invalid)?;
        spell_string(text, self.to);
        Ok(Cow::Owned(unescaped.into_owned()))
    }

    fn object(&mut self, level: usize) -> Result<(), Unspellable> {
        self.scanner.open_object()?;
        self.to.push('{');
        let mut keys = HashSet::new();
        if self.scanner.peek()? != b'}' {
            loop {
                self.line(level + 1);
                if !keys.insert(self.string()?.into_owned()) {
                    return Err(Unspellable::DuplicateKeys);
                }
                self.scanner.expect(b':')?;
                self.to.push_str(": ");
                self.value(level + 1)?;
                if !self.scanner.accept(b',')? {
                    break;
                }
                self.comma();
            }
            self.line(level);
        }
        self.scanner.close_object()?;
        self.to.push('}');
        Ok(())
    }

    fn list(&mut self, level: usize) -> Result<(), Unspellable> {
        self.scanner.expect(b'[')?;
        self.to.push('[');
        if self.scanner.peek()? != b']' {
            loop {
                self.line(level + 1);
                self.value(level + 1)?;
                if !self.scanner.accept(b',')? {
                    break;
                }
                self.comma();
            }
            self.line(level);
        }
        self.scanner.expect(b']')?;
        self.to.push(']');
        Ok(())
    }

    fn comma(&mut self) {
        self.to.push_str(if self.indent.is_some() { "," } else { ", " });
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = self.indent {
            self.to.push('\n');
            self.to.extend(std::iter::repeat_n(' ', indent * level));
        }
    }
}

/// Returns a number as Python spells it, or as it is spelled where a double would change it.
fn number(spelled: &str) -> Cow<'_, str> {
    if !spelled.contains(['.', 'e', 'E']) {
        return Cow::Borrowed(if spelled == "-0" { "0" } else { spelled });
    }
    match spelled.parse::<f64>().ok().filter(|value| value.is_finite()).map(float) {
        Some(python) if digits(&python) == digits(spelled) => Cow::Owned(python),
        _ => Cow::Borrowed(spelled),
    }
}

/// Returns `repr` of a float: the shortest digits that give it back, with an exponent below 1e-4
/// and from 1e16.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let fixed = format!("{value}");
        if fixed.contains('.') { fixed } else { fixed + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

/// Returns sign, digits without zeros around them, and the exponent of the first of them.
fn digits(spelled: &str) -> Option<(bool, String, i64)> {
    let (is_negative, unsigned) =
        spelled.strip_prefix('-').map_or((false, spelled), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().ok()?;
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let leading = all.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Some((is_negative, String::new(), 0));
    }
    let first = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
    Some((is_negative, significant.to_owned(), exponent.checked_add(first)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(raw: &str) -> String {
        let mut to = String::new();
        respell(raw, None, &mut to).unwrap();
        to
    }

    #[test]
    fn values_are_spelled_as_python_spells_them() {
        let cases = [
            (r#"{"a":1,"b":[ ],"c":{ }}"#, r#"{"a": 1, "b": [], "c": {}}"#),
            (r#"["\u00e9\/\u0001\u007f\n","<&>"]"#, "[\"é/\\u0001\u{7f}\\n\", \"<&>\"]"),
            ("[true,false,null]", "[true, false, null]"),
            (
                "[-0, -0.0, 1.50, 1e5, 1E-7, 1e16, 123456789012345680.0]",
                "[0, -0.0, 1.5, 100000.0, 1e-07, 1e+16, 1.2345678901234568e+17]",
            ),
            (
                "[0.1, 0.10000000000000000555, 1e400, 5e-324, 12345678901234567890123]",
                "[0.1, 0.10000000000000000555, 1e400, 5e-324, 12345678901234567890123]",
            ),
        ];
        for (raw, expected) in cases {
            assert_eq!(python(raw), expected);
        }
    }

    #[test]
    fn an_indent_puts_values_on_lines_and_empty_ones_on_none() {
        let mut to = String::new();
        respell(r#"{"a":[1,{"b":{}}],"c":[]}"#, Some(4), &mut to).unwrap();
        let expected = "{\n    \"a\": [\n        1,\n        {\n            \"b\": {}\n        }\n    ],\n    \"c\": []\n}";
        assert_eq!(to, expected);
    }

    #[test]
    fn what_cannot_be_spelled_is_refused() {
        let mut to = String::new();
        assert_eq!(
            respell(r#"{"a": 1, "\u0061": 2}"#, None, &mut to),
            Err(Unspellable::DuplicateKeys)
        );
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        for broken in [r#"["\ud800"]"#, "[1,]", "[1] 2", "nil", &deep] {
            assert_eq!(respell(broken, None, &mut to), Err(Unspellable::Invalid), "{broken}");
        }
    }
}
