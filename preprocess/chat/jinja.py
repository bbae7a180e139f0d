"""Any chat template in Jinja: records to spans, for the encoder that the named templates use."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jinja2

from preprocess.chat.conversation import Conversation, read_conversation
from preprocess.chat.environment import literals, make_environment
from preprocess.chat.losses import is_whole, probe, shape_of
from preprocess.chat.refused import RefusedError
from preprocess.chat.stand_ins import StandIns
from preprocess.chat.turns import generated_ranges, prefix_ranges, without_marks
from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess._rust_ext import Tokenizer
    from preprocess.chat.losses import Shape
    from preprocess.chat.source import Source
    from preprocess.chat.turns import Range, RenderFirst

SHAPES_KEPT = 10_000
"""Shapes of which a template is known to print all; others are asked for again."""

DATES = ("strftime_now", "date_string")
"""By what a template asks for the date."""

type Spans = list[tuple[str, bool, bool]]
"""Text, whether it is a special token, whether it is trained."""

type Asked = tuple[str | None, str | None, str | None]
"""`messages`, `tools` and `meta` of a record, as JSON."""


class JinjaTemplate:
    """A template for one tokenizer and one table of roles; it may be used by several threads."""

    def __init__(self, source: Source, tokenizer: Tokenizer, train_roles: tuple[str, ...]) -> None:
        """Compile the template.

        Raises:
            UserError: It is no template.
        """
        environment = make_environment()
        texts = [text for text in (source.text, source.with_tools) if text is not None]
        try:
            compiled = [environment.from_string(text) for text in texts]
            own = [literal for text in texts for literal in literals(text, environment)]
        except jinja2.TemplateSyntaxError as error:
            raise UserError(
                f"{source.name}: expected a template in Jinja, line {error.lineno}: {error.message}"
            ) from error
        self._plain, self._with_tools = compiled[0], compiled[-1]
        self._asks_date = any(name in text for text in texts for name in DATES)
        self._variables = source.variables or {}
        self._train_roles = train_roles
        own += self._variables.values()
        # An added token that is not special is one in any text; only where the template writes it
        # must data that spells it be kept from becoming it.
        added = tokenizer.added_tokens
        self._ordinary = {
            token
            for token, is_special in added
            if not is_special and any(token in text for text in own)
        }
        controls = {token for token, is_special in added if is_special} | self._ordinary
        longest_first = sorted(controls, key=lambda token: (-len(token), token))
        self._controls = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._stand_ins = StandIns.of(controls, own)
        self._whole_shapes: set[Shape] = set()

    def __call__(self, records: Sequence[Asked]) -> list[tuple[Spans, int] | str]:
        """Return spans and the number of literal tokens of each record, or the reason for none."""
        rendered: list[tuple[Spans, int] | str] = []
        for record in records:
            try:
                rendered.append(self.render(*record))
            except RefusedError as refused:
                rendered.append(refused.reason)
        return rendered

    def render(
        self, messages: str | None, tools: str | None, meta: str | None
    ) -> tuple[Spans, int]:
        """Return the spans of a record, and how often its data spells a token of the template.

        Raises:
            RefusedError: It has no rendering that is certain.
        """
        dated = meta if self._asks_date else None
        try:
            return self._render(read_conversation(messages, tools, dated, self._train_roles))
        except RecursionError as error:
            raise RefusedError("template_raised", "values are nested too deeply") from error

    def _render(self, conversation: Conversation) -> tuple[Spans, int]:
        hidden = [self._stand_ins.hide_message(message) for message in conversation.messages]
        hidden_tools = self._stand_ins.hide(conversation.tools)
        marked = self._run(hidden, hidden_tools, conversation)
        if hidden != conversation.messages or hidden_tools != conversation.tools:
            plain = self._run(conversation.messages, conversation.tools, conversation)
            if self._stand_ins.show(marked) != plain:
                raise RefusedError("template_reads_data")
        self._refuse_loss(conversation)
        text, generated = without_marks(marked)
        if generated:
            trained = generated_ranges(conversation, generated)
        else:
            trained = prefix_ranges(
                conversation,
                text,
                self._first(hidden, hidden_tools, conversation),
                self._controls,
            )
        return self._spans(text, trained)

    def _refuse_loss(self, conversation: Conversation) -> None:
        """Refuse a record of whose shape the template leaves something out."""
        shape = shape_of(conversation)
        if shape not in self._whole_shapes:
            messages, tools = probe(conversation)
            if not is_whole(self._run(messages, tools, conversation), shape):
                raise RefusedError("template_loses_content")
            if len(self._whole_shapes) < SHAPES_KEPT:
                self._whole_shapes.add(shape)

    def _first(
        self, messages: list[Any], tools: list[Any] | None, conversation: Conversation
    ) -> RenderFirst:
        def render(count: int, has_header: bool, last: str | None = None) -> str:
            first = messages[:count]
            if last is not None:
                first[-1] = {**first[-1], "content": last}
            run = self._run(first, tools, conversation, has_header=has_header)
            return without_marks(run)[0]

        return render

    def _run(
        self,
        messages: list[Any],
        tools: list[Any] | None,
        conversation: Conversation,
        *,
        has_header: bool = False,
    ) -> str:
        variables: dict[str, Any] = dict(self._variables)
        if conversation.date is not None:
            variables["strftime_now"] = conversation.date.strftime
            variables["date_string"] = conversation.date.strftime("%d %b %Y")
        template = self._with_tools if tools else self._plain
        try:
            return template.render(
                messages=messages,
                tools=tools,
                documents=None,
                add_generation_prompt=has_header,
                **variables,
            )
        except jinja2.UndefinedError as error:
            is_date = "strftime_now" in str(error)
            reason = "template_needs_date" if is_date else "template_raised"
            raise RefusedError(reason, str(error)) from error
        except Exception as error:  # a template may fail in any way that Python does
            raise RefusedError("template_raised", str(error)) from error

    def _spans(self, text: str, trained: list[Range]) -> tuple[Spans, int]:
        """Cut a rendering at control tokens and where training begins and ends."""
        borders = sorted({border for each in trained for border in each})
        spans: Spans = []
        count = at = 0
        for found in [*self._controls.finditer(text), None]:
            end = len(text) if found is None else found.start()
            for start, stop in _pieces(at, end, borders):
                is_trained = _lies_in(start, stop, trained)
                count += self._append_data(text[start:stop], is_trained, spans)
            if found is not None:
                spans.append((found[0], True, _lies_in(found.start(), found.end(), trained)))
                at = found.end()
        return spans, count

    def _append_data(self, marked: str, is_trained: bool, spans: Spans) -> int:
        """Append text, in which tokens are spelled by data alone; return how many are."""
        text = self._stand_ins.show(marked)
        count = start = 0
        for found in self._controls.finditer(text):
            count += 1
            if found[0] in self._ordinary:
                spans += [(text[start : found.start() + 1], False, is_trained), ("", True, False)]
                start = found.start() + 1
        spans.append((text[start:], False, is_trained))
        return count


def _pieces(start: int, end: int, borders: list[int]) -> list[Range]:
    cuts = [start, *(border for border in borders if start < border < end), end]
    return [(one, other) for one, other in pairwise(cuts) if one < other]


def _lies_in(start: int, end: int, ranges: list[Range]) -> bool:
    return any(begin < end and start < stop for begin, stop in ranges)
