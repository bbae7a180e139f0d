"""The template of a run: one of ours in Rust, or one in Jinja."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preprocess import _rust_ext
from preprocess.chat.jinja import JinjaTemplate
from preprocess.chat.refused import RefusedError
from preprocess.chat.source import find_source

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.chat.jinja import Spans
    from preprocess.chat.source import Source

PROBE = json.dumps([{"role": role, "content": "a"} for role in ("user", "assistant")])
"""The messages of a record that every template can express."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatTemplate:
    """What renders the records of a run."""

    source: Source
    named: _rust_ext.ChatTemplate | None
    jinja: JinjaTemplate | None

    @staticmethod
    def load(
        given: str, tokenizer: _rust_ext.Tokenizer, train_roles: tuple[str, ...]
    ) -> ChatTemplate:
        """Return the template that `--chat-template` names, for a tokenizer.

        Raises:
            UserError: There is none, or it is no template.
            ValueError: The tokenizer does not have its control tokens.
        """
        source = find_source(given, _path(tokenizer))
        if source.text is None:
            named = _rust_ext.ChatTemplate(source.name, tokenizer, train_roles=train_roles)
            return ChatTemplate(source=source, named=named, jinja=None)
        return ChatTemplate(
            source=source, named=None, jinja=JinjaTemplate(source, tokenizer, train_roles)
        )

    def render(self, line: bytes) -> tuple[Spans, int]:
        """Return the spans of a record, and how often its data spells a token.

        Raises:
            RefusedError: It has no rendering.
            ValueError: The line is no record.
        """
        if self.jinja is not None:
            return self.jinja.render(*_rust_ext.conversation_fields(line))
        assert self.named is not None
        rendered = self.named.render(line)
        if isinstance(rendered, str):
            raise RefusedError(rendered)
        return rendered

    def writes(self, token: str) -> bool:
        """Return whether turns of this template hold a control token, as far as a short one tells."""
        try:
            spans, _ = self.render(
                f'{{"messages": {PROBE}, "meta": {{"date": "2024-07-26"}}}}'.encode()
            )
        except RefusedError:
            return False
        return any(is_special and text == token for text, is_special, _ in spans)

    def describe(self) -> dict[str, Any]:
        """Return what decides whether two runs render alike."""
        return {"chat_template": self.source.name, "chat_template_sha256": self.source.sha256}


def _path(tokenizer: _rust_ext.Tokenizer) -> Path:
    from pathlib import Path

    return Path(tokenizer.file)
