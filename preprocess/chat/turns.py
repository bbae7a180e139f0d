"""Which part of a rendering is trained: by the template's own marks, or by rendering prefixes.

A template with `{% generation %}` says what the assistant writes. Without, the turn of message `i`
is what `messages[:i + 1]` renders to beyond `messages[:i]`, and its header what the template writes
to ask for it (`add_generation_prompt`); behind the token that ends the turn nothing is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from preprocess.chat.environment import BEGIN, END
from preprocess.chat.refused import RefusedError

if TYPE_CHECKING:
    import re

    from preprocess.chat.conversation import Conversation

type Range = tuple[int, int]
"""Characters of a rendering, the end excluded."""

PLACE = "\U0010ff02"
"""What a message says where only the place of that is wanted."""


class RenderFirst(Protocol):
    """Renders the first messages of a record."""

    def __call__(self, count: int, has_header: bool, last: str | None = None) -> str:
        """Return the rendering of `count` messages, with the header of an answer or without.

        Args:
            count: So many messages.
            has_header: Whether the header of an answer stands behind them.
            last: What the last of them says instead.
        """


def without_marks(text: str) -> tuple[str, list[Range]]:
    """Return a rendering without the marks of generation, and what stood between them."""
    if BEGIN not in text:
        return text, []
    parts: list[str] = []
    ranges: list[Range] = []
    at = begin = depth = start = 0
    for index, character in enumerate(text):
        if character not in (BEGIN, END):
            continue
        parts.append(text[start:index])
        at += index - start
        start = index + 1
        depth += 1 if character == BEGIN else -1
        if character == BEGIN and depth == 1:
            begin = at
        elif character == END and depth == 0:
            ranges.append((begin, at))
    parts.append(text[start:])
    return "".join(parts), ranges


def generated_ranges(conversation: Conversation, generated: list[Range]) -> list[Range]:
    """Return what is trained where the template marks what the assistant writes.

    Raises:
        RefusedError: A turn of somebody else is to be trained, or blocks and turns are not as many,
            so that a block has no message to ask.
    """
    roles = [message["role"] for message in conversation.messages]
    asked = list(zip(roles, conversation.trained, strict=True))
    if any(trained and role != "assistant" for role, trained in asked):
        raise RefusedError("template_turn_unclear", "it marks the assistant's turns alone")
    mine = [trained for role, trained in asked if role == "assistant"]
    if all(mine):
        return generated
    if not any(mine):
        return []
    if len(mine) != len(generated):
        raise RefusedError(
            "template_turn_unclear", f"{len(mine)} turns, {len(generated)} generation blocks"
        )
    return [block for block, trained in zip(generated, mine, strict=True) if trained]


def prefix_ranges(
    conversation: Conversation,
    whole: str,
    render: RenderFirst,
    controls: re.Pattern[str],
) -> list[Range]:
    """Return what is trained where the template marks nothing.

    Args:
        conversation: The record.
        whole: Its rendering.
        render: Renders its first messages.
        controls: Finds control tokens.

    Raises:
        RefusedError: The rendering does not begin with that of the first turns, or a turn's own
            text cannot be told from its header.
    """
    ranges: list[Range] = []
    for index, trained in enumerate(conversation.trained):
        if not trained:
            continue
        is_last = index + 1 == len(conversation.trained)
        after = whole if is_last else render(index + 1, False)
        if not whole.startswith(after):
            raise RefusedError("template_no_prefix", f"message {index}")
        if conversation.messages[index]["role"] != "assistant":
            start = _at_content(render, index, after)
            ranges.append((start, _behind_turn(after, start, controls)))
        elif index == 0 and _is_headless(conversation, render, after):
            ranges.append(_around_content(render, index, after, controls))
        else:
            ranges.append(_answer(render, index, after, controls))
    return ranges


def _is_headless(conversation: Conversation, render: RenderFirst, after: str) -> bool:
    """Return whether a record begins with an answer that the template does not ask for.

    Of no messages at all many templates fail, or render another beginning. Where the answer has
    calls, another text in its place does not tell where it begins.
    """
    if conversation.messages[0].get("tool_calls"):
        return False
    try:
        return not after.startswith(render(0, True))
    except RefusedError:
        return True


def _answer(render: RenderFirst, index: int, after: str, controls: re.Pattern[str]) -> Range:
    header = render(index, True)
    if header == (render(index, False) if index else ""):
        return _around_content(render, index, after, controls)
    if not after.startswith(header):
        raise RefusedError("template_turn_unclear", f"the header of message {index}")
    return len(header), _behind_turn(after, len(header), controls)


def _around_content(
    render: RenderFirst, index: int, after: str, controls: re.Pattern[str]
) -> Range:
    """Return a turn's text and the token behind it, by where another text would stand.

    So a template is read that has no header to ask for an answer, or writes it behind every turn.
    """
    before, mark, behind = render(index + 1, False, PLACE).partition(PLACE)
    stop = len(after) - len(behind)
    is_around = after.startswith(before) and after.endswith(behind) and len(before) <= stop
    if not mark or not is_around:
        raise RefusedError("template_turn_unclear", f"the text of message {index}")
    found = controls.search(after, stop)
    return len(before), found.end() if found else stop


def _at_content(render: RenderFirst, index: int, after: str) -> int:
    """Return where a turn says what its message does: where another text would stand instead."""
    before, mark, _ = render(index + 1, False, PLACE).partition(PLACE)
    if not mark or not after.startswith(before):
        raise RefusedError("template_turn_unclear", f"the text of message {index}")
    return len(before)


def _behind_turn(after: str, start: int, controls: re.Pattern[str]) -> int:
    """Return where a turn ends: behind its last token, if white space alone follows."""
    ends = [found.end() for found in controls.finditer(after, start)]
    return ends[-1] if ends and not after[ends[-1] :].strip() else len(after)
