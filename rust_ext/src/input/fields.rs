//! The fields of a record line that a stage needs, the rest passed over.

use std::borrow::Cow;
use std::ops::Range;

use super::json::{Fault, Quoted, SLACK, Scanner};
use super::lines::{Batch, Line};

/// What was needed of a record; strings without escapes are borrowed from the line.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `id`, if the line has one that is not blank.
    pub id: Option<Cow<'a, str>>,
    /// The text, not empty; with escapes, it lies in the scratch.
    pub text: &'a str,
    /// `kind`, if the line has one.
    pub kind: Option<Cow<'a, str>>,
    /// `source`, if the line has one.
    pub source: Option<Cow<'a, str>>,
    /// `messages` as the line spells them, if they are a list.
    pub messages: Option<&'a [u8]>,
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
    /// The object lacks the field of spans.
    NoSpans,
    /// That field is no list of objects, each with a `text` and whether it is `trained`.
    MalformedSpans,
    /// Its lists and objects are nested more than 1,000 deep.
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
            Self::NoSpans => "no_spans",
            Self::MalformedSpans => "malformed_spans",
            Self::WrongType => "wrong_type",
            Self::OverMemory => "over_memory",
            Self::Truncated => "truncated",
            Self::EmptyText => "empty_text",
        }
    }
}

/// Room for a text without its escapes, to be used again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Its length is what was ever needed, so that no byte is cleared twice.
    bytes: Vec<u8>,
}

/// More than this is given back to the system before the next line.
const SCRATCH_BYTES_KEPT: usize = 1 << 20;

impl Scratch {
    fn room_for(&mut self, length: usize) -> &mut [u8] {
        let needed = length + SLACK;
        if self.bytes.len() < needed {
            self.bytes.reserve_exact(needed - self.bytes.len());
            self.bytes.resize(needed, 0);
        }
        &mut self.bytes
    }

    fn shrink(&mut self) {
        if self.bytes.len() > SCRATCH_BYTES_KEPT {
            self.bytes = Vec::new();
        }
    }
}

/// Takes `text_field`, `id`, `kind` and `source` out of a line, and says where `messages` are; a
/// field that is null is absent.
///
/// # Errors
/// What makes the line unreadable.
pub fn parse<'a>(
    batch: &'a Batch,
    line: &Line,
    text_field: &str,
    scratch: &'a mut Scratch,
) -> Result<Fields<'a>, Unreadable> {
    if line.is_oversized {
        return Err(Unreadable::OverMemory);
    }
    scratch.shrink();
    let bytes = batch.line(line);
    let read = match Found::scan(bytes, text_field, scratch) {
        Ok(found) => found.fields(bytes, scratch),
        Err(_) if utf8(bytes).is_err() => Err(Unreadable::InvalidUtf8),
        Err(Fault::TooDeep) => Err(Unreadable::TooDeep),
        Err(Fault::Invalid) => Err(Unreadable::InvalidJson),
    };
    read.map_err(|fault| match fault {
        // A file can break off inside a character.
        Unreadable::InvalidUtf8 | Unreadable::InvalidJson if line.is_truncated => {
            Unreadable::Truncated
        }
        other => other,
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, Unreadable> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Unreadable::InvalidUtf8)
}

/// What begins a `null`: no other value of JSON does.
pub(super) const NULL: u8 = b'n';

/// The text field.
enum Text {
    /// As it stands in the line.
    Plain(Range<usize>),
    /// It lay there, escapes included; so many bytes of scratch are what it stands for.
    Unescaped {
        range: Range<usize>,
        length: usize,
    },
    NoString,
}

/// Another field that was looked for: a string or, `None`, something else.
type Value = Option<Quoted>;

/// What the object of a line holds; of equal keys the last one counts, as in Python's json.
#[derive(Default)]
struct Found {
    id: Option<Value>,
    text: Option<Text>,
    kind: Option<Value>,
    source: Option<Value>,
    messages: Option<Range<usize>>,
}

