//! `llama3_1`: Llama 3.1's format of turns, and Meta's published format of tools.
//!
//! A record without tools and calls is rendered as the `chat_template` of the Llama 3 tokenizers
//! does, every turn under its role. With tools or calls it is rendered as Meta's template for
//! Llama 3.1 does: a system turn with the dates, the tools in the first user turn, a call as one
//! JSON object, replies from `ipython` as JSON strings.

use std::borrow::Cow;

use super::conversation::{Conversation, Message, spell_tool};
use super::date::spell_date;
use super::python_json::spell_string;
use super::refusal::Refusal;
use super::roles::Role;
use super::writer::{Rendering, Vocabulary, Writer, trim};

pub(super) const CONTROLS: [&str; 4] = [BEGIN, START, END, TURN];
const BEGIN: &str = "<|begin_of_text|>";
const START: &str = "<|start_header_id|>";
const END: &str = "<|end_header_id|>";
const TURN: &str = "<|eot_id|>";

/// What the template states where a record has no date.
const DATE: &str = "26 Jul 2024";
const CALL: &str = "{\"name\": \"";
const TOOLS: &str = "Given the following functions, please respond with a JSON for a function call \
    with its proper arguments that best answers the given prompt.\n\n\
    Respond in the format {\"name\": function name, \"parameters\": dictionary of argument name and \
    its value}.Do not use variables.\n\n";

pub(super) fn render<'a>(
    conversation: Conversation<'a>,
    vocabulary: &Vocabulary,
) -> Result<Rendering<'a>, Refusal> {
    let mut to = Writer::new(vocabulary);
    to.control(BEGIN, false);
    if conversation.has_tools_or_calls() {
        with_tools(conversation, &mut to)?;
    } else {
        for message in conversation.messages {
            said(message, &mut to);
        }
    }
    Ok(to.finish())
}

fn with_tools<'a>(conversation: Conversation<'a>, to: &mut Writer<'_, 'a>) -> Result<(), Refusal> {
    let date = spell_date(conversation.date.as_deref(), DATE)?;
    let mut messages = conversation.messages.into_iter().peekable();
    let system = messages.next_if(|message| message.role == Role::System);
    let is_trained = system.as_ref().is_some_and(|message| message.is_trained);
    header(Role::System.name(), to);
    if !conversation.tools.is_empty() {
        to.own("Environment: ipython\n", false);
    }
    to.own("Cutting Knowledge Date: December 2023\nToday Date: ", false);
    to.data(date, false);
    to.own("\n\n", false);
    if let Some(message) = system {
        to.data(trim(message.content), is_trained);
    }
    to.control(TURN, is_trained);
    if !conversation.tools.is_empty() {
        let first = messages.next().filter(|message| message.role == Role::User);
        let first = first.ok_or(Refusal::FirstTurnNotUser)?;
        header(first.role.name(), to);
        to.own(TOOLS, false);
        for tool in conversation.tools {
            let mut spelled = String::with_capacity(2 * tool.len());
            spell_tool(tool, Some(4), &mut spelled)?;
            spelled.push_str("\n\n");
            to.data(Cow::Owned(spelled), false);
        }
        to.data(trim(first.content), first.is_trained);
        to.control(TURN, first.is_trained);
    }
    messages.try_for_each(|message| turn(message, to))
}

fn turn<'a>(message: Message<'a>, to: &mut Writer<'_, 'a>) -> Result<(), Refusal> {
    if message.role == Role::Tool {
        reply(&message, to);
        return Ok(());
    }
    if message.calls.is_empty() {
        // Behind it, a reader could not tell it from a call.
        let is_like_a_call = trim(Cow::Borrowed(&message.content)).starts_with(CALL);
        if message.role == Role::Assistant && is_like_a_call {
            return Err(Refusal::TextReadsAsCall);
        }
        said(message, to);
        return Ok(());
    }
    call(message, to)
}

fn said<'a>(message: Message<'a>, to: &mut Writer<'_, 'a>) {
    header(message.role.name(), to);
    to.data(trim(message.content), message.is_trained);
    to.control(TURN, message.is_trained);
}

fn call<'a>(message: Message<'a>, to: &mut Writer<'_, 'a>) -> Result<(), Refusal> {
    if !trim(message.content).is_empty() {
        return Err(Refusal::TextBesideCall);
    }
    let mut calls = message.calls;
    let call = calls.pop().filter(|_| calls.is_empty()).ok_or(Refusal::TwoCalls)?;
    let is_trained = message.is_trained;
    header(Role::Assistant.name(), to);
    to.own(CALL, is_trained);
    to.data(super::plain_name(call.name)?, is_trained);
    to.own("\", \"parameters\": ", is_trained);
    to.data(Cow::Owned(call.arguments), is_trained);
    to.own("}", is_trained);
    to.control(TURN, is_trained);
    Ok(())
}

fn reply(message: &Message<'_>, to: &mut Writer<'_, '_>) {
    header("ipython", to);
    // The published template prints a string as JSON: to Jinja, a string is iterable.
    let mut spelled = String::with_capacity(message.content.len() + 2);
    spell_string(&message.content, &mut spelled);
    to.data(Cow::Owned(spelled), message.is_trained);
    to.control(TURN, message.is_trained);
}

fn header(name: &'static str, to: &mut Writer<'_, '_>) {
    to.control(START, false);
    to.own(name, false);
    to.control(END, false);
    to.own("\n\n", false);
}
