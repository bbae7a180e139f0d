//! `qwen2_5` and `hermes`: `ChatML` turns, tools and calls between tags.
//!
//! `qwen2_5` is the published `chat_template` of Qwen 2.5. `hermes` is the same without the turn by
//! which that template introduces the model as Qwen: what no record says does not stand there. Where
//! the tokenizer has the tags as tokens, they are these tokens; else they are text.

use std::borrow::Cow;

use super::conversation::{Conversation, Message, spell_tool};
use super::refusal::Refusal;
use super::roles::Role;
use super::writer::{Rendering, Vocabulary, Writer};

pub(super) const CONTROLS: [&str; 2] = [START, END];
pub(super) const TAGS: [&str; 6] = [CALL, CALL_END, REPLY, REPLY_END, "<tools>", "</tools>"];
const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";
const CALL: &str = "<tool_call>";
const CALL_END: &str = "</tool_call>";
const REPLY: &str = "<tool_response>";
const REPLY_END: &str = "</tool_response>";

const QWEN: &str = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
const TOOLS: &str = "# Tools\n\nYou may call one or more functions to assist with the user \
    query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>";
const CALLS: &str = "\n</tools>\n\nFor each function call, return a json object with function name \
    and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": \
    <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";

/// Renders with what the system turn says where the record has none.
pub(super) fn render<'a>(
    conversation: Conversation<'a>,
    vocabulary: &Vocabulary,
    is_qwen: bool,
) -> Result<Rendering<'a>, Refusal> {
    check_order(&conversation.messages)?;
    let mut to = Writer::new(vocabulary);
    let mut messages = conversation.messages.into_iter().peekable();
    let system = messages.next_if(|message| message.role == Role::System);
    system_turn(system, &conversation.tools, is_qwen, &mut to)?;
    let mut is_behind_reply = false;
    while let Some(message) = messages.next() {
        let is_reply = message.role == Role::Tool;
        if is_reply {
            let is_last = messages.peek().is_none_or(|next| next.role != Role::Tool);
            reply(message, !is_behind_reply, is_last, &mut to);
        } else {
            turn(message, &mut to)?;
        }
        is_behind_reply = is_reply;
    }
    Ok(to.finish())
}

fn system_turn<'a>(
    message: Option<Message<'a>>,
    tools: &[&str],
    is_qwen: bool,
    to: &mut Writer<'_, 'a>,
) -> Result<(), Refusal> {
    if message.is_none() && tools.is_empty() && !is_qwen {
        return Ok(());
    }
    let is_trained = message.as_ref().is_some_and(|message| message.is_trained);
    let is_said = message.is_some();
    header("system\n", to);
    match message {
        Some(message) => to.data(message.content, is_trained),
        None if is_qwen => to.own(QWEN, false),
        None => {}
    }
    if !tools.is_empty() {
        if is_said || is_qwen {
            to.own("\n\n", false);
        }
        to.own(TOOLS, false);
        for tool in tools {
            let mut spelled = String::with_capacity(tool.len() + tool.len() / 4);
            spelled.push('\n');
            spell_tool(tool, None, &mut spelled)?;
            to.data(Cow::Owned(spelled), false);
        }
        to.own(CALLS, false);
    }
    end(is_trained, to);
    Ok(())
}

fn turn<'a>(message: Message<'a>, to: &mut Writer<'_, 'a>) -> Result<(), Refusal> {
    let is_trained = message.is_trained;
    // Without the tags as tokens, a reader could not tell text from a call.
    if message.role == Role::Assistant
        && message.content.contains(CALL)
        && !to.vocabulary().has(CALL)
    {
        return Err(Refusal::TextReadsAsCall);
    }
    header(message.role.name(), to);
    to.own("\n", false);
    let is_said = !message.content.is_empty();
    to.data(message.content, is_trained);
    for (number, call) in message.calls.into_iter().enumerate() {
        if is_said || number > 0 {
            to.own("\n", is_trained);
        }
        to.own("<tool_call>\n{\"name\": \"", is_trained);
        to.data(super::plain_name(call.name)?, is_trained);
        to.own("\", \"arguments\": ", is_trained);
        to.data(Cow::Owned(call.arguments), is_trained);
        to.own("}\n</tool_call>", is_trained);
    }
    end(is_trained, to);
    Ok(())
}

/// Replies that follow each other share one turn of the user.
fn reply<'a>(message: Message<'a>, is_first: bool, is_last: bool, to: &mut Writer<'_, 'a>) {
    let is_trained = message.is_trained;
    if is_first {
        header(Role::User.name(), to);
    }
    to.own("\n<tool_response>\n", false);
    to.data(message.content, is_trained);
    to.own("\n</tool_response>", is_trained);
    if is_last {
        end(is_trained, to);
    }
}

fn header(name: &'static str, to: &mut Writer<'_, '_>) {
    to.control(START, false);
    to.own(name, false);
}

fn end(is_trained: bool, to: &mut Writer<'_, '_>) {
    to.control(END, is_trained);
    to.own("\n", false);
}

/// Refuses replies that only their ids assign to calls: the template does not print ids, so that they
/// must come in the order of the calls.
fn check_order(messages: &[Message<'_>]) -> Result<(), Refusal> {
    let mut calls: Vec<&str> = Vec::new();
    let mut next = 0;
    for message in messages {
        if message.role == Role::Assistant {
            calls = message.calls.iter().filter_map(|call| call.id.as_deref()).collect();
            next = 0;
        } else if let (Role::Tool, Some(id)) = (message.role, message.answers.as_deref()) {
            // An id that no call has says nothing about the order.
            let Some(at) = calls.iter().position(|call| *call == id) else { continue };
            if at < next {
                return Err(Refusal::ReplyOrder);
            }
            next = at;
        }
    }
    Ok(())
}
