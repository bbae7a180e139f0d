"""Templates of conversations: labels of the turns, documentation of the tools, texts of calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from preprocess.exact_json import DECODER
from preprocess.records import Message, Tool
from preprocess.render import call_texts, documentation
from preprocess.render.call_texts import CallText
from preprocess.render.links import Links
from preprocess.render.spans import SPAN_OF_TURN, Span, SpanRole
from preprocess.render.template import Template
from preprocess.render.values import json_text

if TYPE_CHECKING:
    from preprocess.readers.understand.call_source import Call

type Labels = dict[str, tuple[str, str]]
"""What stands before and after the content of a turn, by role; `calls` is an assistant's turn that
calls, `silent` one that calls without a word."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One template of conversations."""

    tools: tuple[str, str]
    """What stands before and after the documentation of the tools."""

    document: Callable[[Sequence[Tool]], str]
    labels: Labels
    answers: str
    """The label of a tool's turn that names the call it answers, `{}` in it."""

    calls: CallText

    def template(self) -> Template:
        """Return the template of this layout."""
        return Template(self.spans, self.calls.read, self.calls.mark)

    def spans(self, tools: Sequence[Tool], messages: Sequence[Message]) -> list[Span]:
        """Return the text of a conversation in spans; contents are not copied.

        Raises:
            Unfit: A name or a description does not go with the layout.
        """
        spans: list[Span] = []
        if tools:
            before, after = self.tools
            spans.append(("tool_doc", f"{before}{self.document(tools)}{after}"))
        links = Links()
        labels = self.labels
        for message in messages:
            content = message.content
            if message.tool_calls or message.role == "tool" or not content:
                self._add(spans, message, links)
                continue
            before, after = labels[message.role]
            role = SPAN_OF_TURN[message.role]
            spans.append((role, before if spans else before.lstrip("\n")))
            spans.append((role, content))
            if after:
                spans.append((role, after))
        return spans

    def _add(self, spans: list[Span], message: Message, links: Links) -> None:
        """Add a turn that calls, answers or is silent; the others need less work."""
        role, content, calls = message.role, message.content, message.tool_calls
        if calls and role == "assistant":
            before, after = self.labels["calls" if content else "silent"]
        else:
            before, after = self.labels[role]
            if role == "tool" and (answered := links.answer(message.tool_call_id)):
                before = self.answers.format(call_texts.plain(answered))
            before = before if content else before.rstrip(" \n")
        span: SpanRole = "thought" if calls else SPAN_OF_TURN[role]
        spans.append((span, before if spans else before.lstrip("\n")))
        if content:
            spans.append((span, content))
        if calls:
            span = "call"
            write = self.calls.write
            spans += [(span, write(call, links.call(call.id))) for call in calls]
        if after:
            spans.append((span, after))


def _labels(written: dict[str, tuple[str, str]], **others: tuple[str, str]) -> Labels:
    """Return labels whose calling turns look like those that do not call, but for `others`."""
    before, after = written["assistant"]
    silent = before.rstrip(" \n"), after
    return {"calls": (before, after), "silent": silent, **written, **others}


_TITLES: Final = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
_TAGS: Final = {**{role: role for role in _TITLES}, "tool": "tool_response"}

LAYOUTS: Final[dict[str, Layout]] = {
    "bare_json": Layout(
        ("Tools:\n", ""),
        documentation.openai_lines,
        _labels({role: (f"\n\n{title}: ", "") for role, title in _TITLES.items()}),
        "\n\nTool ({}): ",
        call_texts.BARE,
    ),
    "tags": Layout(
        ("<tools>\n", "\n</tools>"),
        documentation.openai_lines,
        _labels({role: (f"\n<{tag}>\n", f"\n</{tag}>") for role, tag in _TAGS.items()}),
        '\n<tool_response id="{}">\n',
        call_texts.TAGGED,
    ),
    "python": Layout(
        ("", "\n"),
        documentation.python_signatures,
        _labels(
            {
                "system": ("\n\n", ""),
                "user": ("\n\nUser: ", ""),
                "assistant": ("\n\nAssistant: ", ""),
                "tool": ("\n", ""),
            },
            silent=("\n", ""),
        ),
        "\n# {}\n",
        call_texts.PYTHON,
    ),
    "react": Layout(
        ("You can use these tools.\n\n", ""),
        documentation.plain_lines,
        _labels(
            {
                "system": ("\n\n", ""),
                "user": ("\n\nQuestion: ", ""),
                "assistant": ("\nAnswer: ", ""),
                "tool": ("\nObservation: ", ""),
            },
            calls=("\nThought: ", ""),
            silent=("", ""),
        ),
        "\nObservation ({}): ",
        call_texts.ACTION,
    ),
    "markdown": Layout(
        ("## Tools\n\n", ""),
        documentation.markdown,
        _labels({role: (f"\n\n## {title}\n\n", "") for role, title in _TITLES.items()}),
        "\n\n## Tool ({})\n\n",
        call_texts.FENCED,
    ),
    "xml": Layout(
        ("<functions>\n", "\n</functions>"),
        documentation.openai_lines,
        _labels({role: (f"\n\n[{role}]\n", "") for role in _TITLES}),
        "\n\n[tool {}]\n",
        call_texts.ELEMENT,
    ),
}
"""By name; each may find a record unfit. `json` below fits all."""


def json_spans(tools: Sequence[Tool], messages: Sequence[Message]) -> list[Span]:
    """Return a conversation as lines of JSON: each tool, then each message; it fits all records."""
    spans: list[Span] = []
    if tools:
        spans.append(("tool_doc", documentation.openai_lines(tools) + "\n"))
    for message in messages:
        spans += _json_line(message)
    return spans


def _json_line(message: Message) -> list[Span]:
    line = {"role": message.role, "content": message.content}
    if message.tool_call_id is not None:
        line["tool_call_id"] = message.tool_call_id
    text = json_text(line)
    if not message.tool_calls:
        return [(SPAN_OF_TURN[message.role], f"{text}\n")]
    calls = json_text(message.tool_calls)
    return [("thought", text[:-1]), ("call", f', "tool_calls": {calls}}}\n')]


def read_json(text: str) -> list[Call]:
    """Return the calls in what `json_spans` gave."""
    lines = [DECODER.decode(line) for line in text.split("\n") if line]
    calls = [call for line in lines for call in line.get("tool_calls", ())]
    return [(call["name"], call["arguments"]) for call in calls]


JSON: Final = Template(json_spans, read_json)
