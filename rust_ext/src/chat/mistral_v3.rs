//! `mistral_v3`: the instruct format of Mistral 7B v0.3, every part between control tokens.
//!
//! As Mistral's own encoder does it, each text between two control tokens is encoded by itself; tools
//! and system prompt stand before and in the last user turn; a turn of the assistant ends in `</s>`.
//! That encoder wants ids of nine letters and digits; other ids become `call00000`, `call00001`, ...,
//! by the call's number in the record.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::conversation::{Conversation, Message, spell_tool};
use super::python_json::{respell, spell_string};
use super::refusal::Refusal;
use super::roles::Role;
use super::writer::{Rendering, Vocabulary, Writer};

pub(super) const CONTROLS: [&str; 9] =
    [BEGIN, END, INST, INST_END, TOOLS, TOOLS_END, CALLS, REPLY, REPLY_END];
const BEGIN: &str = "<s>";
const END: &str = "</s>";
const INST: &str = "[INST]";
const INST_END: &str = "[/INST]";
const TOOLS: &str = "[AVAILABLE_TOOLS]";
const TOOLS_END: &str = "[/AVAILABLE_TOOLS]";
const CALLS: &str = "[TOOL_CALLS]";
const REPLY: &str = "[TOOL_RESULTS]";
const REPLY_END: &str = "[/TOOL_RESULTS]";

/// Letters and digits of an id.
const ID_CHARACTERS: usize = 9;

pub(super) fn render<'a>(
    conversation: Conversation<'a>,
    vocabulary: &Vocabulary,
) -> Result<Rendering<'a>, Refusal> {
    check_order(&conversation.messages)?;
    let mut to = Writer::new(vocabulary);
    let mut ids = Ids::new(&conversation.messages);
    let last_user = conversation.messages.iter().rposition(|each| each.role == Role::User);
    let mut system = None;
    to.control(BEGIN, false);
    for (number, message) in conversation.messages.into_iter().enumerate() {
        match message.role {
            Role::System => system = Some(message),
            Role::User => {
                let is_last = Some(number) == last_user;
                if is_last && !conversation.tools.is_empty() {
                    tools(&conversation.tools, &mut to)?;
                }
                asked(message, system.take_if(|_| is_last), &mut to);
            }
            Role::Assistant => answer(message, &mut ids, &mut to)?,
            Role::Tool => reply(&message, &ids, &mut to)?,
        }
    }
    Ok(to.finish())
}

fn tools(tools: &[&str], to: &mut Writer<'_, '_>) -> Result<(), Refusal> {
    let mut spelled = String::from("[");
    for (number, tool) in tools.iter().enumerate() {
        if number > 0 {
            spelled.push_str(", ");
        }
        spell_tool(tool, None, &mut spelled)?;
    }
    spelled.push(']');
    to.control(TOOLS, false);
    own_space(to);
    to.data(Cow::Owned(spelled), false);
    to.control(TOOLS_END, false);
    Ok(())
}

fn asked<'a>(message: Message<'a>, system: Option<Message<'a>>, to: &mut Writer<'_, 'a>) {
    to.control(INST, false);
    own_space(to);
    if let Some(system) = system {
        to.data(system.content, system.is_trained);
        to.own("\n\n", false);
    }
    to.data(message.content, message.is_trained);
    to.control(INST_END, message.is_trained);
}

fn answer<'a>(message: Message<'a>, ids: &mut Ids, to: &mut Writer<'_, 'a>) -> Result<(), Refusal> {
    let is_trained = message.is_trained;
    if message.calls.is_empty() {
        own_space_of(to, is_trained);
        // Mistral's encoder takes spaces off the end of an answer: a model does not write them.
        let content = match message.content {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(' ')),
            Cow::Owned(text) => Cow::Owned(text.trim_end_matches(' ').to_owned()),
        };
        to.data(content, is_trained);
        to.control(END, is_trained);
        return Ok(());
    }
    if !message.content.trim().is_empty() {
        return Err(Refusal::TextBesideCall);
    }
    let mut spelled = String::from("[");
    for (number, call) in message.calls.into_iter().enumerate() {
        spelled.push_str(if number > 0 { ", {\"name\": " } else { "{\"name\": " });
        spell_string(&call.name, &mut spelled);
        spelled.push_str(", \"arguments\": ");
        spelled.push_str(&call.arguments);
        spelled.push_str(", \"id\": \"");
        spelled.push_str(&ids.next(call.id.as_deref()));
        spelled.push_str("\"}");
    }
    spelled.push(']');
    to.control(CALLS, is_trained);
    own_space_of(to, is_trained);
    to.data(Cow::Owned(spelled), is_trained);
    to.control(END, is_trained);
    Ok(())
}