impl Found {
    fn scan(bytes: &[u8], text_field: &str, scratch: &mut Scratch) -> Result<Self, Fault> {
        let mut found = Self::default();
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
                // Half a surrogate pair is no character, and so in no key that is looked for.
                let key = unquote(bytes, &key).ok();
                found.value(&mut scanner, key.as_deref(), text_field, scratch)?;
                if !scanner.accept(b',')? {
                    break;
                }
            }
            scanner.expect(b'}')?;
        }
        scanner.end()?;
        Ok(found)
    }

    fn value(
        &mut self,
        scanner: &mut Scanner<'_>,
        key: Option<&[u8]>,
        text_field: &str,
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        let wanted = match key {
            Some(key) if key == text_field.as_bytes() => {
                self.text = text(scanner, scratch)?;
                return Ok(());
            }
            Some(b"messages") => {
                let is_list = scanner.peek()? == b'[';
                let start = scanner.position();
                scanner.skip_value()?;
                self.messages = is_list.then(|| start..scanner.position());
                return Ok(());
            }
            Some(b"id") => &mut self.id,
            Some(b"kind") => &mut self.kind,
            Some(b"source") => &mut self.source,
            _ => return scanner.skip_value(),
        };
        *wanted = match scanner.peek()? {
            b'"' => Some(Some(scanner.string()?)),
            first => {
                scanner.skip_value()?;
                (first != NULL).then_some(None)
            }
        };
        Ok(())
    }

    fn fields<'a>(self, bytes: &'a [u8], scratch: &'a Scratch) -> Result<Fields<'a>, Unreadable> {
        let text = match &self.text {
            Some(Text::Unescaped { range, length }) => {
                // Escapes are ASCII and stand for whole characters, so that the text is UTF-8
                // exactly if what it was made of is: no byte is looked at twice.
                utf8(&bytes[..range.start])?;
                utf8(&bytes[range.end..])?;
                Some(utf8(&scratch.bytes[..*length])?)
            }
            Some(Text::Plain(range)) => Some(&utf8(bytes)?[range.clone()]),
            Some(Text::NoString) | None => utf8(bytes).map(|_| None)?,
        };
        let missing = if self.text.is_some() { Unreadable::WrongType } else { Unreadable::NoText };
        let text = text.ok_or(missing)?;
        let id = checked_id(string(bytes, self.id)?)?;
        if text.is_empty() {
            return Err(Unreadable::EmptyText);
        }
        Ok(Fields {
            id,
            text,
            kind: string(bytes, self.kind)?,
            source: string(bytes, self.source)?,
            messages: self.messages.map(|range| &bytes[range]),
        })
    }
}

/// Passes the value of the text field; only what has escapes is copied.
fn text(scanner: &mut Scanner<'_>, scratch: &mut Scratch) -> Result<Option<Text>, Fault> {
    let first = scanner.peek()?;
    if first != b'"' {
        scanner.skip_value()?;
        return Ok((first != NULL).then_some(Text::NoString));
    }
    let (plain, is_whole) = scanner.plain_string()?;
    if is_whole {
        return Ok(Some(Text::Plain(plain)));
    }
    let room = scratch.room_for(plain.len() + scanner.remaining());
    room[..plain.len()].copy_from_slice(scanner.bytes(plain.clone()));
    let length = plain.len() + scanner.unescape(&mut room[plain.len()..])?;
    // The quote is the last byte passed.
    Ok(Some(Text::Unescaped { range: plain.start..scanner.position() - 1, length }))
}

/// Returns the id of a record: `None` for a blank one, which would name nothing.
///
/// # Errors
/// `WrongType` for a line end inside.
pub(crate) fn checked_id(id: Option<Cow<'_, str>>) -> Result<Option<Cow<'_, str>>, Unreadable> {
    // A byte order mark is passed over where it begins a line.
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let Some(id) = id.filter(|id| !id.chars().all(blank)) else { return Ok(None) };
    // The sidecar of a dataset holds an id a line.
    if id.contains(['\n', '\r']) { Err(Unreadable::WrongType) } else { Ok(Some(id)) }
}

fn string(bytes: &[u8], value: Option<Value>) -> Result<Option<Cow<'_, str>>, Unreadable> {
    let Some(value) = value else { return Ok(None) };
    let quoted = value.ok_or(Unreadable::WrongType)?;
    match unquote(bytes, &quoted).map_err(|_| Unreadable::InvalidJson)? {
        Cow::Borrowed(bytes) => utf8(bytes).map(|text| Some(Cow::Borrowed(text))),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(|text| Some(Cow::Owned(text)))
            .map_err(|_| Unreadable::InvalidUtf8),
    }
}

