//! Where the value of a key stands in an object, and what is asked of a record that way.

use std::ops::Range;

use super::fields::unquote;
use super::json::{Fault, Quoted, Scanner};

/// Returns where the value of `key` stands in `object`, if it has one; of equal keys the last.
pub(super) fn find_value(object: &[u8], key: &str) -> Result<Option<Range<usize>>, Fault> {
    let mut scanner = Scanner::new(object);
    let mut found = None;
    if scanner.peek()? != b'{' {
        return Ok(None);
    }
    scanner.open_object()?;
    if scanner.accept(b'}')? {
        return Ok(None);
    }
    loop {
        let name = scanner.string()?;
        scanner.expect(b':')?;
        scanner.peek()?; // passes white space
        let start = scanner.position();
        scanner.skip_value()?;
        if unquote(object, &name).is_ok_and(|name| *name == *key.as_bytes()) {
            found = Some(start..scanner.position());
        }
        if !scanner.accept(b',')? {
            return Ok(found);
        }
    }
}

/// Returns `origin.url` of a record's line, if it has one that is a string.
pub(crate) fn origin_url(line: &[u8]) -> Option<String> {
    let origin = &line[find_value(line, "origin").ok()??];
    let url = find_value(origin, "url").ok()??;
    if origin[url.start] != b'"' {
        return None;
    }
    let has_escapes = origin[url.clone()].contains(&b'\\');
    let quoted = Quoted { range: url.start + 1..url.end - 1, has_escapes };
    String::from_utf8(unquote(origin, &quoted).ok()?.into_owned()).ok()
}

/// Returns whether a record's line has `messages`, a list that is not empty.
pub(crate) fn has_messages(line: &[u8]) -> bool {
    // Few records of a corpus have; to look for the name alone costs a tenth of reading the line.
    // A name with escapes in it is spelled so by nobody who writes records.
    if memchr::memmem::find(line, b"\"messages\"").is_none() {
        return false;
    }
    let Ok(Some(messages)) = find_value(line, "messages") else { return false };
    let value = &line[messages];
    value[0] == b'[' && value[1..value.len() - 1].iter().any(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_record_is_found_where_it_belongs() {
        let url = |line: &str| origin_url(line.as_bytes());
        let line = r#"{"url": "no", "origin": {"path": "a", "url" : "http:\/\/a\u00e9" }, "x": 1}"#;
        assert_eq!(url(line).as_deref(), Some("http://aé"));
        assert_eq!(url(r#"{"origin": {"url": "a", "url": "b"}}"#).as_deref(), Some("b"));
        for none in [
            r#"{"origin": {"url": null}}"#,
            r#"{"origin": {"url": {"url": "a"}}}"#,
            r#"{"origin": {"path": "a"}}"#,
            r#"{"origin": {}}"#,
            r#"{"origin": "http://a"}"#,
            r#"{"origin": null, "url": "http://a"}"#,
            r#"{"meta": {"origin": {"url": "http://a"}}}"#,
            r#"{"origin": {"url": "\ud800"}}"#,
            "{}",
            "[]",
        ] {
            assert_eq!(url(none), None, "{none}");
        }
    }

    #[test]
    fn only_a_list_with_something_in_it_is_messages() {
        for line in [r#"{"messages": [{"role": "user"}]}"#, r#"{"a": 1, "messages" : [ 1 ] }"#] {
            assert!(has_messages(line.as_bytes()), "{line}");
        }
        for line in [
            r#"{"messages": []}"#,
            r#"{"messages": [ ]}"#,
            r#"{"messages": null}"#,
            r#"{"messages": "[1]"}"#,
            r#"{"meta": {"messages": [1]}}"#,
            r#"{"text": "\"messages\": [1]"}"#,
            r#"{"messages": [1], "messages": []}"#,
        ] {
            assert!(!has_messages(line.as_bytes()), "{line}");
        }
    }
}