fn reply(message: &Message<'_>, ids: &Ids, to: &mut Writer<'_, '_>) -> Result<(), Refusal> {
    let id = message.answers.as_deref().and_then(|id| ids.spelled.get(id));
    let id = id.ok_or(Refusal::ReplyWithoutCall)?;
    let mut spelled = String::from("{\"content\": ");
    let before = spelled.len();
    // A reply that is JSON is printed as such.
    if respell(&message.content, None, &mut spelled).is_err() {
        spelled.truncate(before);
        spell_string(&message.content, &mut spelled);
    }
    spelled.push_str(", \"call_id\": \"");
    spelled.push_str(id);
    spelled.push_str("\"}");
    to.control(REPLY, false);
    own_space_of(to, message.is_trained);
    to.data(Cow::Owned(spelled), message.is_trained);
    to.control(REPLY_END, message.is_trained);
    Ok(())
}

/// Writes the space that `SentencePiece` puts in front of a text by itself.
fn own_space(to: &mut Writer<'_, '_>) {
    own_space_of(to, false);
}

fn own_space_of(to: &mut Writer<'_, '_>, is_trained: bool) {
    if !to.vocabulary().has_own_spaces {
        to.own(" ", is_trained);
    }
}

/// The ids of calls as they are printed.
struct Ids {
    /// Those that the record spells as they are wanted.
    taken: HashSet<String>,
    spelled: HashMap<String, String>,
    calls: usize,
}

impl Ids {
    fn new(messages: &[Message<'_>]) -> Self {
        let calls = messages.iter().flat_map(|message| &message.calls);
        let given = calls.filter_map(|call| call.id.as_deref()).filter(|id| is_wanted(id));
        Self { taken: given.map(str::to_owned).collect(), spelled: HashMap::new(), calls: 0 }
    }

    /// Returns how the id of the next call is printed.
    fn next(&mut self, id: Option<&str>) -> String {
        let mut spelled = id.filter(|id| is_wanted(id)).map(str::to_owned);
        while spelled.is_none() {
            let made = format!("call{:05}", self.calls);
            self.calls += 1;
            spelled = Some(made).filter(|made| !self.taken.contains(made));
        }
        let spelled = spelled.unwrap_or_default();
        if let Some(id) = id {
            self.spelled.insert(id.to_owned(), spelled.clone());
        }
        spelled
    }
}

fn is_wanted(id: &str) -> bool {
    id.len() == ID_CHARACTERS && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Refuses what the format has no place for: after a system prompt, users and the assistant take
/// turns; behind calls come their replies, and behind these the assistant again.
fn check_order(messages: &[Message<'_>]) -> Result<(), Refusal> {
    let mut before = None;
    for (number, message) in messages.iter().enumerate() {
        let is_fine = match (message.role, before) {
            (Role::System, _) if number == 0 => true,
            (Role::System, _) => return Err(Refusal::SystemInside),
            (Role::User, before) => matches!(before, None | Some((Role::Assistant, false))),
            (Role::Assistant, before) => {
                matches!(before, Some((Role::User | Role::Tool, _)))
            }
            (Role::Tool, before) => {
                matches!(before, Some((Role::Tool, _) | (Role::Assistant, true)))
            }
        };
        if !is_fine {
            return Err(if before.is_none() {
                Refusal::FirstTurnNotUser
            } else {
                Refusal::TurnOrder
            });
        }
        if message.role != Role::System {
            before = Some((message.role, !message.calls.is_empty()));
        }
    }
    // A system prompt needs a user's turn to stand in.
    before.map(|_| ()).ok_or(Refusal::FirstTurnNotUser)
}
