"""The way back: what a rendering says, read from its spans.

A control token is known by its span, not by its spelling, so that a turn which quotes one is read
as what it says. `parse(render(record))` gives back the record's calls, for each named template.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from preprocess.chat.jinja import Spans

type Part = tuple[str, bool]
"""Text, and whether it is a control token."""

CALL, CALL_END = "<tool_call>", "</tool_call>"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was rendered."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as it was rendered."""

    role: str
    """As the template calls it: replies may stand in turns of `user` or `ipython`."""
    content: str
    calls: tuple[Call, ...] = ()


def parse(name: str, spans: Spans) -> list[Turn]:
    """Return the turns of a rendering by a named template.

    Raises:
        ValueError: There is no way back from that template, or this is no rendering of it.
    """
    if name not in PARSERS:
        raise ValueError(f"expected a template among {', '.join(PARSERS)}, got {name!r}")
    return PARSERS[name](list(_joined(spans)))


def _joined(spans: Spans) -> Iterator[Part]:
    """Yield control tokens, and what stands between two as one text."""
    text = ""
    for part, is_special, _ in spans:
        if not is_special or not part:
            text += part
            continue
        if text:
            yield text, False
        text = ""
        yield part, True
    if text:
        yield text, False


def _between(parts: Sequence[Part], start: str, end: str) -> Iterator[list[Part]]:
    """Yield the parts of each turn between two control tokens."""
    turn: list[Part] | None = None
    for part in parts:
        if part == (start, True):
            turn = []
        elif part == (end, True) and turn is not None:
            yield turn
            turn = None
        elif turn is not None:
            turn.append(part)


def _call(text: str, arguments: str) -> Call:
    called = json.loads(text)
    if not isinstance(called, dict) or not isinstance(called.get(arguments), dict):
        raise ValueError(f"expected a call with name and {arguments}, got {text[:200]!r}")
    return Call(called["name"], called[arguments])


def _qwen(parts: Sequence[Part]) -> list[Turn]:
    turns = []
    for turn in _between(parts, "<|im_start|>", "<|im_end|>"):
        role, _, head = turn[0][0].partition("\n")
        body = [(head, False), *turn[1:]] if head else turn[1:]
        if role != "assistant":
            turns.append(Turn(role, "".join(text for text, _ in body)))
            continue
        if not any(is_control for _, is_control in body):
            # Where the tags are no tokens, they are found as text: no answer that holds them is
            # rendered then.
            body = list(_tags("".join(text for text, _ in body)))
        turns.append(_qwen_answer(body))
    return turns


def _tags(text: str) -> Iterator[Part]:
    """Yield a text cut at the tags of calls; one inside the JSON of a call is no tag."""
    content, tag, rest = text.partition(f"{CALL}\n")
    yield content, False
    while tag:
        _, length = json.JSONDecoder().raw_decode(rest)
        yield from [(CALL, True), (f"\n{rest[:length]}\n", False), (CALL_END, True)]
        _, tag, rest = rest[length:].partition(f"{CALL}\n")


def _qwen_answer(body: Iterable[Part]) -> Turn:
    content, calls, is_inside = "", [], False
    for text, is_control in body:
        if is_control:
            is_inside = text == CALL
        elif is_inside:
            calls.append(_call(text, "arguments"))
        elif not calls:
            content += text
    return Turn("assistant", content.removesuffix("\n") if calls else content, tuple(calls))


def _llama(parts: Sequence[Part]) -> list[Turn]:
    turns = []
    for turn in _between(parts, "<|start_header_id|>", "<|eot_id|>"):
        role = turn[0][0]
        content = "".join(text for text, is_control in turn[1:] if not is_control)
        turns.append(Turn(role, content.removeprefix("\n\n")))
    preambles = ("Environment: ipython\n", "Cutting Knowledge Date: December 2023\nToday Date: ")
    if not turns or turns[0].role != "system" or not turns[0].content.startswith(preambles):
        return turns  # nothing was called or declared
    return [
        Turn(turn.role, "", (_call(turn.content, "parameters"),))
        if turn.role == "assistant" and turn.content.startswith('{"name": "')
        else turn
        for turn in turns
    ]


def _mistral(parts: Sequence[Part]) -> list[Turn]:
    turns: list[Turn] = []
    opened, text = "", ""
    for part, is_control in parts:
        if not is_control:
            text = part
            continue
        if part == "[/INST]":
            turns.append(Turn("user", text))
        elif part == "[/TOOL_RESULTS]":
            turns.append(Turn("tool", text))
        elif part == "</s>" and opened == "[TOOL_CALLS]":
            calls = tuple(Call(each["name"], each["arguments"]) for each in json.loads(text))
            turns.append(Turn("assistant", "", calls))
        elif part == "</s>":
            turns.append(Turn("assistant", text))
        opened, text = part, ""
    return turns


PARSERS: dict[str, Callable[[Sequence[Part]], list[Turn]]] = {
    "llama3_1": _llama,
    "mistral_v3": _mistral,
    "qwen2_5": _qwen,
    "hermes": _qwen,
}
"""Template -> how its renderings are read."""
