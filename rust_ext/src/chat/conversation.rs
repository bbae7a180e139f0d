//! A record's messages and tools, read from the JSON of its line.

use std::borrow::Cow;

use super::python_json::{Unspellable, respell};
use super::refusal::Refusal;
use super::roles::{Role, Roles};
use crate::input::conversation_fields::ConversationFields;
use crate::input::fields::unquote;
use crate::input::json::{Fault, Scanner};

/// What a template renders.
#[derive(Debug)]
pub struct Conversation<'a> {
    /// The turns; one at least.
    pub messages: Vec<Message<'a>>,
    /// The tools as their record spells them, each one JSON object.
    pub tools: Vec<&'a str>,
    /// `meta.date`.
    pub date: Option<Cow<'a, str>>,
}

/// One turn.
#[derive(Debug)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said; empty where there is none.
    pub content: Cow<'a, str>,
    /// The calls of an assistant's turn.
    pub calls: Vec<Call<'a>>,
    /// The call that a tool's turn answers.
    pub answers: Option<Cow<'a, str>>,
    /// Whether the loss counts.
    pub is_trained: bool,
}

/// A call of a tool.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its id, if it has one.
    pub id: Option<Cow<'a, str>>,
    /// The tool.
    pub name: Cow<'a, str>,
    /// An object, spelled as Python does.
    pub arguments: String,
}

type Read<T> = Result<T, Refusal>;

impl From<Fault> for Refusal {
    fn from(_: Fault) -> Self {
        Self::Malformed
    }
}

impl From<Unspellable> for Refusal {
    fn from(why: Unspellable) -> Self {
        match why {
            Unspellable::Invalid => Self::Malformed,
            Unspellable::DuplicateKeys => Self::DuplicateKeys,
        }
    }
}

impl<'a> Conversation<'a> {
    /// Reads the fields of a line; which turns are trained is decided here.
    ///
    /// # Errors
    /// `NoMessages` where there are none, `Malformed` for what is not as the schema says.
    pub fn read(fields: &ConversationFields<'a>, roles: Roles) -> Read<Self> {
        let raw = fields.messages.ok_or(Refusal::NoMessages)?;
        let mut messages = Vec::new();
        list(raw, |raw| {
            messages.push(message(raw, roles)?);
            Ok(())
        })?;
        if messages.is_empty() {
            return Err(Refusal::NoMessages);
        }
        let mut tools = Vec::new();
        if let Some(raw) = fields.tools {
            list(raw, |raw| {
                tools.push(raw.starts_with('{').then_some(raw).ok_or(Refusal::Malformed)?);
                Ok(())
            })?;
        }
        let mut date = None;
        if let Some(raw) = fields.meta.filter(|raw| raw.starts_with('{')) {
            members(raw, |key, raw| {
                if key == "date" {
                    date = if raw.starts_with('"') { Some(string(raw)?) } else { None };
                }
                Ok(())
            })?;
        }
        Ok(Self { messages, tools, date })
    }

    /// Returns whether tools are declared or called.
    #[must_use]
    pub fn has_tools_or_calls(&self) -> bool {
        !self.tools.is_empty() || self.messages.iter().any(|message| !message.calls.is_empty())
    }
}

/// Appends a tool as templates expect it, `{"type": "function", "function": TOOL}`; one that has this
/// shape already is left as it is.
///
/// # Errors
/// `DuplicateKeys`, `Malformed`.
pub fn spell_tool(raw: &str, indent: Option<usize>, to: &mut String) -> Read<()> {
    let mut is_wrapped = false;
    members(raw, |key, value| {
        is_wrapped |= key == "function" && value.starts_with('{');
        Ok(())
    })?;
    if is_wrapped {
        return Ok(respell(raw, indent, to)?);
    }
    Ok(respell(&format!("{{\"type\": \"function\", \"function\": {raw}}}"), indent, to)?)
}

