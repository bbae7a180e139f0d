//! Names and values as Python spells them.

use super::value::Value;
use super::write::push_text;
use super::{Made, Stop};

/// Brackets in brackets; Python's own parser gives up at 200.
const DEEPEST_LITERAL: usize = 50;

/// The reserved words of Python 3.12, and the one name that cannot be bound.
const RESERVED: [&str; 36] = [
    "False",
    "None",
    "True",
    "__debug__",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
];

/// Whether a text can be a name in Python as it is.
pub(super) fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
        && text.bytes().all(is_word)
        && RESERVED.binary_search(&text).is_err()
}

/// Whether the parts between dots are names.
pub(super) fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(is_name)
}

/// Whether a name can stand on a line of its own, between backquotes too.
///
/// # Errors
/// It is uncommon: which characters beyond ASCII can be printed, Python knows.
pub(super) fn is_plain(name: &str) -> Made<bool> {
    if !name.is_ascii() {
        return Err(Stop::Uncommon);
    }
    let is_printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'`');
    Ok(is_printable && !name.is_empty() && !name.starts_with(' ') && !name.ends_with(' '))
}

/// Whether Python's `str.split` splits here.
pub(super) fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// Appends a value as a Python literal on one line; a string is spelled as in JSON.
///
/// # Errors
/// It is too deep for a template of Python.
pub(super) fn push_literal(value: &Value<'_>, depth: usize, to: &mut String) -> Made<()> {
    match value {
        Value::Plain(spelled) => to.push_str(match *spelled {
            "null" => "None",
            "true" => "True",
            "false" => "False",
            number => number,
        }),
        Value::Text(text) => push_text(text, to),
        _ if depth == DEEPEST_LITERAL => return Err(Stop::Unfit),
        Value::List(values) => {
            to.push('[');
            for (number, each) in values.iter().enumerate() {
                to.push_str(if number > 0 { ", " } else { "" });
                push_literal(each, depth + 1, to)?;
            }
            to.push(']');
        }
        Value::Object(object) => {
            to.push('{');
            for (number, (key, each)) in object.iter().enumerate() {
                to.push_str(if number > 0 { ", " } else { "" });
                push_text(key, to);
                to.push_str(": ");
                push_literal(each, depth + 1, to)?;
            }
            to.push('}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    #[test]
    fn names_are_those_of_python() {
        assert!(["a", "_1", "Match", "match"].into_iter().all(is_name));
        assert!(
            ["", "1a", "a-b", "é", "None", "yield", "__debug__"].iter().all(|each| !is_name(each))
        );
        assert!(RESERVED.is_sorted());
        assert!(is_dotted_name("a.b") && !is_dotted_name("a..b"));
    }

    #[test]
    fn literals_are_those_of_python() {
        let mut to = String::new();
        push_literal(&parse(r#"[null, true, {"a": "b\n", "c": 1.5}]"#).unwrap(), 0, &mut to)
            .unwrap();
        assert_eq!(to, r#"[None, True, {"a": "b\n", "c": 1.5}]"#);
    }
}
