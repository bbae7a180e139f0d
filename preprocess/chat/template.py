"""The template of a run: one of ours in Rust, or one in Jinja."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import _rust_ext
from preprocess.chat.refused import RefusedError
from preprocess.chat.source import find_source

if TYPE_CHECKING:
    from preprocess.chat.jinja import JinjaTemplate, Spans

PROBE = (
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], '
    b'"meta": {"date": "2024-07-26"}}'
)
"""A record that almost every template can express."""


class ChatTemplate:
    """What renders the records of a run; one of `named` and `jinja` is there."""

    named: _rust_ext.ChatTemplate | None = None
    jinja: JinjaTemplate | None = None

    def __init__(
        self, given: str, tokenizer: _rust_ext.Tokenizer, train_roles: tuple[str, ...]
    ) -> None:
        """Find the template that `--chat-template` names, for a tokenizer.

        Raises:
            UserError: There is none, or it is no template.
            ValueError: The tokenizer does not have its control tokens.
        """
        self.source = find_source(given, Path(tokenizer.file))
        if self.source.text is None:
            self.named = _rust_ext.ChatTemplate(given, tokenizer, train_roles=train_roles)
        else:
            # Jinja takes a while to load, and our own templates need none.
            from preprocess.chat.jinja import JinjaTemplate

            self.jinja = JinjaTemplate(self.source, tokenizer, train_roles)

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
        """Return whether a short conversation in this template holds a control token.

        Where it has no rendering, whether the template could write it.
        """
        try:
            spans, _ = self.render(PROBE)
        except RefusedError:
            return self.source.knows(token)
        return any(is_special and text == token for text, is_special, _ in spans)

    def describe(self) -> dict[str, Any]:
        """Return what decides whether two runs render alike."""
        return {"chat_template": self.source.name, "chat_template_sha256": self.source.sha256}