fn message(raw: &str, roles: Roles) -> Read<Message<'_>> {
    let (mut role, mut content, mut calls) = (None, Cow::Borrowed(""), Vec::new());
    let (mut answers, mut loss) = (None, None);
    members(raw, |key, raw| {
        match key {
            "role" => role = Role::named(&string(raw)?),
            "content" if raw != "null" => content = string(raw)?,
            "tool_calls" if raw != "null" => {
                calls.clear();
                list(raw, |raw| {
                    calls.push(call(raw)?);
                    Ok(())
                })?;
            }
            "tool_call_id" if raw != "null" => answers = Some(string(raw)?),
            "loss" => {
                loss = match raw {
                    "true" => Some(true),
                    "false" => Some(false),
                    "null" => None,
                    _ => return Err(Refusal::Malformed),
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let role = role.ok_or(Refusal::Malformed)?;
    if role != Role::Assistant && !calls.is_empty() {
        return Err(Refusal::Malformed);
    }
    Ok(Message { role, content, calls, answers, is_trained: roles.trains(role, loss) })
}

/// A call as the schema spells it, or as `OpenAI` nests it.
fn call<'a>(raw: &'a str) -> Read<Call<'a>> {
    let (mut id, mut name, mut arguments) = (None, None, None);
    let mut function = |key: &str, raw: &'a str| -> Read<()> {
        match key {
            "name" => name = Some(string(raw)?),
            "arguments" => {
                // As text, it is JSON within JSON.
                let spelled = if raw.starts_with('"') { string(raw)? } else { Cow::Borrowed(raw) };
                if !spelled.trim_start().starts_with('{') {
                    return Err(Refusal::Malformed);
                }
                let mut to = String::with_capacity(spelled.len() + spelled.len() / 8);
                respell(&spelled, None, &mut to)?;
                arguments = Some(to);
            }
            _ => {}
        }
        Ok(())
    };
    members(raw, |key, raw| match key {
        "id" if raw != "null" => {
            id = Some(string(raw)?);
            Ok(())
        }
        "function" if raw.starts_with('{') => members(raw, &mut function),
        _ => function(key, raw),
    })?;
    let (name, arguments) = name.zip(arguments).ok_or(Refusal::Malformed)?;
    Ok(Call { id, name, arguments })
}

/// Gives the members of an object, values as they are spelled; of equal keys the last one counts.
fn members<'a>(raw: &'a str, mut member: impl FnMut(&str, &'a str) -> Read<()>) -> Read<()> {
    let mut scanner = Scanner::new(raw.as_bytes());
    scanner.open_object()?;
    if !scanner.accept(b'}')? {
        loop {
            let quoted = scanner.string()?;
            scanner.expect(b':')?;
            let value = value(raw, &mut scanner)?;
            // Half a surrogate pair is no character, and so in no key that is looked for.
            let key = unquote(raw.as_bytes(), &quoted).unwrap_or_default();
            member(std::str::from_utf8(&key).unwrap_or_default(), value)?;
            if !scanner.accept(b',')? {
                break;
            }
        }
        scanner.expect(b'}')?;
    }
    Ok(())
}

/// Gives the elements of a list as they are spelled.
fn list<'a>(raw: &'a str, mut element: impl FnMut(&'a str) -> Read<()>) -> Read<()> {
    let mut scanner = Scanner::new(raw.as_bytes());
    scanner.expect(b'[')?;
    if !scanner.accept(b']')? {
        loop {
            element(value(raw, &mut scanner)?)?;
            if !scanner.accept(b',')? {
                break;
            }
        }
        scanner.expect(b']')?;
    }
    Ok(())
}

fn value<'a>(raw: &'a str, scanner: &mut Scanner<'a>) -> Read<&'a str> {
    scanner.peek()?;
    let start = scanner.position();
    scanner.skip_value()?;
    Ok(&raw[start..scanner.position()])
}

fn string(raw: &str) -> Read<Cow<'_, str>> {
    let mut scanner = Scanner::new(raw.as_bytes());
    let quoted = scanner.string()?;
    if !quoted.has_escapes {
        return Ok(Cow::Borrowed(&raw[quoted.range]));
    }
    let unescaped = unquote(raw.as_bytes(), &quoted)?.into_owned();
    String::from_utf8(unescaped).map(Cow::Owned).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::chat) fn fields(line: &'static str) -> ConversationFields<'static> {
        let mut fields = ConversationFields::default();
        members(line, |key, raw| {
            match key {
                "messages" => fields.messages = Some(raw),
                "tools" => fields.tools = Some(raw),
                _ => fields.meta = Some(raw),
            }
            Ok(())
        })
        .unwrap();
        fields
    }

    fn read(line: &'static str) -> Read<Conversation<'static>> {
        Conversation::read(&fields(line), Roles::trained(&["assistant"]).unwrap())
    }

    #[test]
    fn both_spellings_of_a_call_are_the_same_call() {
        let line = r#"{"messages": [{"role": "assistant", "content": null, "loss": false, "tool_calls": [
            {"id": "a", "name": "f", "arguments": {"x":1}},
            {"id": "b", "type": "function", "function": {"arguments": "{\"x\":1}", "name": "f"}}]}],
            "tools": [{"name": "f"}], "meta": {"date": "2024-07-26"}}"#;
        let conversation = read(line).unwrap();
        let [message] = &conversation.messages[..] else { panic!("one message") };
        assert_eq!((message.content.as_ref(), message.is_trained), ("", false));
        let calls: Vec<_> =
            message.calls.iter().map(|call| (&*call.name, &*call.arguments)).collect();
        assert_eq!(calls, [("f", "{\"x\": 1}"); 2]);
        assert_eq!(conversation.date.as_deref(), Some("2024-07-26"));
        let mut tool = String::new();
        spell_tool(conversation.tools[0], None, &mut tool).unwrap();
        assert_eq!(tool, r#"{"type": "function", "function": {"name": "f"}}"#);
    }

    #[test]
    fn what_is_not_as_the_schema_says_is_malformed() {
        for messages in [
            r#"{"messages": "a"}"#,
            r#"{"messages": [1]}"#,
            r#"{"messages": [{"role": "developer", "content": "a"}]}"#,
            r#"{"messages": [{"role": "user", "content": ["a"]}]}"#,
            r#"{"messages": [{"role": "user", "content": "a", "loss": 0.5}]}"#,
            r#"{"messages": [{"role": "user", "content": "", "tool_calls": [{"name": "f", "arguments": {}}]}]}"#,
            r#"{"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "x"}]}]}"#,
            r#"{"messages": [{"role": "assistant", "tool_calls": [{"name": "f"}]}]}"#,
        ] {
            assert_eq!(read(messages).err(), Some(Refusal::Malformed), "{messages}");
        }
        assert_eq!(read(r#"{"messages": []}"#).err(), Some(Refusal::NoMessages));
        assert_eq!(read(r#"{"tools": []}"#).err(), Some(Refusal::NoMessages));
    }
}
