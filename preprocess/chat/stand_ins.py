"""Which characters of a rendering came from the record: certain, or the record is refused.

A control token is one that the template wrote. So that data cannot write one, the characters that
begin and end added tokens are replaced in it by stand-ins before a template sees it: private
characters, one for one. What reads as a token in the rendering then has its first and last
character from the template. If a template ends a string of its own inside a token (`'<|' + role`),
data could lend the middle: then every character of a token is replaced in what is said.

A template may decide by those characters (`'</think>' in content`). So a record in which some were
replaced is rendered as it is, too, and must give the same text; else the record is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preprocess.chat.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST = 0x10F000
"""Where the stand-ins begin, among the characters that Unicode leaves to everybody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIns:
    """The stand-ins for one tokenizer and one template."""

    ends: dict[int, int]
    """Code points that begin or end a token, and what stands in for each."""
    said: dict[int, int]
    """The same for what messages say, where more is replaced if the template asks for it."""
    back: dict[int, int]
    middles: frozenset[str]
    """What a string that is not said must not be: it completes a token that was begun."""

    @staticmethod
    def of(tokens: Iterable[str], literals: Iterable[str]) -> StandIns:
        """Return the stand-ins for tokens and the strings that a template prints."""
        listed = [token for token in tokens if token]
        alphabet = sorted({ord(c) for token in listed for c in token if not c.isspace()})
        every = {code: FIRST + number for number, code in enumerate(alphabet)}
        edges = {ord(c) for token in listed for c in (token[0], token[-1])}
        ends = {code: every[code] for code in edges if code in every}
        texts = [text for text in literals if text]
        begun = _begun(listed, texts)
        return StandIns(
            ends=ends,
            said=every if begun else ends,
            back={new: old for old, new in every.items()},
            middles=frozenset(
                token[start:end]
                for token, start in begun
                for end in range(start + 1, len(token))
                if _is_ended(token[end:], texts)
            ),
        )

    def hide(self, value: Any) -> Any:
        """Return a value with stand-ins in all its strings, keys included.

        Raises:
            RefusedError: It holds stand-ins already, or a string that could complete a token.
        """
        if isinstance(value, str):
            if value in self.middles:
                shown = f"{value[:40]!r} could complete a token"
                raise RefusedError("template_reads_data", shown)
            return self._hide(value, self.ends)
        if isinstance(value, list):
            return [self.hide(each) for each in value]
        if isinstance(value, dict):
            return {self.hide(key): self.hide(each) for key, each in value.items()}
        return value

    def hide_message(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a message with stand-ins in all but the keys of its schema and its role."""
        hidden = dict(message)
        hidden["content"] = self._hide(message["content"], self.said)
        if "tool_call_id" in message:
            hidden["tool_call_id"] = self.hide(message["tool_call_id"])
        if "tool_calls" in message:
            hidden["tool_calls"] = [self.hide(call) for call in message["tool_calls"]]
        return hidden

    def show(self, text: str) -> str:
        """Return a text with the characters that were replaced."""
        return text if text.isascii() else text.translate(self.back)

    def _hide(self, text: str, table: dict[int, int]) -> str:
        if not text.isascii() and any(c >= chr(FIRST) for c in text):
            raise RefusedError("template_reads_data", "private characters of plane 16 are taken")
        return text.translate(table)


def _is_ended(rest: str, texts: list[str]) -> bool:
    return any(text.startswith(rest) or rest.startswith(text) for text in texts)


def _begun(tokens: list[str], texts: list[str]) -> list[tuple[str, int]]:
    """Return the tokens that a literal ends inside of, and after how many characters."""
    return [
        (token, length)
        for token in tokens
        for length in range(1, len(token))
        if any(text.endswith(token[:length]) for text in texts)
    ]
