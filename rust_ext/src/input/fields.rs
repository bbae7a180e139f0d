//! The fields of a record line that a stage needs, the rest passed over.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::lines::{Batch, Line};

/// What was needed of a record; strings without escapes are borrowed from the line.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `id`, if the line has one.
    pub id: Option<Cow<'a, str>>,
    /// The text, not empty.
    pub text: Cow<'a, str>,
    /// `kind`, if the line has one.
    pub kind: Option<Cow<'a, str>>,
    /// `source`, if the line has one.
    pub source: Option<Cow<'a, str>>,
}

/// Why a line gave no fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its bytes are no UTF-8.
    InvalidUtf8,
    /// It is no JSON object.
    InvalidJson,
    /// The object lacks the text field.
    NoText,
    /// Its lists and objects are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A field that is needed is not a string, or `id` holds a line end.
    WrongType,
    /// It is longer than the memory allowed.
    OverMemory,
    /// The file broke off inside it.
    Truncated,
    /// Its text is empty: readable, and nothing to read. Counted as dropped, not as rejected.
    EmptyText,
}

impl Unreadable {
    /// Returns the word that manifests count it under.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::TooDeep => "too_deep",
            Self::NoText => "no_text",
            Self::WrongType => "wrong_type",
            Self::OverMemory => "over_memory",
            Self::Truncated => "truncated",
            Self::EmptyText => "empty_text",
        }
    }
}

/// How deep values may be nested: the parser calls itself, and a thread has 2 MiB of stack.
///
/// What Python's parsers bear is about as much.
pub const MAX_DEPTH: usize = 1_000;

/// Takes `text_field`, `id`, `kind` and `source` out of a line.
///
/// # Errors
/// What makes the line unreadable.
pub fn parse<'a>(
    batch: &'a Batch,
    line: &Line,
    text_field: &str,
) -> std::result::Result<Fields<'a>, Unreadable> {
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
    let parsed = Wanted { text_field }.deserialize(&mut deserializer);
    match parsed.and_then(|fields| deserializer.end().map(|()| fields)) {
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

/// A field that was looked for: a string, or something else.
enum Value<'a> {
    Text(Cow<'a, str>),
    Other,
}

#[derive(Default)]
struct Found<'a> {
    id: Option<Value<'a>>,
    text: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    source: Option<Value<'a>>,
}

impl<'a> Found<'a> {
    fn check(self) -> std::result::Result<Fields<'a>, Unreadable> {
        let text = string(self.text)?.ok_or(Unreadable::NoText)?;
        let id = string(self.id)?;
        // The sidecar of a dataset holds an id a line.
        if id.as_ref().is_some_and(|id| id.contains(['\n', '\r'])) {
            return Err(Unreadable::WrongType);
        }
        if text.is_empty() {
            return Err(Unreadable::EmptyText);
        }
        Ok(Fields { id, text, kind: string(self.kind)?, source: string(self.source)? })
    }
}

fn string(value: Option<Value<'_>>) -> std::result::Result<Option<Cow<'_, str>>, Unreadable> {
    match value {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(Value::Other) => Err(Unreadable::WrongType),
    }
}

struct Wanted<'f> {
    text_field: &'f str,
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
        while let Some(key) = map.next_key_seed(Key)? {
            // Of equal keys the last one counts, as in Python's json.
            if key == self.text_field {
                found.text = Some(map.next_value_seed(AnyValue)?);
            } else {
                match key.as_ref() {
                    "id" => found.id = Some(map.next_value_seed(AnyValue)?),
                    "kind" => found.kind = Some(map.next_value_seed(AnyValue)?),
                    "source" => found.source = Some(map.next_value_seed(AnyValue)?),
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        match deserializer.deserialize_str(AnyValue)? {
            Value::Text(key) => Ok(key),
            Value::Other => Err(D::Error::custom("a key is a string")),
        }
    }
}

/// Any value; only strings are kept.
struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text)))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &[u8]) -> Result<(Option<String>, String), Unreadable> {
        let batch = Batch { bytes: line.to_vec(), ..Batch::default() };
        let whole = Line { start: 0, end: line.len(), is_oversized: false, is_truncated: false };
        parse(&batch, &whole, "text")
            .map(|fields| (fields.id.map(Cow::into_owned), fields.text.into_owned()))
    }

    #[test]
    fn strings_come_unescaped_and_other_fields_are_passed_over() {
        let line = br#"{"meta": {"text": [1, null, "no"]}, "id": "a\u00e9", "text": "x\n\ud83d\ude00", "n": 1e5}"#;
        assert_eq!(fields(line), Ok((Some("aé".into()), "x\n😀".into())));
        assert_eq!(fields(br#"{"text": "b"}"#), Ok((None, "b".into())));
        assert_eq!(
            fields(br#"{"text": "b", "text": "c", "id": null}"#),
            Err(Unreadable::WrongType)
        );
        assert_eq!(fields(br#"{"te\u0078t": "b", "text": "c"}"#), Ok((None, "c".into())));
    }

    #[test]
    fn deep_nesting_is_refused_before_it_overflows_the_stack() {
        let nested = |open: &str, close: &str, depth: usize| {
            let (open, close) = (open.repeat(depth), close.repeat(depth));
            format!("{{\"text\": \"a\", \"meta\": {open}1{close}}}").into_bytes()
        };
        // The object of the record is the first level.
        assert!(fields(&nested("[", "]", MAX_DEPTH - 1)).is_ok());
        assert_eq!(fields(&nested("[", "]", MAX_DEPTH)), Err(Unreadable::TooDeep));
        assert_eq!(fields(&nested("{\"b\":", "}", 1_000_000)), Err(Unreadable::TooDeep));
        assert_eq!(fields("[".repeat(1_000_000).as_bytes()), Err(Unreadable::TooDeep));
        let side_by_side = format!("{{\"text\": \"a\", \"meta\": [{}1]}}", "[],".repeat(5_000));
        assert!(fields(side_by_side.as_bytes()).is_ok());
        let quoted = format!("{{\"text\": \"\\\"{}\"}}", "[{".repeat(5_000));
        assert!(fields(quoted.as_bytes()).is_ok());
    }

    #[test]
    fn each_fault_has_its_word() {
        assert_eq!(fields(b"{\"text\": \"a\xff\"}"), Err(Unreadable::InvalidUtf8));
        assert_eq!(fields(b"{\"text\": \"a\", \"b\": \"\xff\"}"), Err(Unreadable::InvalidUtf8));
        for broken in [
            &br#"{"text": "a""#[..],
            b"[1]",
            b"{\"text\": NaN}",
            br#"{"text": "a"} x"#,
            br#"{"text": "\ud800"}"#,
            b"{\"text\": \"a\nb\"}",
            b"nothing",
        ] {
            assert_eq!(fields(broken), Err(Unreadable::InvalidJson), "{broken:?}");
        }
        assert_eq!(fields(br#"{"texts": "a"}"#), Err(Unreadable::NoText));
        assert_eq!(fields(br#"{"text": 5}"#), Err(Unreadable::WrongType));
        assert_eq!(fields(br#"{"text": ""}"#), Err(Unreadable::EmptyText));
        for id in ["a\\nb", "a\\r"] {
            let line = format!("{{\"id\": \"{id}\", \"text\": \"a\"}}");
            assert_eq!(fields(line.as_bytes()), Err(Unreadable::WrongType), "{id}");
        }
    }
}
