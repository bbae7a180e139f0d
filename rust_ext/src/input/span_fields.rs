//! A record in spans: the list, and the fields that every record has.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use sonic_rs::LazyValue;

use super::fields::{Unreadable, checked_id};
use super::lines::{Batch, Line};
use crate::tokenizer::Span;

/// What was needed of a record in spans.
#[derive(Debug, PartialEq, Eq)]
pub struct SpanFields<'a> {
    /// `id`, if the line has one that is not blank.
    pub id: Option<Cow<'a, str>>,
    /// The spans, in order; there may be none.
    pub spans: Vec<Span<'a>>,
    /// `kind`, if the line has one.
    pub kind: Option<Cow<'a, str>>,
    /// `source`, if the line has one.
    pub source: Option<Cow<'a, str>>,
}

/// A span as a record spells it; keys besides these say more and are passed over.
#[derive(Deserialize)]
struct Spelled<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default)]
    special: bool,
    trained: bool,
}

/// How deep values may be nested: the parser calls itself.
const MAX_DEPTH: usize = 1_000;

/// Takes `spans_field`, `id`, `kind` and `source` out of a line; a field that is null is absent.
///
/// # Errors
/// What makes the line unreadable.
pub fn parse<'a>(
    batch: &'a Batch,
    line: &Line,
    spans_field: &str,
) -> Result<SpanFields<'a>, Unreadable> {
    if line.is_oversized {
        return Err(Unreadable::OverMemory);
    }
    let Ok(text) = simdutf8::basic::from_utf8(batch.line(line)) else {
        // A file can break off inside a character.
        let is_cut = line.is_truncated;
        return Err(if is_cut { Unreadable::Truncated } else { Unreadable::InvalidUtf8 });
    };
    if is_too_deep(text.as_bytes()) {
        return Err(Unreadable::TooDeep);
    }
    let mut deserializer = sonic_rs::Deserializer::from_str(text);
    let parsed = Wanted { spans_field }.deserialize(&mut deserializer);
    match parsed.and_then(|found| deserializer.end().map(|()| found)) {
        Ok(found) => found.check(),
        Err(_) if line.is_truncated => Err(Unreadable::Truncated),
        Err(_) => Err(Unreadable::InvalidJson),
    }
}

/// Returns whether brackets that no string holds are open [`MAX_DEPTH`] deep and more.
fn is_too_deep(json: &[u8]) -> bool {
    let opens = |byte: &&u8| matches!(**byte, b'[' | b'{');
    // Hardly any line has so many brackets at all, and counting them is fast.
    if json.len() <= MAX_DEPTH || json.iter().filter(opens).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for &byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            _ if is_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Values that were looked for, not parsed yet.
#[derive(Default)]
struct Found<'a> {
    id: Option<LazyValue<'a>>,
    spans: Option<LazyValue<'a>>,
    kind: Option<LazyValue<'a>>,
    source: Option<LazyValue<'a>>,
}

impl<'a> Found<'a> {
    fn check(self) -> Result<SpanFields<'a>, Unreadable> {
        let spans = self.spans.filter(is_there).ok_or(Unreadable::NoSpans)?;
        let spans = match spans.as_raw_cow() {
            Cow::Borrowed(raw) => read_spans(raw)?,
            Cow::Owned(raw) => read_spans(&raw)?.into_iter().map(owned).collect(),
        };
        let id = checked_id(string(self.id)?)?;
        Ok(SpanFields { id, spans, kind: string(self.kind)?, source: string(self.source)? })
    }
}

fn is_there(value: &LazyValue<'_>) -> bool {
    value.as_raw_cow() != "null"
}

fn read_spans(raw: &str) -> Result<Vec<Span<'_>>, Unreadable> {
    let spelled: Vec<Spelled<'_>> =
        sonic_rs::from_str(raw).map_err(|_| Unreadable::MalformedSpans)?;
    let span = |Spelled { text, special, trained }| Span { text, special, trained };
    Ok(spelled.into_iter().map(span).collect())
}

fn owned(span: Span<'_>) -> Span<'static> {
    let Span { text, special, trained } = span;
    Span { text: Cow::Owned(text.into_owned()), special, trained }
}

/// A string that borrows what has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn string(value: Option<LazyValue<'_>>) -> Result<Option<Cow<'_, str>>, Unreadable> {
    let Some(value) = value.filter(is_there) else { return Ok(None) };
    let read = match value.as_raw_cow() {
        Cow::Borrowed(raw) => sonic_rs::from_str::<Text<'_>>(raw).map(|text| text.0),
        Cow::Owned(raw) => {
            sonic_rs::from_str::<Text<'_>>(&raw).map(|text| Cow::Owned(text.0.into_owned()))
        }
    };
    read.map(Some).map_err(|_| Unreadable::WrongType)
}

struct Wanted<'f> {
    spans_field: &'f str,
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        while let Some(Text(key)) = map.next_key()? {
            // Of equal keys the last one counts, as in Python's json.
            let wanted = match key.as_ref() {
                _ if key == self.spans_field => &mut found.spans,
                "id" => &mut found.id,
                "kind" => &mut found.kind,
                "source" => &mut found.source,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *wanted = Some(map.next_value()?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(line: &str) -> Result<Vec<(String, bool, bool)>, Unreadable> {
        let bytes = line.as_bytes().to_vec();
        let whole = Line { start: 0, end: bytes.len(), is_oversized: false, is_truncated: false };
        let batch = Batch { bytes, ..Batch::default() };
        let fields = parse(&batch, &whole, "spans")?;
        let spell = |span: Span<'_>| (span.text.into_owned(), span.special, span.trained);
        Ok(fields.spans.into_iter().map(spell).collect())
    }

    #[test]
    fn spans_come_unescaped_and_special_is_no_unless_said() {
        let line = r#"{"spans": [{"text": "<s>", "special": true, "trained": false},
            {"role": [{}], "trained": true, "text": "a\n\u00e9"}], "text": 5, "id": "x"}"#;
        let expected = vec![("<s>".into(), true, false), ("a\né".into(), false, true)];
        assert_eq!(spans(line), Ok(expected));
        assert_eq!(spans(r#"{"spans": []}"#), Ok(vec![]));
    }

    #[test]
    fn each_fault_has_its_word() {
        assert_eq!(spans(r#"{"text": "a"}"#), Err(Unreadable::NoSpans));
        assert_eq!(spans(r#"{"spans": null}"#), Err(Unreadable::NoSpans));
        assert_eq!(spans(r#"{"spans": [], "id": null, "kind": null}"#), Ok(vec![]));
        for malformed in [
            r#"{"spans": "a"}"#,
            r#"{"spans": ["a"]}"#,
            r#"{"spans": [{"text": "a"}]}"#,
            r#"{"spans": [{"text": "a", "trained": 1}]}"#,
            r#"{"spans": [{"text": null, "trained": true}]}"#,
            r#"{"spans": [{"trained": true}]}"#,
        ] {
            assert_eq!(spans(malformed), Err(Unreadable::MalformedSpans), "{malformed}");
        }
        assert_eq!(spans(r#"{"spans": [] "#), Err(Unreadable::InvalidJson));
        assert_eq!(spans(r#"{"spans": []} x"#), Err(Unreadable::InvalidJson));
        assert_eq!(spans(r#"{"spans": [], "id": 5}"#), Err(Unreadable::WrongType));
        let deep = format!("{{\"spans\": {}{}}}", "[".repeat(2_000), "]".repeat(2_000));
        assert_eq!(spans(&deep), Err(Unreadable::TooDeep));
    }
}