/// Returns what a short string stands for.
pub(crate) fn unquote<'a>(bytes: &'a [u8], quoted: &Quoted) -> Result<Cow<'a, [u8]>, Fault> {
    let Quoted { range, has_escapes } = quoted;
    if !has_escapes {
        return Ok(Cow::Borrowed(&bytes[range.clone()]));
    }
    // With its closing quote, so that it ends where it ended in the line.
    let mut scanner = Scanner::new(&bytes[range.start..=range.end]);
    let mut unescaped = vec![0; range.len() + 1 + SLACK];
    let length = scanner.unescape(&mut unescaped)?;
    unescaped.truncate(length);
    Ok(Cow::Owned(unescaped))
}

#[cfg(test)]
mod tests {
    use super::super::json::MAX_DEPTH;
    use super::*;

    fn fields(line: &[u8]) -> Result<(Option<String>, String), Unreadable> {
        let batch = Batch { bytes: line.to_vec(), ..Batch::default() };
        let whole = Line { start: 0, end: line.len(), is_oversized: false, is_truncated: false };
        parse(&batch, &whole, "text", &mut Scratch::default())
            .map(|fields| (fields.id.map(Cow::into_owned), fields.text.to_owned()))
    }

    #[test]
    fn strings_come_unescaped_and_other_fields_are_passed_over() {
        let line = br#"{"meta": {"text": [1, null, "no"]}, "id": "a\u00e9", "text": "x\n\ud83d\ude00", "n": 1e5}"#;
        assert_eq!(fields(line), Ok((Some("aé".into()), "x\n😀".into())));
        assert_eq!(fields(br#"{"text": "b"}"#), Ok((None, "b".into())));
        assert_eq!(fields(br#"{"text": "b", "text": "c", "n": 1}"#), Ok((None, "c".into())));
        let surrogate = br#"{"\ud800": 1, "text": "b", "meta": "\ud800"}"#;
        assert_eq!(fields(surrogate), Ok((None, "b".into())));
        assert_eq!(fields(br#"{"te\u0078t": "b", "text": "c"}"#), Ok((None, "c".into())));
    }

    #[test]
    fn a_null_is_absent_and_so_is_a_blank_id() {
        for id in
            ["null", "\"\"", "\" \\t\"", "\"\u{feff}\"", "\"\u{2028}\\n\"", "\"x\", \"id\": null"]
        {
            let line =
                format!("{{\"id\": {id}, \"kind\": null, \"source\": null, \"text\": \"a\"}}");
            assert_eq!(fields(line.as_bytes()), Ok((None, "a".into())), "{id}");
        }
        for field in ["id", "kind", "source"] {
            let line = format!("{{\"{field}\": 5, \"text\": \"a\"}}");
            assert_eq!(fields(line.as_bytes()), Err(Unreadable::WrongType), "{field}");
        }
        let padded = fields(br#"{"id": " x", "text": "a"}"#);
        assert_eq!(padded, Ok((Some(" x".into()), "a".into())));
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
        assert_eq!(fields(br#"{"text": null}"#), Err(Unreadable::NoText));
        assert_eq!(fields(br#"{"text": nil}"#), Err(Unreadable::InvalidJson));
        assert_eq!(fields(br#"{"text": 5}"#), Err(Unreadable::WrongType));
        assert_eq!(fields(br#"{"text": ""}"#), Err(Unreadable::EmptyText));
        for id in ["a\\nb", "a\\r"] {
            let line = format!("{{\"id\": \"{id}\", \"text\": \"a\"}}");
            assert_eq!(fields(line.as_bytes()), Err(Unreadable::WrongType), "{id}");
        }
    }
}
