//! Templates of a conversation of two turns: a request, and the calls that answer it.

use super::{Call, Tool, calls, documentation};
use crate::common_form::write::{Layout as Blanks, push_string};
use crate::common_form::{Made, Stop};

/// The name of the template that fits all.
pub(super) const JSON: &str = "json";

/// One template of such conversations.
pub(super) struct Layout {
    pub(super) name: &'static str,
    /// What stands before and after the documentation of the tools.
    tools: (&'static str, &'static str),
    document: fn(&[Tool<'_>], &mut String) -> Made<()>,
    /// What stands before and after the request.
    user: (&'static str, &'static str),
    /// What stands before and after the calls.
    assistant: (&'static str, &'static str),
    call: fn(&Call<'_>, &mut String) -> Made<()>,
    /// Stands once in the text of each call; a text that holds it elsewhere could not be read again.
    mark: &'static str,
}

pub(super) const LAYOUTS: [Layout; 6] = [
    Layout {
        name: "bare_json",
        tools: ("Tools:\n", ""),
        document: lines,
        user: ("\n\nUser: ", ""),
        assistant: ("\n\nAssistant:", ""),
        call: calls::push_bare,
        mark: "\n{\"name\": ",
    },
    Layout {
        name: "tags",
        tools: ("<tools>\n", "\n</tools>"),
        document: lines,
        user: ("\n<user>\n", "\n</user>"),
        assistant: ("\n<assistant>", "\n</assistant>"),
        call: calls::push_tagged,
        mark: "<tool_call>\n",
    },
    Layout {
        name: "python",
        tools: ("", "\n"),
        document: documentation::push_signatures,
        user: ("\n\nUser: ", ""),
        assistant: ("\n", ""),
        call: calls::push_python,
        mark: "\n>>> ",
    },
    Layout {
        name: "react",
        tools: ("You can use these tools.\n\n", ""),
        document: plain,
        user: ("\n\nQuestion: ", ""),
        assistant: ("", ""),
        call: calls::push_action,
        mark: "\nAction Input: ",
    },
    Layout {
        name: "markdown",
        tools: ("## Tools\n\n", ""),
        document: documentation::push_markdown,
        user: ("\n\n## User\n\n", ""),
        assistant: ("\n\n## Assistant", ""),
        call: calls::push_fenced,
        mark: "\n**Call** `",
    },
    Layout {
        name: "xml",
        tools: ("<functions>\n", "\n</functions>"),
        document: lines,
        user: ("\n\n[user]\n", ""),
        assistant: ("\n\n[assistant]", ""),
        call: calls::push_element,
        mark: "\n<function name=\"",
    },
];

#[allow(clippy::unnecessary_wraps)] // one of those that a layout may have
fn lines(tools: &[Tool<'_>], to: &mut String) -> Made<()> {
    documentation::push_lines(tools, to);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // one of those that a layout may have
fn plain(tools: &[Tool<'_>], to: &mut String) -> Made<()> {
    documentation::push_plain(tools, to);
    Ok(())
}

impl Layout {
    /// Appends the text of a request with its tools and calls.
    ///
    /// # Errors
    /// [`Stop::Unfit`]: the layout does not go with it, or its calls could not be read again.
    pub(super) fn push(
        &self,
        tools: &[Tool<'_>],
        query: &str,
        calls: &[Call<'_>],
        to: &mut String,
    ) -> Made<()> {
        let start = to.len();
        to.push_str(self.tools.0);
        (self.document)(tools, to)?;
        to.push_str(self.tools.1);
        to.push_str(self.user.0);
        to.push_str(query);
        to.push_str(self.user.1);
        to.push_str(self.assistant.0);
        for call in calls {
            (self.call)(call, to)?;
        }
        to.push_str(self.assistant.1);
        let marks = memchr::memmem::find_iter(&to.as_bytes()[start..], self.mark).count();
        if marks == calls.len() { Ok(()) } else { Err(Stop::Unfit) }
    }
}

/// Appends a request as lines of JSON: each tool, then each turn.
pub(super) fn push_json(tools: &[Tool<'_>], query: &str, calls: &[Call<'_>], to: &mut String) {
    documentation::push_lines(tools, to);
    to.push_str("\n{\"role\": \"user\", \"content\": ");
    push_string(query, to);
    to.push_str("}\n{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": ");
    calls::push_list(calls, Blanks::Line, to);
    to.push_str("}\n");
}
