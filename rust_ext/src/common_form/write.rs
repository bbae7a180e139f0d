//! Values as JSON: without blanks in records, with some in texts.

use super::value::{Object, Text, Value};
use crate::input::unescape::{BLOCK, is_special, special};

/// Where blanks stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Nowhere.
    Compact,
    /// One behind each comma and colon.
    Line,
    /// Each key and element on its own line, indented by two a level.
    Block,
}

/// Appends a value.
pub(super) fn push_value(value: &Value<'_>, layout: Layout, to: &mut String) {
    Writer { layout, to }.value(value, 0);
}

/// Appends an object of some of its keys and values, such as those that a template has no place for.
pub(super) fn push_object(object: &Object<'_>, layout: Layout, to: &mut String) {
    Writer { layout, to }.object(object, 0);
}

struct Writer<'t> {
    layout: Layout,
    to: &'t mut String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value<'_>, level: usize) {
        match value {
            Value::Plain(spelled) => self.to.push_str(spelled),
            Value::Text(text) => push_text(text, self.to),
            Value::List(values) => self.list(values, level),
            Value::Object(object) => self.object(object, level),
        }
    }

    fn list(&mut self, values: &[Value<'_>], level: usize) {
        self.to.push('[');
        for (number, each) in values.iter().enumerate() {
            self.between(number, level + 1);
            self.value(each, level + 1);
        }
        self.close(values.is_empty(), level, ']');
    }

    fn object(&mut self, object: &Object<'_>, level: usize) {
        self.to.push('{');
        for (number, (key, each)) in object.iter().enumerate() {
            self.between(number, level + 1);
            push_text(key, self.to);
            self.to.push_str(if self.layout == Layout::Compact { ":" } else { ": " });
            self.value(each, level + 1);
        }
        self.close(object.is_empty(), level, '}');
    }

    fn between(&mut self, number: usize, level: usize) {
        match self.layout {
            Layout::Compact if number > 0 => self.to.push(','),
            Layout::Line if number > 0 => self.to.push_str(", "),
            Layout::Block => {
                self.to.push_str(if number > 0 { ",\n" } else { "\n" });
                self.indent(level);
            }
            _ => {}
        }
    }

    fn close(&mut self, is_empty: bool, level: usize, bracket: char) {
        if self.layout == Layout::Block && !is_empty {
            self.to.push('\n');
            self.indent(level);
        }
        self.to.push(bracket);
    }

    fn indent(&mut self, level: usize) {
        for _ in 0..level {
            self.to.push_str("  ");
        }
    }
}

/// Appends a string as JSON.
pub(super) fn push_text(text: &Text<'_>, to: &mut String) {
    match text {
        Text::Clean(text) => {
            to.push('"');
            to.push_str(text);
            to.push('"');
        }
        Text::Made(text) => push_string(text, to),
    }
}

/// Appends a string with its quotes and only the escapes that JSON demands.
pub(super) fn push_string(text: &str, to: &mut String) {
    to.reserve(text.len() + text.len() / 16 + 2);
    to.push('"');
    let bytes = text.as_bytes();
    let mut start = 0;
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let mut found = special(block);
        while found != 0 {
            let hit = at + found.trailing_zeros() as usize;
            to.push_str(&text[start..hit]);
            push_escape(bytes[hit], to);
            start = hit + 1;
            found &= found - 1;
        }
        at += BLOCK;
    }
    while at < bytes.len() {
        if is_special(bytes[at]) {
            to.push_str(&text[start..at]);
            push_escape(bytes[at], to);
            start = at + 1;
        }
        at += 1;
    }
    to.push_str(&text[start..]);
    to.push('"');
}

fn push_escape(byte: u8, to: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'\n' => 'n',
        b'\r' => 'r',
        b'\t' => 't',
        8 => 'b',
        12 => 'f',
        b'"' | b'\\' => char::from(byte),
        _ => {
            to.push_str("\\u00");
            to.push(char::from(DIGITS[usize::from(byte >> 4)]));
            to.push(char::from(DIGITS[usize::from(byte & 15)]));
            return;
        }
    };
    to.push('\\');
    to.push(letter);
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn written(text: &str, layout: Layout) -> String {
        let mut to = String::new();
        push_value(&parse(text).unwrap(), layout, &mut to);
        to
    }

    #[test]
    fn blanks_stand_where_the_layout_has_them() {
        let text = r#"{"a": [], "b": [1, {"c": null}], "d": {}}"#;
        assert_eq!(written(text, Layout::Compact), r#"{"a":[],"b":[1,{"c":null}],"d":{}}"#);
        assert_eq!(written(text, Layout::Line), text);
        let block = "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {\n      \"c\": null\n    }\n  ],\n  \"d\": {}\n}";
        assert_eq!(written(text, Layout::Block), block);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(text in proptest::prop_oneof![
            "\\PC{0,80}", "[\\x00-\\x7f]{0,80}", "[ \"\\\\\\x1f\\n\\u{80}-\\u{ff}]{0,80}",
        ]) {
            let mut line = String::new();
            push_string(&text, &mut line);
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text.clone());
            let read = parse(&line).unwrap();
            proptest::prop_assert_eq!(read.as_str(), Some(text.as_str()));
        }
    }
}
