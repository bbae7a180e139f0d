//! The own content of a conversation: what tells it from others that share its template.
//!
//! Conversations with tools share their system prompt, their tool schemas and the template that
//! renders them, so that most of their text is alike whatever they are about. Their own content is
//! what was said: of every message the `content`, but of the `system` one (`developer`, in newer
//! spelling), and of every one of its `tool_calls` the name and the arguments, in the order of
//! the line. The two stand in the call, or in its `function` as `OpenAI` nests them. A string counts
//! as what it stands for, so that arguments given as a string or as an object are the same text;
//! a null is nothing; any other value counts as it is spelled.

use super::fields::{self, NULL, unquote};
use super::json::{Fault, SLACK, Scanner};
use super::{Batch, Scratch, Unreadable, lines::Line};

/// More than this is given back to the system before the next record.
const BYTES_KEPT: usize = 1 << 20;

/// Room for own content, to be used again and again.
#[derive(Debug, Default)]
pub struct OwnContent {
    /// Its length is what was ever needed, so that no byte is cleared twice.
    room: Vec<u8>,
}

impl OwnContent {
    /// Returns the own content of a record, given its `messages` as the line spells them.
    ///
    /// `None` where there is nothing to go by: no list of objects, or nothing said. Such a record
    /// is known by its text. Costs one pass over the messages.
    pub fn read(&mut self, messages: &[u8]) -> Option<&str> {
        if self.room.len() > BYTES_KEPT {
            self.room = Vec::new();
        }
        // What is taken is never longer than what was passed, its separators in place of keys.
        let needed = messages.len() + SLACK;
        if self.room.len() < needed {
            self.room.resize(needed, 0);
        }
        let mut reader = Reader {
            bytes: messages,
            scanner: Scanner::new(messages),
            room: &mut self.room,
            length: 0,
        };
        reader.list(Reader::message).ok()?;
        let length = reader.length;
        let content = simdutf8::basic::from_utf8(&self.room[..length]).ok()?;
        (!content.trim().is_empty()).then_some(content)
    }
}

/// Returns what a line's record is compared by: its own content, else its text.
///
/// # Errors
/// What makes the line unreadable.
pub fn compared(line: &[u8]) -> Result<String, Unreadable> {
    let batch = Batch { bytes: line.to_vec(), ..Batch::default() };
    let whole = Line { start: 0, end: line.len(), is_oversized: false, is_truncated: false };
    let mut scratch = Scratch::default();
    let fields = fields::parse(&batch, &whole, "text", &mut scratch)?;
    let mut content = OwnContent::default();
    let own = fields.messages.and_then(|messages| content.read(messages));
    Ok(own.unwrap_or(fields.text).to_owned())
}

/// A position in the messages, and what was taken so far.
struct Reader<'a, 'r> {
    bytes: &'a [u8],
    scanner: Scanner<'a>,
    room: &'r mut [u8],
    length: usize,
}

