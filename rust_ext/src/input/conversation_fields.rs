//! What a chat template needs of a line, as the line spells it, and the fields that every record has.

use std::borrow::Cow;
use std::ops::Range;

use super::fields::{NULL, Unreadable, checked_id, unquote};
use super::json::{Fault, Quoted, Scanner};
use super::lines::{Batch, Line};

/// What was needed of a record with messages; values are JSON, and null is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationFields<'a> {
    /// `id`, if the line has one that is not blank.
    pub id: Option<Cow<'a, str>>,
    /// `kind`, if the line has one.
    pub kind: Option<Cow<'a, str>>,
    /// `source`, if the line has one.
    pub source: Option<Cow<'a, str>>,
    /// `messages`.
    pub messages: Option<&'a str>,
    /// `tools`.
    pub tools: Option<&'a str>,
    /// `meta`.
    pub meta: Option<&'a str>,
}

/// Takes the fields out of a line; its grammar is checked whole.
///
/// # Errors
/// What makes the line unreadable.
pub fn parse<'a>(batch: &'a Batch, line: &Line) -> Result<ConversationFields<'a>, Unreadable> {
    if line.is_oversized {
        return Err(Unreadable::OverMemory);
    }
    let read = parse_text(batch.line(line));
    read.map_err(|fault| match fault {
        // A file can break off inside a character.
        Unreadable::InvalidUtf8 | Unreadable::InvalidJson if line.is_truncated => {
            Unreadable::Truncated
        }
        other => other,
    })
}

/// Takes the fields out of the bytes of a line.
///
/// # Errors
/// What makes the line unreadable.
pub fn parse_text(bytes: &[u8]) -> Result<ConversationFields<'_>, Unreadable> {
    let text = simdutf8::basic::from_utf8(bytes).map_err(|_| Unreadable::InvalidUtf8)?;
    let places = scan(bytes).map_err(|fault| match fault {
        Fault::TooDeep => Unreadable::TooDeep,
        Fault::Invalid => Unreadable::InvalidJson,
    })?;
    let [id, kind, source, messages, tools, meta] = places;
    let raw = |place: Option<Range<usize>>| place.map(|range| &text[range]);
    Ok(ConversationFields {
        id: checked_id(string(raw(id))?)?,
        kind: string(raw(kind))?,
        source: string(raw(source))?,
        messages: raw(messages),
        tools: raw(tools),
        meta: raw(meta),
    })
}

const NAMES: [&[u8]; 6] = [b"id", b"kind", b"source", b"messages", b"tools", b"meta"];

/// Returns where the values lie; of equal keys the last one counts, as in Python's json.
fn scan(bytes: &[u8]) -> Result<[Option<Range<usize>>; 6], Fault> {
    let mut places = [const { None }; 6];
    let mut scanner = Scanner::new(bytes);
    if scanner.peek()? != b'{' {
        // No object, whatever it is; but deep nesting is told apart.
        scanner.skip_value()?;
        return Err(Fault::Invalid);
    }
    scanner.open_object()?;
    if !scanner.accept(b'}')? {
        loop {
            let key = scanner.string()?;
            scanner.expect(b':')?;
            let is_there = scanner.peek()? != NULL;
            let start = scanner.position();
            scanner.skip_value()?;
            // Half a surrogate pair is no character, and so in no key that is looked for.
            let key = unquote(bytes, &key).unwrap_or_default();
            if let Some(which) = NAMES.iter().position(|name| *name == key.as_ref()) {
                places[which] = is_there.then(|| start..scanner.position());
            }
            if !scanner.accept(b',')? {
                break;
            }
        }
        scanner.expect(b'}')?;
    }
    scanner.end()?;
    Ok(places)
}

fn string(raw: Option<&str>) -> Result<Option<Cow<'_, str>>, Unreadable> {
    let Some(raw) = raw else { return Ok(None) };
    if !raw.starts_with('"') {
        return Err(Unreadable::WrongType);
    }
    let inside = 1..raw.len() - 1;
    if !raw.contains('\\') {
        return Ok(Some(Cow::Borrowed(&raw[inside])));
    }
    let quoted = Quoted { range: inside, has_escapes: true };
    let bytes = unquote(raw.as_bytes(), &quoted).map_err(|_| Unreadable::InvalidJson)?;
    String::from_utf8(bytes.into_owned())
        .map(|text| Some(Cow::Owned(text)))
        .map_err(|_| Unreadable::InvalidUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_as_they_are_spelled_and_null_is_absent() {
        let line =
            br#"{"meta": null, "id": "a\u00e9", "messages": [ {"role": 1} ], "tools": [], "x": 1}"#;
        let fields = parse_text(line).unwrap();
        assert_eq!(fields.id.as_deref(), Some("aé"));
        assert_eq!(fields.messages, Some(r#"[ {"role": 1} ]"#));
        assert_eq!((fields.tools, fields.meta, fields.kind), (Some("[]"), None, None));
    }

    #[test]
    fn each_fault_has_its_word() {
        let deep = format!("{{\"messages\": {}{}}}", "[".repeat(2_000), "]".repeat(2_000));
        assert_eq!(parse_text(deep.as_bytes()).err(), Some(Unreadable::TooDeep));
        assert_eq!(parse_text(b"{\"messages\": [}").err(), Some(Unreadable::InvalidJson));
        assert_eq!(parse_text(b"{\"id\": 5}").err(), Some(Unreadable::WrongType));
        assert_eq!(parse_text(b"{\"a\": \"\xff\"}").err(), Some(Unreadable::InvalidUtf8));
        assert_eq!(parse_text(b"[1]").err(), Some(Unreadable::InvalidJson));
    }
}