impl Reader<'_, '_> {
    /// Passes a list whose elements `element` passes.
    fn list(&mut self, element: impl Fn(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.scanner.expect(b'[')?;
        if self.scanner.accept(b']')? {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.scanner.accept(b',')? {
                return self.scanner.expect(b']');
            }
        }
    }

    /// Passes an object, of which `value` passes what stands behind each key.
    fn object(
        &mut self,
        mut value: impl FnMut(&mut Self, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.scanner.expect(b'{')?;
        if self.scanner.accept(b'}')? {
            return Ok(());
        }
        loop {
            let key = self.scanner.string()?;
            self.scanner.expect(b':')?;
            // Half a surrogate pair is no character, and so in no key that is looked for.
            value(self, &unquote(self.bytes, &key).unwrap_or_default())?;
            if !self.scanner.accept(b',')? {
                return self.scanner.expect(b'}');
            }
        }
    }

    fn message(&mut self) -> Result<(), Fault> {
        let before = self.length;
        let mut is_instruction = false;
        self.object(|reader, key| {
            match key {
                b"role" => is_instruction = reader.instructs()?,
                b"content" => reader.take()?,
                b"tool_calls" if reader.scanner.peek()? != NULL => reader.list(Self::call)?,
                _ => reader.scanner.skip_value()?,
            }
            Ok(())
        })?;
        // The role may stand behind the content.
        if is_instruction {
            self.length = before;
        }
        Ok(())
    }

    /// Passes a role and returns whether its messages belong to the template.
    fn instructs(&mut self) -> Result<bool, Fault> {
        if self.scanner.peek()? != b'"' {
            self.scanner.skip_value()?;
            return Ok(false);
        }
        let role = self.scanner.string()?;
        Ok(matches!(unquote(self.bytes, &role).as_deref(), Ok(b"system" | b"developer")))
    }

    fn call(&mut self) -> Result<(), Fault> {
        self.object(|reader, key| match key {
            b"function" if reader.scanner.peek()? == b'{' => reader.object(Self::function),
            b"function" => reader.take(),
            _ => reader.function(key),
        })
    }

    fn function(&mut self, key: &[u8]) -> Result<(), Fault> {
        match key {
            b"name" | b"arguments" => self.take(),
            _ => self.scanner.skip_value(),
        }
    }

    /// Passes a value and takes what it says.
    fn take(&mut self) -> Result<(), Fault> {
        match self.scanner.peek()? {
            NULL => return self.scanner.skip_value(),
            b'"' => self.take_string()?,
            _ => {
                let start = self.scanner.position();
                self.scanner.skip_value()?;
                self.append(self.scanner.bytes(start..self.scanner.position()));
            }
        }
        // The last word of one value and the first of the next are two.
        self.append(b"\n");
        Ok(())
    }

    fn take_string(&mut self) -> Result<(), Fault> {
        let (plain, is_whole) = self.scanner.plain_string()?;
        self.append(&self.bytes[plain]);
        if !is_whole {
            self.length += self.scanner.unescape(&mut self.room[self.length..])?;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) {
        self.room[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const TEXT: &str = "what the template makes of it";

    fn compared_by(messages: &Value) -> String {
        compared(json!({"id": "a", "messages": messages, "text": TEXT}).to_string().as_bytes())
            .unwrap()
    }

    #[test]
    fn what_was_said_counts_and_the_template_does_not() {
        let line = r#"{"tools": [{"name": "no"}], "messages": [
            {"role": "system", "content": "no"}, {"content": "no", "role": "developer"},
            {"role": "user", "content": "Caf\u00e9\nopen?", "loss": false},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "no", "name": "find", "arguments": {"at" : [1, "\u00e9"]}},
                {"type": "no", "function": {"arguments": "{\"b\": 2}", "name": "ask", "x": "no"}},
                {"function": "third", "arguments": null}]},
            {"role": "tool", "tool_call_id": "no", "content": "yes", "tool_calls": null},
            {"role": 5, "content": ["as", {"it": "is"}]}], "text": "no"}"#;
        let expected = "Café\nopen?\nfind\n{\"at\" : [1, \"\\u00e9\"]}\n{\"b\": 2}\nask\nthird\n\
                        yes\n[\"as\", {\"it\": \"is\"}]\n";
        assert_eq!(compared(line.as_bytes()).unwrap(), expected);
        let escaped = r#"{"text": "no", "\u006dessages": [{"c\u006fntent": "yes",
            "role": "syst\u0065"}, {"content": "no", "role": "syst\u0065m"}]}"#;
        assert_eq!(compared(escaped.as_bytes()).unwrap(), "yes\n");
    }

    #[test]
    fn a_record_without_a_conversation_is_known_by_its_text() {
        for messages in [
            json!(null),
            json!([]),
            json!([{}]),
            json!("said"),
            json!({"role": "user", "content": "said"}),
            json!([{"role": "user", "content": "said"}, "said"]),
            json!([{"role": "user", "content": "said", "tool_calls": {"name": "f"}}]),
            json!([{"role": "user", "content": "said", "tool_calls": ["f"]}]),
            json!([{"role": "system", "content": "said"}]),
            json!([{"role": "user", "content": " \n\u{a0}"}, {"role": "user", "content": null}]),
        ] {
            assert_eq!(compared_by(&messages), TEXT, "{messages}");
        }
        let half = br#"{"text": "a", "messages": [{"content": "said \ud800"}]}"#;
        assert_eq!(compared(half).unwrap(), "a");
        assert_eq!(compared(br#"{"text": "a"}"#).unwrap(), "a");
        let last = br#"{"messages": [{"content": "b"}], "text": "a", "messages": null}"#;
        assert_eq!(compared(last).unwrap(), "a");
    }

    #[test]
    fn a_line_is_as_readable_as_without_messages() {
        assert_eq!(compared(br#"{"messages": [{"content": "b"}]}"#), Err(Unreadable::NoText));
        let broken = br#"{"text": "a", "messages": [{"content": "b"]}"#;
        assert_eq!(compared(broken), Err(Unreadable::InvalidJson));
        assert_eq!(
            compared(b"{\"text\": \"a\", \"messages\": [{\"content\": \"\xff\"}]}"),
            Err(Unreadable::InvalidUtf8)
        );
    }

    #[test]
    fn room_is_used_again_and_a_long_record_keeps_none() {
        let mut content = OwnContent::default();
        let long = format!(r#"[{{"content": "\n{}"}}]"#, "é".repeat(BYTES_KEPT));
        assert_eq!(content.read(long.as_bytes()).unwrap().len(), 2 * BYTES_KEPT + 2);
        assert_eq!(content.read(br#"[{"content":"\u00e9b"}]"#), Some("éb\n"));
        assert!(content.room.len() < 100);
        assert_eq!(content.read(br#"[{"content":"c"}]"#), Some("c\n"));
    }

    /// What a value says, in plain words.
    fn said(value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => format!("{text}\n"),
            other => format!("{other}\n"),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            "(\\PC|[\"\\\\\n\té😀]){0,50}".prop_map(Value::from),
            prop::collection::vec("[a\"\\\\é]{0,9}", 0..3).prop_map(Value::from),
            (0..9_i32).prop_map(|number| json!({"k\"": number})),
        ]
    }

    proptest! {
        #[test]
        fn content_is_what_a_parser_reads(
            turns in prop::collection::vec(
                (
                    prop::sample::select(vec!["user", "assistant", "tool", "system"]),
                    any_value(),
                    prop::collection::vec((any_value(), any_value(), any::<bool>()), 0..3),
                ),
                1..5,
            ),
        ) {
            let mut expected = String::new();
            let mut messages = Vec::new();
            for (role, value, calls) in &turns {
                // serde_json's objects are in the order of their keys: arguments before name.
                let calls_said = calls
                    .iter()
                    .map(|(name, arguments, _)| said(arguments) + &said(name));
                if *role != "system" {
                    expected.extend(std::iter::once(said(value)).chain(calls_said));
                }
                let spelled: Vec<Value> = calls
                    .iter()
                    .map(|(name, arguments, is_nested)| {
                        let call = json!({"name": name, "arguments": arguments});
                        if *is_nested { json!({"function": call, "id": "x"}) } else { call }
                    })
                    .collect();
                messages.push(json!({"role": role, "content": value, "tool_calls": spelled}));
            }
            let expected = if expected.trim().is_empty() { TEXT.to_owned() } else { expected };
            prop_assert_eq!(compared_by(&Value::from(messages)), expected);
        }
    }
}
